/**
 * What a changed file gains and loses: model against model, as both would be made on the same host, so that another way of
 * writing the same thing is no difference. Pure, but for what the loader has read.
 */
import type { HostFacts } from '../host/facts.ts';
import { outline } from '../model/compile.ts';
import type { ConfigPath } from '../oci/config-path.ts';
import type { Model } from '../model/model.ts';
import type { Because } from '../model/because.ts';
import { borrowedVariables, redactor, type Redact } from '../text/borrowed.ts';
import type { Spec, SpecDocument } from '../spec/spec.ts';
import type { Change, Comparison, Direction, Side } from './change.ts';
import { compareLimits } from './diff-limits.ts';
import { compareLocks, type Locks } from './diff-lock.ts';
import { compareDevices, compareMounts } from './diff-mounts.ts';
import {
  compareDns,
  compareExtraHosts,
  compareInterface,
  compareMac,
  compareNetworks,
  comparePorts,
  compareReach,
} from './diff-network.ts';
import {
  compareApparmor,
  compareCapabilities,
  compareDemands,
  compareFilter,
  compareGroups,
  compareMasked,
  compareOomScore,
  compareReadonly,
  compareSelinux,
  compareUlimits,
} from './diff-privileges.ts';
import {
  compareCommand,
  compareDomainname,
  compareEntrypoint,
  compareEnvironment,
  compareFiles,
  compareHostname,
  compareImage,
  compareInit,
  compareLogging,
  compareKeepId,
  compareLandlock,
  compareMaps,
  compareName,
  comparePlatform,
  compareRoot,
  compareStdin,
  compareStopSignal,
  compareHealthcheck,
  comparePostStart,
  comparePreStop,
  compareRestart,
  compareStopTime,
  compareSysctls,
  compareTty,
  compareGiven,
  compareLabels,
  compareAnnotations,
  compareUser,
  compareWorkingDir,
  compareWritable,
} from './diff-words.ts';
import { reviewHost } from './host.ts';

export type { Change, Direction } from './change.ts';

/** For each key of a file, the comparison that reports its differences. The type has every key, so that none can be forgotten. */
const COMPARISONS: Readonly<Record<keyof Spec, readonly Comparison[]>> = {
  namespaces: [compareDemands],
  privileged: [compareDemands],
  noNewPrivileges: [compareDemands],
  capAdd: [compareDemands, compareCapabilities],
  capDrop: [compareCapabilities],
  volumes: [compareMounts],
  shmSize: [compareMounts],
  devices: [compareDevices],
  limits: compareLimits,
  ulimits: [compareUlimits],
  seccomp: [compareFilter],
  landlock: [compareLandlock],
  maskedPaths: [compareMasked],
  readonlyPaths: [compareReadonly],
  apparmor: [compareApparmor],
  selinux: [compareSelinux],
  oomScoreAdj: [compareOomScore],
  readOnly: [compareRoot],
  writable: [compareWritable],
  user: [compareUser],
  groupAdd: [compareGroups],
  keepGroups: [compareDemands],
  uidMap: [compareMaps],
  gidMap: [compareMaps],
  autoIds: [compareMaps],
  keepId: [compareKeepId],
  image: [compareImage],
  platform: [comparePlatform],
  entrypoint: [compareEntrypoint],
  command: [compareCommand],
  workingDir: [compareWorkingDir],
  environment: [compareFiles, compareEnvironment],
  given: [compareGiven],
  labels: [compareLabels],
  annotations: [compareAnnotations],
  name: [compareName],
  hostname: [compareHostname],
  domainname: [compareDomainname],
  sysctls: [compareSysctls],
  network: [compareInterface, compareReach, comparePorts, compareNetworks, compareMac, compareDemands],
  dns: [compareDns],
  extraHosts: [compareExtraHosts],
  init: [compareInit],
  // A value of `init`.
  systemd: [],
  tty: [compareTty],
  stdinOpen: [compareStdin],
  socketActivation: [compareDemands],
  stopSignal: [compareStopSignal],
  stopGracePeriod: [compareStopTime],
  restart: [compareRestart],
  logging: [compareLogging],
  healthcheck: [compareHealthcheck],
  postStart: [comparePostStart],
  preStop: [comparePreStop],
};

export interface DiffOptions {
  /** Print values of the caller's environment and of env_files, too. */
  readonly showValues?: boolean;
  /** The locks beside the files. By default they have none. */
  readonly locks?: Locks;
}

