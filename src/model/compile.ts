/**
 * A specification, its image and its host become a container's model: an OCI configuration in which every default is
 * spelled out. Pure. Everything that is wrong is told at once, each at its own line.
 */
import { OVERLAY, type HostFacts } from '../host/facts.ts';
import { UNKNOWN_IMAGE, type ImageFacts, type Ownership } from './image.ts';
import type { Borrowed } from '../text/borrowed.ts';
import type { Spec, SpecDocument } from '../spec/spec.ts';
import { pathOfFile, type SpecPath } from '../spec/spec-path.ts';
import { accountFor } from './account.ts';
import type { ConfigPath } from '../oci/config-path.ts';
import type { OciBase } from '../oci/config.ts';
import { demandsOf } from './demands.ts';
import { compileDevices } from './devices.ts';
import { compileRestrictedPaths } from './restricted-paths.ts';
import { checkMaps } from './check-ids.ts';
import { compileExecs } from './execs.ts';
import { mapsFor } from './ids.ts';
import { compileLimits } from './limits.ts';
import type { Model } from './model.ts';
import type { Because } from './because.ts';
import type { Claims } from './claims.ts';
import { compileMounts } from './mounts.ts';
import { checkNamespaces, compileNamespaces } from './namespaces.ts';
import { compileNetwork, networkWarnings } from './compile-network.ts';
import { checkNetworkCapabilities } from './network-driver.ts';
import { Problems } from './problems.ts';
import { compileOwnFiles } from './own-files.ts';
import { compileProcess, type Overrides } from './process.ts';
import { Reasons } from './reasons.ts';
import { compileSeccompChoice } from './seccomp.ts';
import { compilePidMax, compileSysctls } from './sysctls.ts';
import { checkSystemd } from './systemd.ts';
import { DEFAULT_LOGGING } from '../spec/logging.ts';
import { checkJoinedUser, withJoinedUser } from './joined-user.ts';
import { compileStop } from './stop.ts';
import { ociVersion } from '../oci/version.ts';

export { imageOwnership, ownershipFor } from './ids.ts';
export type { Claims } from './claims.ts';
export type { Overrides } from './process.ts';

/** Warnings that are told before the start. */
function warningsOf(spec: Spec, reasons: Reasons): Model['warnings'] {
  if (!spec.privileged) return [];
  const message =
    spec.namespaces.user.kind === 'private'
      ? 'THIS CONTAINER IS PRIVILEGED: it has every capability in its user namespace, and no system call filter'
      : 'THIS CONTAINER IS PRIVILEGED IN THE HOST’S USER NAMESPACE: whoever is root in it is root of this machine';
  return [{ message, because: reasons.find('privileged') }];
}

const FILE_KINDS = {
  image: 'image',
  env_file: 'env_file',
  seccomp: 'seccomp profile',
  public_key: 'public key',
  secret: 'file of a secret',
  config: 'file of a config',
} as const;
const STAND_INS = {
  image: 'what is in it is not known',
  env_file: 'its variables are left out',
  seccomp: 'the default filter is in its place',
  public_key: 'no signature by it counts',
  secret: 'it is empty',
  config: 'it is empty',
} as const;

/** Warnings of files that were not read because nobody has allowed them. The model of such a document cannot be started. */
function unreadFiles(document: SpecDocument): Model['warnings'] {
  return document.files
    .filter(({ readable }) => !readable)
    .map(({ kind, path }) => ({
      message: `the ${FILE_KINDS[kind]} is not read before it is allowed: ${STAND_INS[kind]}`,
      because: { kind: 'spec', path, at: document.where(pathOfFile(path)) },
    }));
}

/** What is put into a secret or a config is not in the plan, which has no need to hide it. */
const isContent = (path: string): boolean => /^(?:secrets|configs)\..*\.content$/u.test(path);

/** `--env`: the caller's own words, or values of his environment. */
function ofCommandLine({ environment = {} }: Overrides): readonly Borrowed[] {
  return Object.entries(environment).flatMap(([variable, value]) => [
    { path: 'environment', variable, value, shown: `\${${variable}}` },
  ]);
}

/**
 * Compiles a specification. `image` is undefined only where the mount namespace is not private. `claims` is what was given
 * to this run; a model that nothing is started from needs none.
 * Throws a BoxctlError whose `diagnostics` are all problems, with their places.
 */
