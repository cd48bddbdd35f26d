/**
 * /sys/fs/cgroup as the container sees it: its own cgroups, read-only, so that programs find their limits. One file
 * system on version 2; on version 1 a folder with one for each hierarchy, once the container has a limit.
 */
import { NO_FD, type Fd } from '../kernel/calls.ts';
import { MOUNT_ATTR } from '../kernel/constants.ts';
import { SYSTEMD_HIERARCHY } from '../model/systemd.ts';
import type { PlanContext } from './context.ts';
import { shownHierarchies } from './limits.ts';
import { newFileSystem, type NewFileSystem } from './filesystem.ts';
import { attachTo, EMPTY_PATH, type Place } from './steps.ts';

export interface CgroupView {
  readonly fd: Fd;
  readonly parts: readonly { readonly name: string; readonly fd: Fd }[];
}

/** Made right after unshare(CLONE_NEWCGROUP): the file system shows the cgroup that is the root of the cgroup namespace. */
export function makeCgroupView(context: PlanContext, place: Place, id: string, options: NewFileSystem): CgroupView {
  const { steps, host } = context;
  if (host.cgroup.layout === 'v2') return { fd: newFileSystem(steps, place, id, 'cgroup2', options), parts: [] };
  const parts = shownHierarchies(context).map(({ names }) => {
    const name = names.join(',').replace(/^name=/u, '');
    const data = names.map((word) => option(word));
    const isOwn = context.model.systemd === true && names.includes(SYSTEMD_HIERARCHY);
    const attributes = isOwn ? options.attributes : options.attributes | MOUNT_ATTR.MOUNT_ATTR_RDONLY;
    const fd = newFileSystem(steps, place, `${id}.${name}`, 'cgroup', { attributes, data });
    return { name, fd };
  });
  // Read-only once it is filled.
  const attributes = parts.length === 0 ? options.attributes : options.attributes & ~MOUNT_ATTR.MOUNT_ATTR_RDONLY;
  return { fd: newFileSystem(steps, place, id, 'tmpfs', { attributes, data: [['mode', '0755']] }), parts };
}

/** A controller, or the name of a hierarchy that has none. */
function option(word: string): readonly [key: string, value: string | undefined] {
  return word.startsWith('name=') ? ['name', word.slice('name='.length)] : [word, undefined];
}

/** Attaches each hierarchy in the folder. The folder must have been attached before. */
export function fillCgroupView(
  { steps }: PlanContext,
  place: Place,
  id: string,
  view: { readonly fd: Fd; readonly parts?: CgroupView['parts'] },
): void {
  if (view.parts === undefined || view.parts.length === 0) return;
  for (const { name, fd } of view.parts) {
    steps.add(place, `${id}.${name}.mkdir`, 'mkdirat', { dirfd: view.fd, pathname: name, mode: 0o755 });
    attachTo(steps, place, `${id}.${name}.attach`, fd, view.fd, name);
    // Programs look for a controller under its own name.
    for (const linkpath of name.includes(',') ? name.split(',') : []) {
      const args = { target: name, newdirfd: view.fd, linkpath };
      steps.add(place, `${id}.${linkpath}.link`, 'symlinkat', args, { undo: 'kernel' });
    }
  }
  steps.add(place, `${id}.attributes`, 'mount_setattr', {
    dirfd: view.fd,
    pathname: '',
    flags: EMPTY_PATH,
    attr_set: MOUNT_ATTR.MOUNT_ATTR_RDONLY,
    attr_clr: 0,
    propagation: 0,
    userns_fd: NO_FD,
  });
}
