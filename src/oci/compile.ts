/**
 * A specification, its image and its host become a container's model: an OCI configuration in which every default is
 * spelled out. Pure. Everything that is wrong is told at once, each at its own line.
 */
import type { HostFacts } from '../host/facts.ts';
import type { ImageFacts, Ownership } from '../image/image.ts';
import type { NamespaceKind, Spec, SpecDocument, Volume } from '../spec/spec.ts';
import type { OciConfig, OciMount, OciNamespace, OciProcess } from './config.ts';
import {
  DEFAULT_CAPABILITIES,
  DEFAULT_PATH,
  defaultDevices,
  defaultMounts,
  MASKED_PATHS,
  READONLY_PATHS,
} from './defaults.ts';
import { checkMaps, mapsFor } from './ids.ts';
import { compileLimits } from './limits.ts';
import type { Because, Dropped, Model } from './model.ts';
import { Problems } from './problems.ts';
import { defaultSeccomp } from './seccomp-default.ts';
import { isMapped, resolveUser, type ResolvedUser } from './users.ts';
import { ociVersion } from './version.ts';

export { ownershipFor } from './ids.ts';

/** What the command line says instead of the file. */
export interface Overrides {
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly tty?: boolean;
  readonly stdinOpen?: boolean;
  /** Added to, and winning over, the file's environment. */
  readonly environment?: Readonly<Record<string, string>>;
}

const OCI_NAMES: Readonly<Record<NamespaceKind, OciNamespace['type']>> = {
  user: 'user',
  pid: 'pid',
  mount: 'mount',
  uts: 'uts',
  ipc: 'ipc',
  net: 'network',
  cgroup: 'cgroup',
  time: 'time',
};
const NAMESPACE_ORDER: readonly NamespaceKind[] = ['user', 'mount', 'pid', 'uts', 'ipc', 'net', 'cgroup', 'time'];

/** Who asked for what: the longest known beginning of a configuration's path answers. */
class Reasons {
  readonly #document: SpecDocument;
  readonly #known = new Map<string, Because>();

  constructor(document: SpecDocument) {
    this.#document = document;
  }
  /** A value of the file, where the file has it; a default of this name otherwise. */
  set(configPath: string, specPath: string, defaultName: string): void {
    const at = this.#document.where(specPath);
    this.#known.set(
      configPath,
      at === undefined ? { kind: 'default', name: defaultName } : { kind: 'spec', path: specPath, at },
    );
  }
  byDefault(configPath: string, name: string): void {
    this.#known.set(configPath, { kind: 'default', name });
  }
  find(configPath: string): Because {
    for (let at = configPath; at !== ''; at = at.includes('.') ? at.slice(0, at.lastIndexOf('.')) : '') {
      const reason = this.#known.get(at);
      if (reason !== undefined) return reason;
    }
    return { kind: 'default', name: configPath };
  }
}

function compileNamespaces(spec: Spec, host: HostFacts, reasons: Reasons, dropped: Dropped[]): OciNamespace[] {
  const list: OciNamespace[] = [];
  for (const kind of NAMESPACE_ORDER) {
    const choice = spec.namespaces[kind];
    if (choice.kind === 'host') continue;
    if (kind === 'time' && choice.kind === 'private' && !host.timeNamespace) {
      const because: Because = { kind: 'default', name: 'time namespace' };
      dropped.push({ what: 'namespaces.time', reason: 'this kernel has no time namespaces', because });
      continue;
    }
    reasons.set(`linux.namespaces.${list.length}`, `namespaces.${kind}`, `private ${kind} namespace`);
    const type = OCI_NAMES[kind];
    list.push(choice.kind === 'path' ? { type, path: choice.path } : { type });
  }
  return list;
}