export function compile(
  given: SpecDocument,
  image: ImageFacts | undefined,
  host: HostFacts,
  overrides: Overrides = {},
  claims: Claims = {},
): Model {
  const document = withJoinedUser(given, host, claims);
  const { spec } = document;
  const problems = new Problems(document);
  const reasons = new Reasons(document);
  checkPlatform(spec, host, problems);
  checkNamespaces(spec, host, problems);
  const maps = spec.namespaces.user.kind === 'private' ? mapsFor(document, host, claims) : undefined;
  if (maps !== undefined) checkMaps(problems, document, host, maps);
  const namespaces = compileNamespaces(document, host, reasons, problems, claims.joined?.path);
  const limits = compileLimits(document, host, reasons, problems);
  const network =
    document.spec.network === undefined
      ? undefined
      : compileNetwork(document, host, claims, limits.rates, reasons, problems);
  const process = compileProcess(document, image, host, maps, overrides, reasons, problems);
  const execs = compileExecs({ spec, image, maps, process, reasons, problems });
  if (network !== undefined) checkNetworkCapabilities(network, process.capabilities.bounding, document, problems);
  checkJoinedUser(document, process.capabilities.bounding, problems);
  const { files: ownFiles, home } = compileOwnFiles(
    document,
    image,
    host,
    accountFor(spec, image, host, process.user),
    network,
    reasons,
  );
  const context = { document, host, maps, user: process.user, reasons, problems };
  const mounts = compileMounts(context, limits.resources !== undefined);
  const { devices, rules } = compileDevices(spec, host, reasons, problems);
  const filter = compileSeccompChoice(spec, process.capabilities.bounding, host, problems);
  const restricted = compileRestrictedPaths(spec, reasons, problems);
  const stop = compileStop(spec, image, reasons, problems);
  const writable = writableOf(spec, host, reasons, problems);
  if (spec.systemd) checkSystemd(spec, host, process.user.uid, maps, problems);
  const sysctl = compileSysctls(spec, host, maps?.gidMap, reasons, problems);
  const pidMax = compilePidMax(spec, host, limits.resources, reasons);
  problems.throwIfAny();

  const ownRoot = spec.namespaces.mount.kind === 'private';
  const ociMaps = (list: Ownership['uidMap']) =>
    list.map((map) => ({ containerID: map.container, hostID: map.host, size: map.size }));
  const hostname = spec.namespaces.uts.kind === 'private' ? (spec.hostname ?? spec.name) : undefined;
  const config: Omit<OciBase, 'ociVersion'> = {
    process,
    root: { path: image === undefined ? '/' : 'rootfs', readonly: spec.readOnly },
    ...(hostname === undefined ? {} : { hostname }),
    ...(spec.domainname === undefined ? {} : { domainname: spec.domainname }),
    ...(spec.annotations === undefined ? {} : { annotations: spec.annotations }),
    linux: {
      namespaces,
      ...(maps === undefined ? {} : { uidMappings: ociMaps(maps.uidMap), gidMappings: ociMaps(maps.gidMap) }),
      ...(ownRoot ? { rootfsPropagation: 'private' } : {}),
      ...(ownRoot || limits.resources !== undefined
        ? { resources: { ...limits.resources, ...(ownRoot ? { devices: rules } : {}) } }
        : {}),
      ...(filter.seccomp === undefined ? {} : { seccomp: filter.seccomp }),
      ...(Object.keys(sysctl).length === 0 ? {} : { sysctl }),
      ...(ownRoot ? restricted : {}),
    },
  };
  reasons.set('root', 'image', 'image');
  reasons.set('root.readonly', 'read_only', 'writable root');
  reasons.set('hostname', 'hostname', 'hostname is the name');
  reasons.set('domainname', 'domainname', 'domainname');
  reasons.set('init', 'init', 'init');
  reasons.set('systemd', 'init', 'systemd');
  reasons.set('logging', 'logging', 'log');
  reasons.set('sockets', 'socket_activation', 'sockets');
  reasons.set('privileged', 'privileged', 'privileged');
  reasons.set('linux.namespaces', 'namespaces', 'all namespaces private');
  const mapKey = (own: 'uid_map' | 'gid_map', other: 'uid_map' | 'gid_map'): SpecPath =>
    spec.keepId ? 'keep_id' : document.where(own) === undefined ? other : own;
  reasons.set('linux.uidMappings', mapKey('uid_map', 'gid_map'), 'uid map');
  reasons.set('linux.gidMappings', mapKey('gid_map', 'uid_map'), 'gid map');
  const filterKey = spec.privileged && spec.seccomp === undefined ? 'privileged' : 'seccomp';
  if (spec.seccomp?.kind === 'default') reasons.byDefault('linux.seccomp', 'system call filter');
  else reasons.set('linux.seccomp', filterKey, 'system call filter');
  const because = (path: ConfigPath): Because => reasons.find(path);
  return {
    name: spec.name,
    config: { ociVersion: ociVersion(config), ...config },
    mounts,
    devices: ownRoot ? devices : [],
    writable,
    init: spec.init,
    ...(spec.systemd ? { systemd: true } : {}),
    ...(pidMax === undefined ? {} : { pidMax }),
    stdinOpen: overrides.stdinOpen ?? spec.stdinOpen,
    ...(spec.socketActivation === true ? { takesSockets: true } : {}),
    ...stop,
    logging: spec.logging ?? DEFAULT_LOGGING,
    ...(execs.length === 0 ? {} : { execs }),
    ...(network === undefined ? {} : { network }),
    because,
    reasons: reasons.all,
    dropped: limits.dropped,
    demands: demandsOf(document, { config, because, mounts, devices }, host),
    warnings: [
      ...warningsOf(spec, reasons),
      ...(network === undefined ? [] : networkWarnings(document, network, reasons)),
      ...unreadFiles(document),
    ],
    borrowed: [...document.borrowed.filter(({ path }) => !isContent(path)), ...ofCommandLine(overrides)],
    contents: (spec.given ?? []).map(({ content }) => content),
    ...(spec.labels === undefined ? {} : { labels: spec.labels }),
    landlock: spec.landlock,
    ownFiles,
    ...(home === undefined ? {} : { home }),
    keepGroups: spec.keepGroups,
    ...(host.setsGroups ? {} : { deniesGroups: true as const }),
    ...(filter.observes === undefined ? {} : { observes: filter.observes }),
  };
}

