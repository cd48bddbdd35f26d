/** The file systems that a container sees: the standard ones, and what the file mounts. */
import type { HostFacts } from '../host/facts.ts';
import type { Ownership } from './image.ts';
import { quoted } from '../text/quote.ts';
import type {
  BindVolume,
  NamedVolume,
  NamespaceKind,
  PlacedVolume,
  Spec,
  SpecDocument,
  TmpfsVolume,
  Volume,
} from '../spec/spec.ts';
import type { OciMount, OciProcess } from '../oci/config.ts';
import { defaultMounts } from './defaults.ts';
import { idmapFor, type MountMaps } from './idmap.ts';
import type { MountNote } from './model.ts';
import { isInKernelFolder, refuseTarget } from './mount-targets.ts';
import type { Problems } from './problems.ts';
import type { Reasons } from './reasons.ts';
import { unmapped } from './unmapped.ts';
import { isMapped } from './users.ts';
import { volumeId, volumeSource } from './volume-id.ts';

/** The words with an `r` are for the mounts below the source too (runtime-spec, "Linux mount options"). */
function bindMount(volume: BindVolume, maps: MountMaps | undefined): OciMount {
  const { recursive, readOnly, flags, propagation } = volume;
  const r = recursive === 'disabled' ? '' : 'r';
  const ro = recursive === 'writable' ? 'ro' : `${r}ro`;
  const options = [`${r}bind`, ...['nosuid', 'nodev', ...flags].map((flag) => `${r}${flag}`), readOnly ? ro : 'rw'];
  options.push(propagation, ...(maps === undefined ? [] : [`${r}idmap`]));
  return { destination: volume.target, type: 'bind', source: volume.source, options, ...maps };
}

function namedMount(volume: NamedVolume, source: string): OciMount {
  const options = ['bind', 'nosuid', 'nodev', ...volume.flags, volume.readOnly ? 'ro' : 'rw', 'private'];
  return { destination: volume.target, type: 'bind', source, options };
}

function tmpfsMount({ target, mode, size, nrInodes, uid, gid, flags, readOnly }: TmpfsVolume): OciMount {
  const options = ['nosuid', 'nodev', ...flags, `mode=${(mode ?? 0o1777).toString(8).padStart(4, '0')}`];
  if (size !== undefined) options.push(`size=${size}`);
  if (nrInodes !== undefined) options.push(`nr_inodes=${nrInodes}`);
  if (uid !== undefined) options.push(`uid=${uid}`);
  if (gid !== undefined) options.push(`gid=${gid}`);
  if (readOnly) options.push('ro');
  return { destination: target, type: 'tmpfs', source: 'tmpfs', options };
}

/** What lies in another mount comes after it; beside that, the file's order stays. */
function byDepth(volumes: SpecDocument['spec']['volumes']): SpecDocument['spec']['volumes'] {
  const depth = (target: string): number => target.split('/').length;
  return volumes.toSorted((a, b) => depth(a.target) - depth(b.target));
}

/** The root of a tmpfs, and a new volume, belong to ids that exist inside. */
function checkOwner(
  volume: Exclude<PlacedVolume, BindVolume>,
  maps: Ownership | undefined,
  spec: Spec,
  host: HostFacts,
  problems: Problems,
): void {
  for (const [what, id, list] of [
    ['user', volume.uid, maps?.uidMap],
    ['group', volume.gid, maps?.gidMap],
  ] as const) {
    if (id === undefined || isMapped(list, id)) continue;
    const [why, hint] = unmapped(what, id, maps, spec, host);
    problems.add('E_MOUNT_OWNER', volume.specPath, `the ${volume.type} cannot belong to it: ${why}`, hint);
  }
}

export interface CompiledMounts {
  readonly mounts: OciMount[];
  readonly mountNotes: ReadonlyMap<number, MountNote>;
}

