/**
 * What boxctl does for a container by steps of its own, as mounts that other runtimes make: the container's names and
 * accounts, its user's home, and what is covered under a bind.
 */
import { chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { ImageFacts } from '../model/image.ts';
import type { Model, OwnFile } from '../model/model.ts';
import { ociMount } from '../model/as-oci.ts';
import type { Mount } from '../model/mount.ts';
import type { OciMount } from '../oci/config.ts';

/** In the bundle: sources of binds may be relative to it (config.md of the runtime specification, "Mounts"). */
export const FILES = 'files';

export interface BundleMounts {
  readonly mounts: readonly OciMount[];
  /** How the bundle differs from what boxctl does: sentences without a full stop. */
  readonly differs: readonly string[];
}

/** Writes the files that are the container's own; `owner`: of the container's root on the host. */
export function writeParts(
  dir: string,
  { ownFiles, home, mounts: everything }: Model,
  image: ImageFacts,
  owner: { readonly uid: number; readonly gid: number } | undefined,
): BundleMounts {
  // Neither a secret nor what is like one is written to a disk.
  const all = everything.filter(({ kind }) => kind !== 'given');
  const given = everything.filter(({ kind }) => kind === 'given');
  const own = [...ownFiles.values()];
  if (own.length > 0) mkdirSync(join(dir, FILES), { mode: 0o755 });
  const binds = contents(own, image).map(([path, content]): OciMount => {
    const source = `${FILES}/${basename(path)}`;
    writeFileSync(join(dir, source), content, { mode: 0o644, flag: 'wx' });
    if (owner !== undefined) chownSync(join(dir, source), owner.uid, owner.gid);
    return { destination: path, type: 'bind', source, options: ['bind', 'nosuid', 'nodev'] };
  });
  const homes: readonly OciMount[] =
    home === undefined || home.inMount
      ? []
      : [
          {
            destination: home.path,
            type: 'tmpfs',
            source: 'tmpfs',
            options: ['nosuid', 'nodev', 'mode=755', `uid=${home.uid}`, `gid=${home.gid}`],
          },
        ];
  // The mounts of the file come after boxctl's own, since a mount point may lie in one of those.
  const asked = all.findIndex((mount) => mount.asked);
  const first = asked < 0 ? all.length : asked;
  const guarded = all.slice(first).map(guardMounts);
  return {
    mounts: [...all.slice(0, first).map(ociMount), ...homes, ...binds, ...guarded.flatMap(({ mounts }) => mounts)],
    differs: [
      ...guarded.flatMap(({ differs }) => differs),
      ...given.map(
        ({ source, target }) => `the ${source} is not in it: give it to the runtime as a mount at ${target}`,
      ),
      ...(homes.length > 0 ? [`${home?.path} is in memory`] : []),
      ...(home?.inMount === true ? [`${home.path} is not made`] : []),
    ],
  };
}

/** The content of the files: the image's lines first, then those that boxctl adds. */
function contents(own: readonly OwnFile[], image: ImageFacts): readonly (readonly [path: string, content: string])[] {
  const before: Readonly<Record<string, string>> = { '/etc/passwd': image.passwd, '/etc/group': image.group };
  return own.map(({ path, content, adds }) => [path, adds ? `${before[path] ?? ''}${content}` : content]);
}

/** The bind, and over it what the container must not change. What would have to be made first is told. */
function guardMounts(mount: Mount): BundleMounts {
  const bind = ociMount(mount);
  const guards = mount.kind === 'bind' ? mount.guards : [];
  const whole = guards.some(({ path }) => path === '');
  const options = bind.options ?? [];
  const parts = guards.filter(({ path, make }) => path !== '' && make === undefined);
  const over = parts.map(({ path, writable }): OciMount => ({
    ...bind,
    destination: join(bind.destination, path),
    source: join(bind.source ?? '', path),
    options: writable ? options : [...options.filter((word) => word !== 'rw'), 'ro'],
  }));
  return {
    mounts: [whole ? { ...bind, options: [...options.filter((word) => word !== 'rw'), 'ro'] } : bind, ...over],
    differs: guards
      .filter(({ make }) => make !== undefined)
      .map(({ path }) => `the container can make ${join(bind.source ?? '', path)}, which the host believes`),
  };
}
