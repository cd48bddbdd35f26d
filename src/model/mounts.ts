/** The file systems that a container sees: the standard ones, and what the file mounts. */
import type { HostFacts } from '../host/facts.ts';
import type { Ownership } from './image.ts';
import { quoted } from '../text/quote.ts';
import type {
  BindVolume,
  GivenFile,
  NamedVolume,
  NamespaceKind,
  PlacedVolume,
  Spec,
  SpecDocument,
  TmpfsVolume,
} from '../spec/spec.ts';
import type { OciProcess } from '../oci/config.ts';
import { defaultMounts } from './defaults.ts';
import { idmapFor } from './idmap.ts';
import type { BindMount, Mount, StoredVolume } from './mount.ts';
import { isInKernelFolder, refuseTarget, type Targeted } from './mount-targets.ts';
import type { Problems } from './problems.ts';
import type { Reasons } from './reasons.ts';
import type { SpecPath } from '../spec/spec-path.ts';
import { unmapped } from './unmapped.ts';
import { isMapped } from './users.ts';
import { volumeId, volumeSource } from './volume-id.ts';

/** The words with an `r` are for the mounts below the source too (runtime-spec, "Linux mount options"). */
function bindOptions({ recursive, readOnly, flags, propagation }: BindVolume): readonly string[] {
  const r = recursive === 'disabled' ? '' : 'r';
  const ro = recursive === 'writable' ? 'ro' : `${r}ro`;
  return [...['nosuid', 'nodev', ...flags].map((flag) => `${r}${flag}`), readOnly ? ro : 'rw', propagation];
}

function tmpfsOptions({ mode, size, nrInodes, uid, gid, flags, readOnly }: TmpfsVolume): readonly string[] {
  const options = ['nosuid', 'nodev', ...flags, `mode=${(mode ?? 0o1777).toString(8).padStart(4, '0')}`];
  if (size !== undefined) options.push(`size=${size}`);
  if (nrInodes !== undefined) options.push(`nr_inodes=${nrInodes}`);
  if (uid !== undefined) options.push(`uid=${uid}`);
  if (gid !== undefined) options.push(`gid=${gid}`);
  if (readOnly) options.push('ro');
  return options;
}

/** A mount inside another one comes after it. Otherwise the order of the file is kept. */
function byDepth<T extends { readonly target: string }>(all: readonly T[]): readonly T[] {
  const depth = (target: string): number => target.split('/').length;
  return all.toSorted((a, b) => depth(a.target) - depth(b.target));
}

/** What the compilation of a mount looks at. */
export interface MountContext {
  readonly document: SpecDocument;
  readonly host: HostFacts;
  /** Of the container's own user namespace. */
  readonly maps: Ownership | undefined;
  /** Who the command runs as. */
  readonly user: OciProcess['user'];
  readonly reasons: Reasons;
  readonly problems: Problems;
}

interface Owned {
  readonly type: string;
  readonly uid?: number;
  readonly gid?: number;
  readonly specPath: SpecPath;
}

/** The root of a tmpfs, a new volume and a file in memory belong to ids that exist inside. */
function checkOwner(volume: Owned, { document, host, maps, problems }: MountContext): void {
  for (const [what, id, list] of [
    ['user', volume.uid, maps?.uidMap],
    ['group', volume.gid, maps?.gidMap],
  ] as const) {
    if (id === undefined || isMapped(list, id)) continue;
    const [why, hint] = unmapped(what, id, maps, document.spec, host);
    problems.add('E_MOUNT_OWNER', volume.specPath, `the ${volume.type} cannot belong to it: ${why}`, hint);
  }
}

function checkTarget(volume: Targeted & { readonly specPath: SpecPath }, problems: Problems): void {
  const refusal = refuseTarget(volume);
  if (refusal === undefined) return;
  const message = `nothing can be mounted at ${quoted(volume.target)}: ${refusal.reason}`;
  problems.add('E_MOUNT_TARGET', volume.specPath, message, refusal.hint);
}

function checkPropagation({ propagation, specPath }: PlacedBind, spec: Spec, problems: Problems): void {
  if (!propagation.endsWith('shared') || spec.namespaces.user.kind === 'host') return;
  const message = `\`${propagation}\` would let the container mount on the host, and its user namespace is not the host's`;
  const hint = 'take `rslave`, by which only the host’s mounts are seen inside';
  problems.add('E_MOUNT_SHARED', `${specPath}.bind.propagation`, message, hint);
}

function storedVolume(volume: NamedVolume, { document, user }: MountContext): StoredVolume {
  const { source: name, target, nocopy, subpath, uid, gid, mode } = volume;
  const isInAnother = document.spec.volumes.some((other) => target.startsWith(`${other.target}/`));
  return {
    name,
    id: volumeId(document, name),
    folder: document.folder,
    copy: !nocopy && !isInAnother,
    ...(subpath === undefined ? {} : { subpath }),
    owner: { uid: user.uid, gid: user.gid },
    given: {
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
      ...(mode === undefined ? {} : { mode }),
    },
  };
}

