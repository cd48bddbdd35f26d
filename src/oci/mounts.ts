/** The file systems that a container sees: the standard ones, then what the file mounts. */
import type { HostFacts } from '../host/facts.ts';
import type { Ownership } from '../image/image.ts';
import type { NamespaceKind, Spec, Volume } from '../spec/spec.ts';
import type { OciMount } from './config.ts';
import { defaultMounts } from './defaults.ts';
import type { Problems } from './problems.ts';
import type { Reasons } from './reasons.ts';
import { isMapped } from './users.ts';

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

export interface CompiledMounts {
  readonly mounts: OciMount[];
  readonly fileMounts: readonly number[];
}

/** In the order in which they are attached: what lies in another mount comes after it. */
export function compileMounts(
  spec: Spec,
  host: HostFacts,
  maps: Ownership | undefined,
  reasons: Reasons,
  problems: Problems,
  hasLimits: boolean,
): CompiledMounts {
  if (spec.namespaces.mount.kind !== 'private') return { mounts: [], fileMounts: [] };
  const isPrivate = (kind: NamespaceKind): boolean => spec.namespaces[kind].kind === 'private';
  const hostUser = spec.namespaces.user.kind === 'host';
  const standard = defaultMounts({
    ownsPid: hostUser || isPrivate('pid'),
    ownsNetwork: hostUser || isPrivate('net'),
    ownsIpc: hostUser || isPrivate('ipc'),
    showsCgroup: isPrivate('cgroup') && (host.cgroup.layout === 'v2' || hasLimits),
    isGroupMapped: (gid) => isMapped(maps?.gidMap, gid),
  });
  for (const volume of spec.volumes) {
    const forbidden = ['/proc', '/sys'].find((folder) => isWithin(volume.target, folder));
    if (forbidden !== undefined || volume.target === '/dev' || volume.target === '/') {
      problems.add(
        'E_MOUNT_TARGET',
        volume.specPath,
        `nothing can be mounted at ${volume.target}: ${forbidden ?? volume.target} is the container's own`,
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
