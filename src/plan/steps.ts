/** Collects steps in order. The parts of the planner write into one of these and know nothing of each other. */
import type { Because } from '../model/because.ts';
import { AT_FDCWD, rowOf, type ArgsOf, type Call, type CallName, type Fd } from '../kernel/calls.ts';
import { AT, MOVE_MOUNT, O, RESOLVE, S_IFDIR, S_IFREG } from '../kernel/constants.ts';
import type { Hints } from './hints.ts';
import type { Group, PublishedStep, Step } from './plan.ts';

export interface StepOptions {
  readonly undo?: readonly Call[] | 'kernel' | 'none';
  /** The name of the returned descriptor, when it is not the step's id. */
  readonly returns?: Fd;
  readonly allow?: readonly string[];
  readonly dependent?: true;
  readonly late?: true;
  readonly mends?: true;
  /** In place of those of `Place`. */
  readonly hints?: Hints;
  readonly messageReasons?: readonly Because[];
  readonly publishes?: PublishedStep;
}

/** Where a run of steps belongs: their heading, their side, who asked for them, and what to do when one fails. */
export interface Place {
  readonly group: Group;
  readonly side: Step['side'];
  readonly because: Because;
  readonly hints?: Hints;
  readonly meanwhile?: true;
  readonly once?: true;
}

export function byDefault(name: string): Because {
  return { kind: 'default', name };
}

export function call<N extends CallName>(
  name: N,
  args: ArgsOf<N>,
  rest: Pick<StepOptions, 'returns' | 'allow'> = {},
): Call {
  // The table and the union say the same; TypeScript cannot see it for a name that is still a parameter.
  return {
    name,
    args,
    ...(rest.returns === undefined ? {} : { returns: rest.returns }),
    ...(rest.allow === undefined ? {} : { allow: rest.allow }),
  } as unknown as Call;
}

export class Steps {
  readonly #steps: Step[] = [];
  readonly #ids = new Set<string>();
  #isMeanwhile = false;

  /** The steps of the host that `work` adds are made while the container's first process makes those before them. */
  meanwhile(work: () => void): void {
    this.#isMeanwhile = true;
    work();
    this.#isMeanwhile = false;
  }

  get list(): readonly Step[] {
    return this.#steps;
  }

  /** Adds a step and gives the name of the descriptor that it returns: the step's id, unless the options say another. */
  add<N extends CallName>(place: Place, id: string, name: N, args: ArgsOf<N>, options: StepOptions = {}): Fd {
    let unique = id;
    for (let n = 2; this.#ids.has(unique); n++) unique = `${id}#${n}`;
    this.#ids.add(unique);
    const { undo, dependent, late, mends, hints = place.hints, messageReasons, publishes, ...rest } = options;
    const { returnsFd } = rowOf(name);
    const returns = rest.returns ?? unique;
    this.#steps.push({
      id: unique,
      group: place.group,
      side: place.side,
      ...(place.meanwhile === true || (this.#isMeanwhile && place.side === 'host') ? { meanwhile: true as const } : {}),
      ...(place.once === undefined ? {} : { once: place.once }),
      ...(dependent === undefined ? {} : { dependent }),
      ...(late === undefined ? {} : { late }),
      ...(mends === undefined ? {} : { mends }),
      call: call(name, args, returnsFd === true ? { ...rest, returns } : rest),
      because: place.because,
      undo: undo ?? 'none',
      ...(messageReasons === undefined ? {} : { messageReasons }),
      ...(publishes === undefined ? {} : { publishes }),
      ...(hints === undefined ? {} : { hints }),
    });
    return returns;
  }
}

/**
 * How a path of the container's own root is opened (openat2(2)): links are followed within it, but none of /proc's own kind,
 * and none at all on the way through the kernel's file systems. Those that are there are the kernel's or boxctl's; another
 * one is somebody's trap, who would have something mounted over /proc (CVE-2019-16884).
 */
export function resolveOf(path: string): number {
  const ofKernel = ['proc', 'sys', 'dev'].includes(splitPath(path)[0] ?? '');
  return RESOLVE.RESOLVE_NO_MAGICLINKS | (ofKernel ? RESOLVE.RESOLVE_NO_SYMLINKS : RESOLVE.RESOLVE_IN_ROOT);
}

/** Opens a path of the container's root, which must be the working directory. */
export function openInRoot(
  steps: Steps,
  place: Place,
  id: string,
  path: string,
  kind: 'directory' | 'any',
  allow: readonly string[] = [],
): Fd {
  const flags = O.O_PATH | O.O_CLOEXEC | (kind === 'directory' ? O.O_DIRECTORY : 0);
  const args = { dirfd: AT_FDCWD, pathname: path, flags, mode: 0, resolve: resolveOf(path) };
  return steps.add(place, id, 'openat2', args, allow.length > 0 ? { allow } : {});
}

/** Text of somebody else's in a template: what looks like a word for the launcher is none. */
export function literal(text: string): string {
  return text.replaceAll('$', '$$$$');
}

export function splitPath(path: string): readonly string[] {
  return path.split('/').filter((part) => part !== '');
}

/**
 * Opens a folder of the container's root, which must be the working directory, and makes what is missing of it. No link is
 * followed out of the root (CVE-2021-30465 and kin); one that leads to nothing is made whole.
 */
export function makeFolder(steps: Steps, place: Place, id: string, path: string): Fd {
  return makeInRoot(steps, place, id, path, S_IFDIR | 0o755);
}

/** The same for a file, which is empty where it has to be made. */
export function makeFile(steps: Steps, place: Place, id: string, path: string): Fd {
  return makeInRoot(steps, place, id, path, S_IFREG | 0o644);
}

function makeInRoot(steps: Steps, place: Place, id: string, path: string, mode: number): Fd {
  const args = { dirfd: AT_FDCWD, pathname: path, mode, flags: 0, resolve: resolveOf(path) };
  return steps.add(place, `${id}.target`, 'make_in_root', args, { undo: 'kernel' });
}

/** Attaches a detached mount to an open target. */
export function attach(
  steps: Steps,
  place: Place,
  id: string,
  mount: Fd,
  target: Fd,
  allow: readonly string[] = [],
): void {
  const flags = MOVE_MOUNT.MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT.MOVE_MOUNT_T_EMPTY_PATH;
  const args = { from_dirfd: mount, from_pathname: '', to_dirfd: target, to_pathname: '', flags };
  steps.add(place, id, 'move_mount', args, { undo: 'kernel', ...(allow.length > 0 ? { allow } : {}) });
}

/** Attaches a detached mount to a name in a folder that boxctl made itself, where no foreign link can be. */
export function attachTo(steps: Steps, place: Place, id: string, mount: Fd, folder: Fd, name: string): void {
  const flags = MOVE_MOUNT.MOVE_MOUNT_F_EMPTY_PATH;
  const args = { from_dirfd: mount, from_pathname: '', to_dirfd: folder, to_pathname: name, flags };
  steps.add(place, id, 'move_mount', args, { undo: 'kernel' });
}

export const EMPTY_PATH = AT.AT_EMPTY_PATH;