function bindMount(volume: PlacedBind, { host, maps, user, problems }: MountContext): Omit<BindMount, keyof Placed> {
  const idmap =
    volume.idmap === true ? idmapFor(`${volume.specPath}.bind.idmap`, user, host, maps, problems) : undefined;
  return {
    kind: 'bind',
    source: volume.source,
    options: bindOptions(volume),
    recursive: volume.recursive !== 'disabled',
    isFile: volume.isFile,
    create: volume.create,
    translated: volume.idmap !== false,
    ...(idmap === undefined ? {} : { maps: idmap }),
    guards: volume.guards ?? [],
    unprotected: volume.protect === false,
  };
}

type Placed = Pick<Mount, 'target' | 'asked' | 'because'>;
type PlacedBind = Extract<PlacedVolume, BindVolume>;

/** A mount that the specification asks for. */
function mountOf(volume: PlacedVolume, context: MountContext): Mount {
  const { document, host, problems } = context;
  const because = context.reasons.of(volume.specPath, 'volume');
  const placed: Placed = { target: volume.target, asked: true, because };
  checkTarget(volume, problems);
  if (volume.type === 'bind') {
    checkPropagation(volume, document.spec, problems);
    return { ...placed, ...bindMount(volume, context) };
  }
  checkOwner(volume, context);
  if (volume.type === 'tmpfs') {
    return { ...placed, kind: 'new', type: 'tmpfs', source: 'tmpfs', options: tmpfsOptions(volume) };
  }
  const options = ['nosuid', 'nodev', ...volume.flags, volume.readOnly ? 'ro' : 'rw', 'private'];
  const source = volumeSource(host, document, volume);
  return { ...placed, kind: 'volume', source, options, volume: storedVolume(volume, context) };
}

/** A secret or a config, which is the command's user's where the file says nothing else. */
function givenMount(
  { kind: what, name, target, mode, ...given }: GivenFile,
  index: number,
  context: MountContext,
): Mount {
  const { specPath, uid, gid } = given;
  checkTarget({ target, type: what, specPath }, context.problems);
  checkOwner(
    { type: what, specPath, ...(uid === undefined ? {} : { uid }), ...(gid === undefined ? {} : { gid }) },
    context,
  );
  return {
    kind: 'given',
    target,
    options: ['nosuid', 'nodev', 'noexec', 'ro', 'private'],
    asked: true,
    because: context.reasons.of(specPath, what),
    what,
    name,
    source: `${what} ${name}`,
    index,
    uid: uid ?? context.user.uid,
    gid: gid ?? context.user.gid,
    mode,
  };
}

/** What every container has, where the file mounts nothing of its own. */
function standardMounts({ document, host, maps, reasons }: MountContext, hasLimits: boolean): readonly Mount[] {
  const { spec } = document;
  const isPrivate = (kind: NamespaceKind): boolean => spec.namespaces[kind].kind === 'private';
  /** A namespace is shown by those who are root in the user namespace that owns it. */
  const isJoinedWithUser = (kind: NamespaceKind): boolean =>
    spec.namespaces[kind].kind === 'path' && spec.namespaces.user.kind === 'path';
  const hostUser = spec.namespaces.user.kind === 'host';
  const owns = (kind: NamespaceKind): boolean => hostUser || isPrivate(kind) || isJoinedWithUser(kind);
  const standard = defaultMounts({
    ownsPid: owns('pid'),
    ownsNetwork: owns('net'),
    ownsIpc: owns('ipc'),
    // The host's /sys shows the host's cgroups. They are covered, even where the container has none of its own to show.
    showsCgroup: isPrivate('cgroup') && (host.cgroup.layout === 'v2' || hasLimits || !owns('net') || spec.systemd),
    writesCgroup: spec.systemd,
    shmSize: spec.shmSize,
    // What a joined user namespace maps is not known.
    isGroupMapped: (gid) => spec.namespaces.user.kind !== 'path' && isMapped(maps?.gidMap, gid),
  });
  const replaced = new Set([...spec.volumes, ...(spec.given ?? [])].map(({ target }) => target));
  return standard
    .filter(({ target }) => !replaced.has(target))
    .map((mount) =>
      mount.target === '/dev/shm' ? { ...mount, because: reasons.of('shm_size', 'mount /dev/shm') } : mount,
    );
}

/** All mounts of a container, in the order in which they are attached. */
export function compileMounts(context: MountContext, hasLimits: boolean): readonly Mount[] {
  const { spec } = context.document;
  if (spec.namespaces.mount.kind !== 'private') return [];
  const given = (spec.given ?? []).map((file, index) => givenMount(file, index, context));
  const asked = byDepth([...spec.volumes.map((volume) => mountOf(volume, context)), ...given]);
  const isInKernels = ({ target }: Mount): boolean => isInKernelFolder(target);
  return [
    // Before /proc, /sys and /dev: if a link of the image leads a target into one of them, that one covers it.
    ...asked.filter((mount) => !isInKernels(mount)),
    ...standardMounts(context, hasLimits),
    ...asked.filter(isInKernels),
  ];
}
