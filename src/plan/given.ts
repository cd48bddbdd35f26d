/**
 * Secrets and configs: files in the memory of the container, with what the launcher was handed beside the plan
 * (src/launcher/contents.ts). The plan has their places and owners, and no byte of what is in them.
 */
import type { GivenMount } from '../model/mount.ts';
import type { Fd } from '../kernel/calls.ts';
import { AT, O, OPEN_TREE } from '../kernel/constants.ts';
import { inside, type PlanContext } from './context.ts';
import { parseMountOptions, setAttributes } from './filesystem.ts';
import { splitPath, type Place } from './steps.ts';

const NO_MEMORY = { ENOSPC: 'there is no room for it in memory', ENOMEM: 'there is no room for it in memory' };

export interface PreparedGiven {
  readonly mount: GivenMount;
  readonly id: string;
  /** A detached mount of the file alone. */
  readonly fd: Fd;
}

/** Makes them in the file system in memory that `scratch` is, where nobody but the container's first process comes. */
export function makeGiven(context: PlanContext, scratch: Fd): readonly PreparedGiven[] {
  return context.model.mounts
    .filter((mount) => mount.kind === 'given')
    .map((mount) => {
      const id = `mount.${splitPath(mount.target).join('.')}`;
      return { mount, id, fd: makeOne(context, scratch, mount, id) };
    });
}

function makeOne({ steps }: PlanContext, scratch: Fd, mount: GivenMount, id: string): Fd {
  const place: Place = { ...inside('mounts', mount.because), hints: NO_MEMORY };
  const pathname = `given.${mount.index}`;
  const at = { dirfd: scratch, pathname };
  const flags = O.O_WRONLY | O.O_CREAT | O.O_EXCL | O.O_CLOEXEC;
  const made = steps.add(place, `${id}.new`, 'openat2', { ...at, flags, mode: 0o600, resolve: 0 }, { undo: 'kernel' });
  steps.add(place, `${id}.content`, 'write_given', { fd: made, index: mount.index });
  // A change of the owner clears bits of the mode, so that comes after it.
  steps.add(place, `${id}.owner`, 'fchownat', {
    ...at,
    owner: mount.uid,
    group: mount.gid,
    flags: AT.AT_SYMLINK_NOFOLLOW,
  });
  steps.add(place, `${id}.mode`, 'fchmodat', { ...at, mode: mount.mode });
  const clone = { ...at, flags: OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC };
  const fd = steps.add(place, `${id}.source`, 'open_tree', clone, { undo: 'kernel' });
  setAttributes(steps, place, id, fd, parseMountOptions(mount.options));
  return fd;
}