/** Combinations that the kernel would refuse, or that would not mean what they say. */
function checkNamespaces(spec: Spec, host: HostFacts, problems: Problems): void {
  const { user, mount, uts } = spec.namespaces;
  if (user.kind === 'private' && !host.userNamespaces.usable) {
    problems.add('E_NO_USER_NAMESPACES', 'namespaces.user', host.userNamespaces.reason, host.userNamespaces.hint);
  }
  if (user.kind === 'host' && !host.privileged) {
    problems.add(
      'E_NEEDS_ROOT',
      'namespaces.user',
      'without a user namespace of its own, a container can be made by root only',
      'leave `user` private, or run boxctl as root',
    );
  }
  if (uts.kind !== 'private') {
    for (const key of ['hostname', 'domainname'] as const) {
      if (spec[key] === undefined) continue;
      const whose = uts.kind === 'host' ? "the host's" : "another container's";
      const message = `${key} would change ${whose}, because the uts namespace is not private`;
      problems.add('E_NOT_PRIVATE', key, message, `remove ${key}, or make the uts namespace private`);
    }
  }
  if (mount.kind !== 'private') {
    for (const key of ['image', 'read_only', 'volumes', 'tmpfs'] as const) {
      const given = { image: spec.image !== undefined, read_only: spec.readOnly, volumes: false, tmpfs: false }[key];
      if (given) {
        const message = `${key} needs a mount namespace of the container's own`;
        problems.add('E_NOT_PRIVATE', key, message, `remove ${key}, or make the mount namespace private`);
      }
    }
    const [first] = spec.volumes;
    if (first !== undefined) {
      const message = 'a mount would be made in the mount namespace of others';
      problems.add('E_NOT_PRIVATE', first.specPath, message, 'make the mount namespace private');
    }
    if (user.kind === 'private' && mount.kind === 'path') {
      const message = 'a mount namespace can be joined only with the user namespace that it belongs to';
      problems.add('E_NOT_PRIVATE', 'namespaces.mount', message, 'join that user namespace as well');
    }
  }
}