/** On another machine, execve(2) of the image's programs would fail with ENOEXEC. */
function checkPlatform({ platform, image }: Spec, host: HostFacts, problems: Problems): void {
  // Of a reference it chooses the image, and that one is looked at.
  if (platform === undefined || image?.kind === 'reference' || platform === GO_NAMES[host.arch]) return;
  const message = `the file is for ${platform}, and this machine is ${GO_NAMES[host.arch]}`;
  problems.add(
    'E_PLATFORM',
    'platform',
    message,
    'take `platform` out if the image is for this machine, or run it on another',
  );
}

const GO_NAMES = { x86_64: 'linux/amd64', aarch64: 'linux/arm64' } as const;

/** overlayfs refuses an upper folder that is on overlayfs itself, as the store is inside most containers. */
function writableOf(spec: Spec, host: HostFacts, reasons: Reasons, problems: Problems): Model['writable'] {
  const nested = host.storeType === OVERLAY;
  const label = nested
    ? 'the store is on an overlay: what is written stays in memory'
    : 'what is written goes to the disk';
  reasons.set('root.writable', spec.readOnly ? 'read_only' : 'writable', label);
  if (spec.readOnly || spec.writable === 'tmpfs') return 'tmpfs';
  if (nested && spec.writable === 'disk') {
    const message = `what the container writes cannot lie in the store ${host.dirs.store}, which is on an overlay itself`;
    const hint =
      'say `writable: tmpfs`, or set BOXCTL_STORE to a folder on ext4, xfs or btrfs: in a container, to a volume';
    problems.add('E_STORE_OVERLAY', 'writable', message, hint);
  }
  return nested ? 'tmpfs' : 'disk';
}

/**
 * The model without its image. Users, groups and the command are placeholders where the image would give them. It shows what
 * the file demands of the host, before anything of the image is read. Throws as `compile` does.
 */
export function outline(document: SpecDocument, host: HostFacts): Model {
  const { user: _user, postStart: _postStart, preStop: _preStop, ...spec } = document.spec;
  const command = spec.command === undefined && spec.entrypoint === undefined ? { command: ['true'] } : {};
  const known = { ...document, spec: { ...spec, groupAdd: [] } };
  return compile(known, spec.image === undefined ? undefined : UNKNOWN_IMAGE, host, command);
}