/** A change without the values that either side has of the caller's environment or of an env_file. */
function withoutValues(change: Change, { document: old }: Side, { document: young }: Side): Change {
  const [first, second] = [redactor(old.borrowed), redactor(young.borrowed)];
  const redact: Redact = (text, path) => first(second(text, path), path);
  const place = (because: Because | undefined): Because | undefined => {
    if (because === undefined) return undefined;
    return because.kind === 'spec'
      ? { ...because, path: redact(because.path, because.path) }
      : { ...because, name: redact(because.name, because.name) };
  };
  const { message, before, after } = change;
  const asked = [after, before].find((because) => because?.kind === 'spec');
  const path = asked?.kind === 'spec' ? asked.path : undefined;
  return { ...change, message: redact(message, path), before: place(before), after: place(after) };
}

/** All differences: gains first, then losses, then what is neither. */
export function diff(
  before: SpecDocument,
  after: SpecDocument,
  host: HostFacts,
  { showValues = false, locks }: DiffOptions = {},
): readonly Change[] {
  const [old, young] = [before, after].map((document): Side => ({
    document,
    model: outline(document, reviewHost(host, document)),
    variables: showValues ? undefined : borrowedVariables(document.borrowed),
  }));
  if (old === undefined || young === undefined) return [];
  // One comparison serves several keys and runs once.
  const comparisons = [...new Set([...Object.values(COMPARISONS).flat(), compareRest])];
  const all = [
    ...comparisons.flatMap((compare) => compare(old, young)),
    ...(locks === undefined ? [] : compareLocks(locks)),
  ];
  const order: readonly Direction[] = ['gains', 'loses', 'changes'];
  const told = showValues ? all : all.map((change) => withoutValues(change, old, young));
  return told.sort((a, b) => order.indexOf(a.direction) - order.indexOf(b.direction));
}

/** Parts of the configuration that the comparisons above report, or that follow from those. */
const TOLD =
  /^(?:ociVersion|root|annotations|hostname|domainname|process\.(?:terminal|args|env|cwd|user|capabilities|rlimits|noNewPrivileges|oomScoreAdj|apparmorProfile|selinuxLabel)|linux\.(?:namespaces|uidMappings|gidMappings|seccomp|sysctl|maskedPaths|readonlyPaths|resources|rootfsPropagation))(?:\.|$)/u;

/** The same for parts of the model that are not in its configuration. */
const TOLD_OF_MODEL: ReadonlySet<keyof Model> = new Set<keyof Model>([
  'name',
  'config',
  'writable',
  'init',
  'systemd',
  'stdinOpen',
  'takesSockets',
  'because',
  'stop',
  'restart',
  'logging',
  'execs',
  'timeLimitMs',
  'network',
  // It follows from the limit of processes, the namespaces, and the kernel.
  'pidMax',
  'dropped',
  'demands',
  'warnings',
  'landlock',
  'mounts',
  'devices',
  'observes',
  // They follow from the names, the user and the mounts.
  'ownFiles',
  'home',
  'keepGroups',
  'borrowed',
  'contents',
  'labels',
]);

function flatten(value: unknown, path: string, into: Map<string, string>): void {
  if (typeof value === 'object' && value !== null) {
    for (const [key, child] of Object.entries(value)) flatten(child, path === '' ? key : `${path}.${key}`, into);
  } else if (value !== undefined) into.set(path, JSON.stringify(value));
}

/** All other differences of the two models, so that none is left out. */
const compareRest: Comparison = (old, young) => {
  const flat = ({ model }: Side): ReadonlyMap<string, string> => {
    const all = new Map<string, string>();
    flatten(model.config, '', all);
    for (const path of [...all.keys()].filter((one) => TOLD.test(one))) all.delete(path);
    const told: ReadonlySet<string> = TOLD_OF_MODEL;
    for (const [key, value] of Object.entries(model)) if (!told.has(key)) flatten(value, key, all);
    return all;
  };
  const [was, is] = [flat(old), flat(young)];
  return [...new Set([...was.keys(), ...is.keys()])].flatMap((path): readonly Change[] => {
    const [from, to] = [was.get(path), is.get(path)];
    if (from === to) return [];
    // `flatten` made the path out of the keys of the two models.
    const because = ({ model }: Side): Because => model.because(path as ConfigPath);
    const [before, after] = [because(old), because(young)];
    // Defaults of the kernel's parameters follow from the namespaces and maps, which are told above.
    if (path.startsWith('linux.sysctl.') && before.kind === 'default' && after.kind === 'default') return [];
    const message = `${path} ${from ?? 'not set'} → ${to ?? 'not set'}`;
    return [{ direction: 'changes', message, before, after }];
  });
};
