/** All that is known of a container, in docker's names where docker has them (specs/state.schema.json). */
import { EXIT_BOXCTL } from '../error-codes.ts';
import type { Position } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { signalName } from '../kernel/signals.ts';
import { placeOf } from '../model/because.ts';
import type { Model } from '../model/model.ts';
import type { KeptPort } from '../state/container-record.ts';
import { readKeptModel, type KeptContainer } from '../state/containers.ts';
import { readHealth } from '../state/health.ts';
import { portsOf } from '../state/ports.ts';
import { stateOf, whyLost, type ContainerState } from './existing.ts';
import { changedResources } from './update-limits.ts';

/** What docker has for a time that there is not. */
const NEVER = '0001-01-01T00:00:00Z';
const timeOf = (at: number | undefined): string => (at === undefined ? NEVER : new Date(at).toISOString());

const HIDDEN = '…';

/** `NAME=…`, unless values are asked for. */
const variables = (env: readonly string[], showValues: boolean): readonly string[] =>
  showValues ? env : env.map((entry) => `${entry.slice(0, entry.indexOf('='))}=${HIDDEN}`);

interface Reason {
  readonly Reason: string;
  readonly Message: string;
  readonly At: Position | null;
}

function reasonOf({ ending, failure, status }: ContainerState, container: KeptContainer): Reason {
  if (failure !== undefined) return { Reason: 'failed', Message: failure.message, At: failure.at ?? null };
  if (ending !== undefined) {
    const at = ending.because === undefined ? undefined : placeOf(ending.because);
    return { Reason: ending.reason, Message: ending.message ?? '', At: at ?? null };
  }
  if (status !== 'lost') return { Reason: '', Message: '', At: null };
  return { Reason: 'lost', Message: whyLost(container), At: null };
}

/** Of a container that has a health check, and only of those: templates ask by `{{if .State.Health}}`. */
function healthSection(container: KeptContainer): object {
  const health = readHealth(container);
  if (health === undefined) return {};
  const { state, failures, results } = health;
  const log = results.map(({ start, end, status, output }) => ({
    Start: timeOf(start),
    End: timeOf(end),
    ExitCode: status,
    Output: output,
  }));
  return { Health: { Status: state, FailingStreak: failures, Log: log } };
}

function stateSection(container: KeptContainer, state: ContainerState): object {
  const { status, started, ended, pid, exitStatus, failure, ending, restarts } = state;
  const runs = status === 'running' || status === 'paused';
  return {
    Status: status === 'starting' ? 'created' : status,
    Running: runs,
    Paused: status === 'paused',
    Restarting: status === 'restarting',
    OOMKilled: ending?.reason === 'out_of_memory',
    Dead: status === 'lost',
    Pid: runs ? (pid ?? 0) : 0,
    ExitCode: failure?.exitCode ?? exitStatus ?? (status === 'lost' ? EXIT_BOXCTL : 0),
    Error: failure?.message ?? '',
    StartedAt: timeOf(started),
    FinishedAt: timeOf(runs ? undefined : ended),
    ...reasonOf(state, container),
    Limits: (ending?.limits ?? []).map(({ because, ...hit }) => ({ ...hit, at: placeOf(because) ?? null })),
    RestartCount: restarts,
    ...healthSection(container),
  };
}

function configSection(container: KeptContainer, model: Model | undefined, showValues: boolean): object {
  const labels = new Map(Object.entries(container.labels ?? {}));
  const base = { Image: container.image ?? '', Labels: labels };
  if (model === undefined) return { ...base, Cmd: container.command };
  const { process, hostname = '', domainname = '' } = model.config;
  return {
    ...base,
    Hostname: hostname,
    Domainname: domainname,
    User: `${process.user.uid}:${process.user.gid}`,
    Tty: process.terminal,
    OpenStdin: model.stdinOpen,
    Env: variables(process.env, showValues),
    // Without what the file has from the environment.
    Cmd: showValues ? process.args : container.command,
    WorkingDir: process.cwd,
    StopSignal: signalName(model.stop.signal),
    StopTimeout: model.stop.graceMs / 1000,
  };
}

/** Thousand millionths of a processor. */
function nanoCpus({ quota, period }: { readonly quota?: number; readonly period?: number } = {}): number {
  return quota === undefined || quota <= 0 ? 0 : Math.round((quota / (period ?? 100_000)) * 1e9);
}

function hostSection(model: Model | undefined, container: KeptContainer, host: HostFacts): object {
  const network = (container.networks ?? [])[0]?.name;
  if (model === undefined) return { NetworkMode: network ?? '' };
  const { config, init, restart } = model;
  const { memory = {}, cpu = {}, pids } = changedResources(host, container) ?? config.linux.resources ?? {};
  const own = config.linux.namespaces.find(({ type }) => type === 'network');
  return {
    NetworkMode: network ?? (own === undefined ? 'host' : own.path === undefined ? 'none' : own.path),
    RestartPolicy: { Name: restart?.when ?? 'no', MaximumRetryCount: restart?.most ?? 0 },
    Init: init,
    ReadonlyRootfs: config.root.readonly,
    Capabilities: config.process.capabilities.bounding,
    Memory: memory.limit ?? 0,
    MemoryReservation: memory.reservation ?? 0,
    MemorySwap: memory.swap ?? 0,
    NanoCpus: nanoCpus(cpu),
    CpuShares: cpu.shares ?? 0,
    CpusetCpus: cpu.cpus ?? '',
    CpusetMems: cpu.mems ?? '',
    PidsLimit: pids?.limit ?? 0,
  };
}

function portMap(ports: readonly KeptPort[]): ReadonlyMap<string, readonly object[]> {
  const found = new Map<string, object[]>();
  for (const { address, host_port, port, protocol } of ports) {
    const key = `${port}/${protocol}`;
    const side = { HostIp: address ?? '0.0.0.0', HostPort: host_port === 0 ? '' : String(host_port) };
    found.set(key, [...(found.get(key) ?? []), side]);
  }
  return found;
}

/** For JSON and templates: maps are maps, so that any key may be asked for. */
export function inspectContainer(host: HostFacts, container: KeptContainer, showValues: boolean): object {
  const { id, name, file, created, command, image, mounts = [], networks = [], isForeground } = container;
  const model = readKeptModel(container);
  const state = stateOf(container);
  const [path = '', ...args] = command;
  return {
    Id: id,
    Name: name,
    Created: timeOf(created),
    Path: path,
    Args: args,
    File: file,
    Image: image ?? '',
    Mode: isForeground === true ? 'foreground' : 'background',
    Folder: container.folder,
    RestartCount: state.restarts,
    State: stateSection(container, state),
    Config: configSection(container, model, showValues),
    HostConfig: hostSection(model, container, host),
    Mounts: mounts.map(({ type, source, target, read_only }) => ({
      Type: type,
      Source: source ?? '',
      Destination: target,
      RW: !read_only,
    })),
    NetworkSettings: {
      IPAddress: networks[0]?.ipv4 ?? '',
      GlobalIPv6Address: networks[0]?.ipv6 ?? '',
      Ports: portMap(portsOf(container)),
      Networks: new Map(
        networks.map(({ name: network, ipv4, ipv6 }) => [
          network,
          { IPAddress: ipv4 ?? '', GlobalIPv6Address: ipv6 ?? '' },
        ]),
      ),
    },
  };
}