function volumeMount(volume: Volume): OciMount {
  if (volume.type === 'bind') {
    const options = ['rbind', 'nosuid', 'nodev', volume.readOnly ? 'ro' : 'rw'];
    return { destination: volume.target, type: 'bind', source: volume.source, options };
  }
  const options = ['nosuid', 'nodev', `mode=${(volume.mode ?? 0o1777).toString(8).padStart(4, '0')}`];
  if (volume.size !== undefined) options.push(`size=${volume.size}`);
  if (volume.readOnly) options.push('ro');
  return { destination: volume.target, type: 'tmpfs', source: 'tmpfs', options };
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

interface CompiledMounts {
  readonly mounts: OciMount[];
  readonly fileMounts: readonly number[];
}

function compileMounts(
  spec: Spec,
  host: HostFacts,
  maps: Ownership | undefined,
  reasons: Reasons,
  problems: Problems,
): CompiledMounts {
  if (spec.namespaces.mount.kind !== 'private') return { mounts: [], fileMounts: [] };
  const isPrivate = (kind: NamespaceKind): boolean => spec.namespaces[kind].kind === 'private';
  const hostUser = spec.namespaces.user.kind === 'host';
  const standard = defaultMounts({
    ownsPid: hostUser || isPrivate('pid'),
    ownsNetwork: hostUser || isPrivate('net'),
    ownsIpc: hostUser || isPrivate('ipc'),
    showsCgroup: host.cgroup.layout === 'v2' && isPrivate('cgroup'),
    isGroupMapped: (gid) => isMapped(maps?.gidMap, gid),
  });
  for (const volume of spec.volumes) {
    const forbidden = ['/proc', '/sys'].find((folder) => isWithin(volume.target, folder));
    if (forbidden !== undefined || volume.target === '/dev') {
      problems.add(
        'E_MOUNT_TARGET',
        volume.specPath,
        `nothing can be mounted at ${volume.target}: ${forbidden ?? '/dev'} is the container's own`,
        'mount it somewhere else',
      );
    }
  }
  const replaced = new Set(spec.volumes.map((volume) => volume.target));
  const kept = standard.filter((mount) => !replaced.has(mount.destination));
  const depth = (target: string): number => target.split('/').length;
  // What lies in another mount comes after it; beside that, the file's order stays.
  const volumes = spec.volumes.toSorted((a, b) => depth(a.target) - depth(b.target));
  const mounts = [...kept, ...volumes.map(volumeMount)];
  for (const [index, mount] of kept.entries()) reasons.byDefault(`mounts.${index}`, `mount ${mount.destination}`);
  for (const [index, volume] of volumes.entries()) {
    reasons.set(`mounts.${kept.length + index}`, volume.specPath, 'volume');
  }
  const isFile = (volume: Volume): boolean => volume.type === 'bind' && volume.isFile;
  const fileMounts = volumes.flatMap((volume, index) => (isFile(volume) ? [kept.length + index] : []));
  return { mounts, fileMounts };
}

function compileArgs(
  spec: Spec,
  image: ImageFacts | undefined,
  overrides: Overrides,
  reasons: Reasons,
  problems: Problems,
): string[] {
  // An entrypoint of the file's own is not meant for the command that the image comes with.
  const entrypoint = overrides.entrypoint ?? spec.entrypoint ?? image?.defaults.entrypoint ?? [];
  const imageCommand = spec.entrypoint === undefined ? image?.defaults.command : undefined;
  const command = overrides.command ?? spec.command ?? imageCommand ?? [];
  const args = [...entrypoint, ...command];
  if (overrides.command !== undefined) reasons.byDefault('process.args', 'command line');
  else reasons.set('process.args', spec.command === undefined ? 'entrypoint' : 'command', 'command of the image');
  if (args.length === 0) {
    problems.add(
      'E_NO_COMMAND',
      'command',
      'there is nothing to run: neither the file nor the image has a command',
      'add `command: [sh]`, or give one: boxctl run FILE -- sh',
    );
  } else if (args[0] === '') {
    problems.add('E_NO_COMMAND', 'command', 'the command is an empty word');
  }
  return args;
}

function compileEnvironment(
  spec: Spec,
  image: ImageFacts | undefined,
  overrides: Overrides,
  user: ResolvedUser,
  tty: boolean,
): string[] {
  const hostname = spec.hostname ?? (spec.namespaces.uts.kind === 'private' ? spec.name : undefined);
  const values: Record<string, string> = {
    PATH: DEFAULT_PATH,
    ...(hostname === undefined ? {} : { HOSTNAME: hostname }),
    HOME: user.home,
    ...(tty ? { TERM: 'xterm' } : {}),
    ...image?.defaults.environment,
    ...spec.environment,
    ...overrides.environment,
  };
  return Object.entries(values).map(([name, value]) => `${name}=${value}`);
}

function checkUser(user: ResolvedUser, maps: Ownership | undefined, problems: Problems): void {
  const hint = 'map more ids with uid_map and gid_map, or take another user';
  if (!isMapped(maps?.uidMap, user.uid)) {
    problems.add(
      'E_USER_NOT_MAPPED',
      'user',
      `the user id ${user.uid} does not exist inside: uid_map does not map it`,
      hint,
    );
  }
  if (!isMapped(maps?.gidMap, user.gid)) {
    problems.add(
      'E_USER_NOT_MAPPED',
      'user',
      `the group id ${user.gid} does not exist inside: gid_map does not map it`,
      hint,
    );
  }
}

/** Whether setgroups(2) is allowed inside: not under a map that an ordinary user wrote himself (CVE-2014-8989). */
function mayHaveGroups(host: HostFacts, maps: Ownership | undefined): boolean {
  return maps === undefined || host.privileged || maps.gidMap.some((map) => map.size > 1 || map.host !== host.egid);
}

function compileProcess(
  document: SpecDocument,
  image: ImageFacts | undefined,
  host: HostFacts,
  maps: Ownership | undefined,
  overrides: Overrides,
  reasons: Reasons,
  problems: Problems,
): OciProcess {
  const { spec } = document;
  const user = resolveUser(spec.user, image, problems);
  checkUser(user, maps, problems);
  const terminal = overrides.tty ?? spec.tty;
  const capabilities = [...DEFAULT_CAPABILITIES];
  // Only root starts with them; others can get back what the bounding set has left by a set-user-id program at most.
  const held = user.uid === 0 ? capabilities : [];
  reasons.byDefault('process', 'process');
  reasons.set('process.user', 'user', 'user 0');
  reasons.set('process.terminal', 'tty', overrides.tty === undefined ? 'no terminal' : 'command line');
  reasons.set('process.cwd', 'working_dir', 'working directory /');
  reasons.byDefault('process.capabilities', 'capabilities');
  reasons.byDefault('process.noNewPrivileges', 'no-new-privileges');
  const groups = user.additionalGids.filter((gid) => isMapped(maps?.gidMap, gid));
  return {
    terminal,
    user: {
      uid: user.uid,
      gid: user.gid,
      umask: 0o022,
      ...(mayHaveGroups(host, maps) && groups.length > 0 ? { additionalGids: groups } : {}),
    },
    args: compileArgs(spec, image, overrides, reasons, problems),
    env: compileEnvironment(spec, image, overrides, user, terminal),
    cwd: spec.workingDir ?? image?.defaults.workingDir ?? '/',
    capabilities: { bounding: capabilities, effective: held, permitted: held, inheritable: [], ambient: [] },
    noNewPrivileges: true,
  };
}

/**
 * Compiles a specification. `image` is undefined only where the mount namespace is not private.
 * Throws a BoxctlError whose `diagnostics` are all problems, with their places.
 */
export function compile(
  document: SpecDocument,
  image: ImageFacts | undefined,
  host: HostFacts,
  overrides: Overrides = {},
): Model {
  const { spec } = document;
  const problems = new Problems(document);
  const reasons = new Reasons(document);
  const dropped: Dropped[] = [];
  checkNamespaces(spec, host, problems);
  const maps = spec.namespaces.user.kind === 'private' ? mapsFor(document, host) : undefined;
  if (maps !== undefined) checkMaps(problems, document, host, maps);
  const namespaces = compileNamespaces(spec, host, reasons, dropped);
  const limits = compileLimits(document, host, problems);
  const process = compileProcess(document, image, host, maps, overrides, reasons, problems);
  const { mounts, fileMounts } = compileMounts(spec, host, maps, reasons, problems);
  problems.throwIfAny();

  const ownRoot = spec.namespaces.mount.kind === 'private';
  const ociMaps = (list: Ownership['uidMap']) =>
    list.map((map) => ({ containerID: map.container, hostID: map.host, size: map.size }));
  const hostname = spec.namespaces.uts.kind === 'private' ? (spec.hostname ?? spec.name) : undefined;
  const config: Omit<OciConfig, 'ociVersion'> = {
    process,
    root: { path: image?.rootfs ?? '/', readonly: spec.readOnly },
    ...(hostname === undefined ? {} : { hostname }),
    ...(spec.domainname === undefined ? {} : { domainname: spec.domainname }),
    mounts,
    linux: {
      namespaces,
      ...(maps === undefined ? {} : { uidMappings: ociMaps(maps.uidMap), gidMappings: ociMaps(maps.gidMap) }),
      ...(ownRoot ? { devices: defaultDevices(), rootfsPropagation: 'private' } : {}),
      ...(limits.resources === undefined ? {} : { resources: limits.resources }),
      seccomp: defaultSeccomp(host.arch),
      ...(ownRoot ? { maskedPaths: [...MASKED_PATHS], readonlyPaths: [...READONLY_PATHS] } : {}),
    },
  };
  reasons.set('root', 'image', 'image');
  reasons.set('root.readonly', 'read_only', 'writable root');
  reasons.set('hostname', 'hostname', 'hostname is the name');
  reasons.set('domainname', 'domainname', 'domainname');
  reasons.set('init', 'init', 'init');
  reasons.set('linux.namespaces', 'namespaces', 'all namespaces private');
  reasons.set('linux.uidMappings', spec.uidMap === undefined ? 'gid_map' : 'uid_map', 'uid map');
  reasons.set('linux.gidMappings', spec.gidMap === undefined ? 'uid_map' : 'gid_map', 'gid map');
  reasons.byDefault('linux.devices', 'standard devices');
  reasons.byDefault('linux.seccomp', 'system call filter');
  reasons.byDefault('linux.maskedPaths', 'masked paths');
  reasons.byDefault('linux.readonlyPaths', 'read-only paths');
  reasons.set('linux.resources.memory.limit', 'limits.memory', 'memory limit');
  reasons.set('linux.resources.memory.swap', 'limits.swap', 'swap limit');
  reasons.set('linux.resources.pids', 'limits.pids', 'pids limit');
  reasons.set('linux.resources.cpu', 'limits.cpus', 'cpu limit');
  return {
    name: spec.name,
    config: { ociVersion: ociVersion(config), ...config },
    init: spec.init,
    stdinOpen: overrides.stdinOpen ?? spec.stdinOpen,
    because: (path) => reasons.find(path),
    dropped: [...dropped, ...limits.dropped],
    fileMounts,
  };
}