export function compileMounts(
  document: SpecDocument,
  host: HostFacts,
  maps: Ownership | undefined,
  user: OciProcess['user'],
  reasons: Reasons,
  problems: Problems,
  hasLimits: boolean,
): CompiledMounts {
  const { spec } = document;
  if (spec.namespaces.mount.kind !== 'private') return { mounts: [], mountNotes: new Map() };
  const isPrivate = (kind: NamespaceKind): boolean => spec.namespaces[kind].kind === 'private';
  /** A namespace is shown by those who are root in the user namespace that owns it. */
  const isJoinedWithUser = (kind: NamespaceKind): boolean =>
    spec.namespaces[kind].kind === 'path' && spec.namespaces.user.kind === 'path';
  const hostUser = spec.namespaces.user.kind === 'host';
  const ownsNetwork = hostUser || isPrivate('net') || isJoinedWithUser('net');
  const standard = defaultMounts({
    ownsPid: hostUser || isPrivate('pid') || isJoinedWithUser('pid'),
    ownsNetwork,
    ownsIpc: hostUser || isPrivate('ipc') || isJoinedWithUser('ipc'),
    // In the host's /sys are the host's cgroups, which are covered even by nothing.
    showsCgroup: isPrivate('cgroup') && (host.cgroup.layout === 'v2' || hasLimits || !ownsNetwork || spec.systemd),
    writesCgroup: spec.systemd,
    shmSize: spec.shmSize,
    // What a joined user namespace maps is not known.
    isGroupMapped: (gid) => spec.namespaces.user.kind !== 'path' && isMapped(maps?.gidMap, gid),
  });
  const mountOf = (volume: PlacedVolume): OciMount => {
    const refusal = refuseTarget(volume);
    if (refusal !== undefined) {
      const message = `nothing can be mounted at ${quoted(volume.target)}: ${refusal.reason}`;
      problems.add('E_MOUNT_TARGET', volume.specPath, message, refusal.hint);
    }
    if (volume.type !== 'bind') checkOwner(volume, maps, spec, host, problems);
    if (volume.type === 'volume') return namedMount(volume, volumeSource(host, document, volume));
    if (volume.type === 'bind') {
      if (volume.propagation.endsWith('shared') && !hostUser) {
        const message = `\`${volume.propagation}\` would let the container mount on the host, and its user namespace is not the host's`;
        const hint = 'take `rslave`, by which only the host’s mounts are seen inside';
        problems.add('E_MOUNT_SHARED', `${volume.specPath}.bind.propagation`, message, hint);
      }
      const idmap =
        volume.idmap === true ? idmapFor(`${volume.specPath}.bind.idmap`, user, host, maps, problems) : undefined;
      return bindMount(volume, idmap);
    }
    return tmpfsMount(volume);
  };
  const noteOf = (volume: Volume): MountNote => ({
    isFile: volume.type === 'bind' && volume.isFile,
    create: volume.type === 'bind' ? volume.create : [],
    translated: volume.type !== 'bind' || volume.idmap !== false,
    ...(volume.type === 'bind' && volume.protect === false ? { unprotected: true } : {}),
    ...(volume.type === 'bind' && volume.guards !== undefined ? { guards: volume.guards } : {}),
    ...(volume.type === 'volume'
      ? {
          volume: {
            name: volume.source,
            id: volumeId(document, volume.source),
            folder: document.folder,
            copy: !volume.nocopy && !spec.volumes.some(({ target }) => volume.target.startsWith(`${target}/`)),
            ...(volume.subpath === undefined ? {} : { subpath: volume.subpath }),
            owner: { uid: user.uid, gid: user.gid },
            given: {
              ...(volume.uid === undefined ? {} : { uid: volume.uid }),
              ...(volume.gid === undefined ? {} : { gid: volume.gid }),
              ...(volume.mode === undefined ? {} : { mode: volume.mode }),
            },
          },
        }
      : {}),
  });
  const replaced = new Set(spec.volumes.map((volume) => volume.target));
  const mounts: OciMount[] = [];
  const mountNotes = new Map<number, MountNote>();
  const addVolumes = (wanted: boolean): void => {
    for (const volume of byDepth(spec.volumes)) {
      if (isInKernelFolder(volume.target) !== wanted) continue;
      reasons.set(`mounts.${mounts.length}`, volume.specPath, 'volume');
      mountNotes.set(mounts.length, noteOf(volume));
      mounts.push(mountOf(volume));
    }
  };
  // Before the kernel's: where a link of the image leads a target into /proc, /sys or /dev, those come over it.
  addVolumes(false);
  for (const mount of standard) {
    if (replaced.has(mount.destination)) continue;
    const { destination } = mount;
    if (destination === '/dev/shm') reasons.set(`mounts.${mounts.length}`, 'shm_size', `mount ${destination}`);
    else reasons.byDefault(`mounts.${mounts.length}`, `mount ${destination}`);
    mounts.push(mount);
  }
  addVolumes(true);
  return { mounts, mountNotes };
}
