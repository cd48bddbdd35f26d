/** A container as `ps` shows it: in docker's words for `--format`, and why it ended in those of `boxctl up`. */
import { briefStateOf, stateOf, type ContainerState, whyLost } from '../container/existing.ts';
import type { HealthState } from '../launcher/events.ts';
import { placeOf } from '../model/because.ts';
import type { KeptPort } from '../state/container-record.ts';
import type { KeptContainer } from '../state/containers.ts';
import { dateOf, roughly } from '../text/ago.ts';

export interface Listed {
  readonly container: KeptContainer;
  /** Without why it ended. */
  readonly state: ContainerState;
}

/** Its state is looked at when it is asked for: a list of ids alone needs none. */
export function listed(container: KeptContainer): Listed {
  let state: ContainerState | undefined;
  return {
    container,
    get state() {
      return (state ??= briefStateOf(container));
    },
  };
}

/** As docker calls the states; those that docker has not are boxctl's own. */
export const stateWord = ({ status }: ContainerState): string => (status === 'starting' ? 'created' : status);

/** In docker's words. */
const healthText = (health: HealthState): string => (health === 'starting' ? 'health: starting' : health);

export function describeStatus({ status, exitStatus, restarts, health }: ContainerState): string {
  const end = (status === 'exited' || status === 'restarting') && exitStatus !== undefined ? ` (${exitStatus})` : '';
  const state = health === undefined ? '' : ` (${healthText(health)})`;
  return `${status}${end}${state}${restarts === 0 ? '' : `, restarts: ${restarts}`}`;
}

/** `file:line:column: why it ended`; empty where the command just ended, or runs. */
export function reasonOf({ container, state }: Listed): string {
  if (state.status === 'lost') return whyLost(container);
  if (!['exited', 'failed', 'restarting'].includes(state.status)) return '';
  const { ending, failure } = stateOf(container);
  const message = failure?.message ?? ending?.message;
  if (message === undefined) return '';
  const at = failure?.at ?? (ending?.because === undefined ? undefined : placeOf(ending.because));
  const place = at === undefined ? '' : `${at.file}:${at.line}:${at.column}: `;
  return `${place}${message.replaceAll('\n', ' ')}`;
}

/** `0.0.0.0:8080->80/tcp`. */
export function portText({ address, host_port, port, protocol }: KeptPort): string {
  const host = address === undefined ? '0.0.0.0' : address.includes(':') ? `[${address}]` : address;
  return `${host}:${host_port === 0 ? '?' : host_port}->${port}/${protocol}`;
}

function statusText({ container, state }: Listed, now: number): string {
  const { started, ended, exitStatus, status } = state;
  const mode = container.isForeground === true ? ' (foreground)' : '';
  if (status === 'running' || status === 'paused') {
    const up = `Up ${roughly(now - (started ?? container.created))}`;
    const health = state.health === undefined ? '' : ` (${healthText(state.health)})`;
    return `${up}${status === 'paused' ? ' (Paused)' : health}${mode}`;
  }
  if (status === 'starting') return 'Created';
  const ago = ended === undefined ? '' : ` ${roughly(now - ended)} ago`;
  if (status === 'restarting') return `Restarting (${exitStatus ?? 0})${ago}`;
  if (status === 'exited') return `Exited (${exitStatus ?? 0})${ago}`;
  return `${status === 'failed' ? 'Failed' : 'Lost'}${ago}`;
}

/** As a shell would show it, in as many characters as docker takes. */
export function commandText(command: readonly string[], isWhole: boolean, most: number): string {
  const text = command.join(' ');
  const characters = [...text];
  return isWhole || characters.length <= most ? text : `${characters.slice(0, most - 1).join('')}…`;
}

const COMMAND_LENGTH = 20;

/** What tables call the fields of `rowOf`. */
export const PS_HEADINGS = {
  ID: 'CONTAINER ID',
  Names: 'NAMES',
  Image: 'IMAGE',
  Command: 'COMMAND',
  CreatedAt: 'CREATED AT',
  RunningFor: 'CREATED',
  State: 'STATE',
  Status: 'STATUS',
  Ports: 'PORTS',
  Labels: 'LABELS',
  Mounts: 'MOUNTS',
  Networks: 'NETWORKS',
  LocalVolumes: 'LOCAL VOLUMES',
  Mode: 'MODE',
  File: 'FILE',
  Pid: 'PID',
  ExitCode: 'EXIT CODE',
  Restarts: 'RESTARTS',
  Reason: 'REASON',
} as const;

type Row = Readonly<Record<keyof typeof PS_HEADINGS, string | number>>;

/** In docker's names where docker has them. What takes time is looked up when it is asked for. */
export function rowOf(one: Listed, isWhole: boolean): Row {
  const { container, state } = one;
  const { labels = {}, mounts = [], networks = [], ports = [] } = container;
  const now = Date.now();
  const row = {
    ID: container.id,
    Names: container.name,
    Image: container.image ?? '',
    Command: `"${commandText(container.command, isWhole, COMMAND_LENGTH)}"`,
    CreatedAt: dateOf(container.created),
    RunningFor: `${roughly(now - container.created)} ago`,
    State: stateWord(state),
    Status: statusText(one, now),
    Ports: ports.map(portText).join(', '),
    Labels: Object.entries(labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(','),
    Mounts: mounts.map(({ source, target }) => source ?? target).join(','),
    Networks: networks.map(({ name }) => name).join(','),
    LocalVolumes: mounts.filter(({ type }) => type === 'volume').length,
    Mode: container.isForeground === true ? 'foreground' : 'background',
    File: container.file,
    Pid: state.pid ?? 0,
    ExitCode: state.exitStatus ?? 0,
    Restarts: state.restarts,
    get Reason() {
      return reasonOf(one);
    },
  };
  return Object.defineProperty(row, 'Label', {
    value: (name: unknown) => labels[String(name)] ?? '',
    enumerable: false,
  });
}
