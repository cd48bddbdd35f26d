/** Hands a plan to a launcher: one of its own, or the one of this process that is already there. */
import { closeSync } from 'node:fs';
import { FIRST_SOCKET, MAX_PATCH, PLAN_FLAGS } from '../kernel/wire.ts';
import { askLauncher, reap, sealPlan, spawnLauncher, type Interpreter } from '../native.ts';
import { isLean } from '../plan/lean.ts';
import type { Plan } from '../plan/plan.ts';
import type { Hidden } from '../text/hidden.ts';
import { contentsFd } from './contents.ts';
import { encodePlan, PlanTemplate } from './encode.ts';
import type { LaunchEvent } from './events.ts';

export interface LaunchOptions {
  /** Descriptors of this process that become the container's 0, 1, 2. Default [0, 1, 2]. */
  readonly stdio?: readonly [number, number, number];
  /** Wait for `go()` before the command starts, so that the terminal can be tidied first. */
  readonly gate?: boolean;
  /** The container's id, 12 hex digits; by default the launcher chooses one. */
  readonly id?: string;
  /** What the secrets and configs of the plan hold (`Model.contents`). */
  readonly contents?: readonly (Hidden | undefined)[];
  /** Descriptors of this process that the launcher keeps open until it ends: locks that outlive this process. */
  readonly kept?: readonly number[];
  /** Default: the launcher. */
  readonly interpreter?: Interpreter;
  readonly onEvent?: (event: LaunchEvent) => void;
  /**
   * By whom it is started: a launcher of its own, or the one of this process that is already there. Default: its own, unless
   * BOXCTL_LAUNCHER is `shared` in this process's environment.
   */
  readonly by?: 'own' | 'shared';
  /** Steps that were done, and undo calls that succeeded, are not told. */
  readonly terse?: boolean;
  /** The plan, encoded already; its command is replaced by that of the plan where it is another one. Only with `shared`. */
  readonly template?: LaunchTemplate;
  /** The launcher has the descriptors now: they can be closed here. With `shared` this may be a moment after `launch` returns. */
  readonly onTaken?: (id: string) => void;
}

/** A plan that was handed to the kernel once, for many starts. */
export class LaunchTemplate {
  readonly encoded: PlanTemplate;
  readonly isLean: boolean;
  /** Descriptors that each launcher is given: the first of `LaunchOptions.kept`. */
  readonly kept: readonly number[];
  #fd: number | undefined;
  /** Starts that have not been asked for yet: they still need the descriptors. */
  #waiting = 0;
  #isClosed = false;

  /** `kept` belong to the template: it closes them. */
  constructor(plan: Plan, kept: readonly number[] = []) {
    this.encoded = new PlanTemplate(plan);
    this.isLean = isLean(plan);
    this.kept = kept;
    this.#fd = sealPlan(this.encoded.bytes);
  }

  /** Its descriptor; undefined once it is closed. */
  get fd(): number | undefined {
    return this.#fd;
  }

  /** Keeps the descriptors open until what it returns is called. */
  hold(): () => void {
    this.#waiting++;
    return () => {
      this.#waiting--;
      this.#release();
    };
  }

  close(): void {
    this.#isClosed = true;
    this.#release();
  }

