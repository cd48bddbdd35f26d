/** Steps that make and open the folder of a cgroup. The kernel does not remove it by itself: `undo` does. */
import { AT_FDCWD, type Fd } from '../kernel/calls.ts';
import { O } from '../kernel/constants.ts';
import { CONTAINER } from './cgroup-layout.ts';
import type { PlanContext } from './context.ts';
import { call, type Place } from './steps.ts';

const MODE = 0o755;
const FOLDER = { flags: O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC, mode: 0, resolve: 0 };
const FILE = { flags: O.O_WRONLY | O.O_CLOEXEC, mode: 0, resolve: 0 };

/** `path` is absolute, and may hold `$ID`. */
export function mkdirCgroup({ steps }: PlanContext, place: Place, id: string, path: string): void {
  const pathname = { template: path };
  const undo = [call('remove_cgroup', { dirfd: AT_FDCWD, pathname })];
  steps.add(place, `${id}.mkdir`, 'mkdirat', { dirfd: AT_FDCWD, pathname, mode: MODE }, { undo });
}

export function openFolder(
  { steps }: PlanContext,
  place: Place,
  id: string,
  pathname: string | { readonly template: string },
): Fd {
  return steps.add(place, id, 'openat2', { dirfd: AT_FDCWD, pathname, ...FOLDER });
}

/** The container's own cgroup in an outer one. */
export function mkdirInner({ steps }: PlanContext, place: Place, id: string, outer: Fd): void {
  const undo = [call('remove_cgroup', { dirfd: outer, pathname: CONTAINER })];
  steps.add(place, `${id}.mkdir`, 'mkdirat', { dirfd: outer, pathname: CONTAINER, mode: MODE }, { undo });
}

export function openInner({ steps }: PlanContext, place: Place, id: string, outer: Fd): Fd {
  return steps.add(place, id, 'openat2', { dirfd: outer, pathname: CONTAINER, ...FOLDER });
}

/** The file of version 1 through which a process joins. */
export function openTasks(
  { steps }: PlanContext,
  place: Place,
  id: string,
  dirfd: Fd | typeof AT_FDCWD,
  pathname: string | { readonly template: string },
): Fd {
  return steps.add(place, `${id}.tasks`, 'openat2', { dirfd, pathname, ...FILE });
}