  #release(): void {
    if (!this.#isClosed || this.#waiting > 0 || this.#fd === undefined) return;
    for (const fd of [this.#fd, ...this.kept]) closeSync(fd);
    this.#fd = undefined;
  }
}

/** A launcher that has a plan. */
export interface Launcher {
  readonly socket: number;
  /** Undefined: it tells by itself. */
  readonly pid: number | undefined;
  /** After the end of the socket: the launcher has ended, or is about to. */
  end(): void;
  /** After the end of the socket: the launcher goes on. */
  detach(): void;
}

const NO_BYTES = new Uint8Array();
/** When a request is made again that the shared launcher had no room for. */
const AGAIN_MS = 1;

export function startOwn(
  plan: Plan,
  { stdio = [0, 1, 2], interpreter = 'launcher', ...options }: LaunchOptions,
): Launcher {
  const { gate = false, terse = false, id } = options;
  const given = contentsFor(plan, options);
  const kept = [...given.fds, ...socketsFor(plan), ...(options.kept ?? [])];
  const known = id === undefined ? {} : { id };
  const { socket, pidfd, pid } = closing(given, () => {
    const flags = { gate, terse, hasGiven: given.fds.length > 0 };
    const bytes = encodePlan(plan, { ...flags, keptFds: kept.length, ...known });
    return spawnLauncher(bytes, stdio, interpreter, { kept, userIds: plan.userIds });
  });
  options.onTaken?.(id ?? '');
  return {
    socket,
    pid,
    end: () => {
      closeSync(socket);
      reap(pidfd);
    },
    detach: () => {
      closeSync(socket);
      closeSync(pidfd);
    },
  };
}

/** What becomes of a request to the launcher that is already there. Only one of the two is called. */
interface Asking {
  readonly use: (launcher: Launcher) => void;
  readonly fail: (error: unknown) => void;
}

/** Calls `use` once the launcher that is already there has the plan: at once, unless very many others wait. */
export function startShared(plan: Plan, options: LaunchOptions, { use, fail }: Asking): void {
  const { stdio = [0, 1, 2], gate = false, terse = false, id = '0' } = options;
  const template = options.template;
  const encoded = template?.encoded ?? new PlanTemplate(plan);
  const lean = template?.isLean ?? isLean(plan);
  const command = plan.steps.at(-1)?.call;
  const isSame = command === undefined || command === encoded.plan.steps.at(-1)?.call;
  const patch = isSame ? NO_BYTES : encoded.encodeCommand(command);
  const isPatch = patch.length <= MAX_PATCH;
  const bytes = isPatch ? (template?.fd ?? encoded.bytes) : encodePlan(plan);
  const given = contentsFor(plan, options);
  const kept = [...given.fds, ...socketsFor(plan), ...(template?.kept ?? []), ...(options.kept ?? [])];
  const release = template?.hold();
  const flags =
    (gate ? PLAN_FLAGS.gate : 0) |
    (terse ? PLAN_FLAGS.terse : 0) |
    (lean ? PLAN_FLAGS.lean : 0) |
    (given.fds.length > 0 ? PLAN_FLAGS.given : 0);
  const request = {
    flags,
    id,
    patchAt: isPatch ? encoded.commandAt : 0,
    patchOld: isSame || !isPatch ? 0 : encoded.commandSize,
    patch: isPatch ? patch : NO_BYTES,
  };
  const ask = (): void => {
    try {
      const asked = askLauncher(bytes, request, stdio, kept);
      if (asked === undefined) return void setTimeout(ask, AGAIN_MS);
      given.close();
      release?.();
      options.onTaken?.(asked.id);
      const close = (): void => closeSync(asked.socket);
      use({ socket: asked.socket, pid: undefined, end: close, detach: close });
    } catch (error) {
      given.close();
      release?.();
      // Not thrown: where it was asked again, the caller of a timer would get it, which ends the process.
      fail(error);
    }
  };
  ask();
}

/** The descriptors of this process that the command gets under the same numbers (sd_listen_fds(3)). */
const socketsFor = ({ sockets = 0 }: Plan): readonly number[] =>
  Array.from({ length: sockets }, (_, index) => FIRST_SOCKET + index);

/** What the launcher is given of secrets and configs; to be closed once it has that. */
interface GivenFds {
  readonly fds: readonly number[];
  /** May be called again. */
  close(): void;
}

function contentsFor({ steps }: Plan, { contents = [] }: LaunchOptions): GivenFds {
  const needed = steps.filter(({ call }) => call.name === 'write_given').length;
  if (needed === 0) return { fds: [], close: () => undefined };
  if (needed !== contents.length) {
    throw new Error(`a plan with ${needed} files of content, and ${contents.length} contents`);
  }
  const fd = contentsFd(contents);
  let isOpen = true;
  return {
    fds: [fd],
    close: () => {
      if (isOpen) closeSync(fd);
      isOpen = false;
    },
  };
}

function closing<T>(given: GivenFds, work: () => T): T {
  try {
    return work();
  } finally {
    given.close();
  }
}
