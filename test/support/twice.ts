/**
 * For a run of the tests with BOXCTL_TEST_TWICE=1 (`npm run test:twice`): every start, and every `exec`, is made by Node, and then by
 * the program `boxctl` until it does not need Node any more. The last one must be like the first, and is what the test looks at. A
 * container in the background is removed before the next start. BOXCTL_TEST_TWICE_LOG names a file that gets a line of JSON for each.
 */
import type { ChildProcess } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import { until } from './background.ts';
import { FRONT } from './front.ts';
import { PROGRAM, runOnce, type Ended, type RunOptions, type Start } from './boxctl.ts';
import { differences, looks, type Looks } from './looks.ts';
import { tempFolder } from './temp.ts';
import { userEnvironment } from './user.ts';

/** Twice by Node: the first start may import the image, and the second keeps the plan. */
const STARTS = 3;
/** Of boxctl itself: no plan is kept of such a start. */
const REFUSED = 125;
/** As often is a start by Node made once more where the last one differs: what it prints may differ by itself, as times do. */
const MORE_BY_NODE = 4;
/** A container that is ended before the test gets it may be without a plan that is kept. */
const LONGEST_MS = 1500;

const IN_BACKGROUND = /^(?:--detach|-d|--wait(?:-timeout)?(?:=.*)?)$/u;

const seen = ({ status, signal, stdout, stderr }: Ended): unknown => ({ status, signal, stdout, stderr });
const isSame = (a: Ended, b: Ended): boolean => isDeepStrictEqual(seen(a), seen(b));

/** What does not depend on the one process that it is for. */
const common = ({ cwd, env, user }: RunOptions): RunOptions => ({
  ...(cwd === undefined ? {} : { cwd }),
  ...(env === undefined ? {} : { env }),
  ...(user === undefined ? {} : { user }),
});

/** A folder for PATH with a `node` that leaves a file when it is run to start something, and not when it tells of an end. */
class Watched {
  readonly #mark: string;
  readonly options: RunOptions;

  constructor(options: RunOptions) {
    const folder = tempFolder({ open: true });
    const [programs, marks] = [join(folder, 'bin'), join(folder, 'marks')];
    for (const made of [programs, marks]) mkdirSync(made, { mode: 0o755 });
    // An ordinary user leaves it, too. It is not beside the program: a plan with tools of the host is made from the folders of PATH.
    chmodSync(marks, 0o1777);
    this.#mark = join(marks, 'has-run');
    const program = `#!/bin/sh\n[ "$3" = --ended ] || : >'${this.#mark}'\nexec '${process.execPath}' "$@"\n`;
    writeFileSync(join(programs, 'node'), program, { mode: 0o755 });
    const inherited = options.user === undefined ? process.env : userEnvironment(options.user);
    const path = options.env?.['PATH'] ?? inherited['PATH'] ?? '/usr/bin:/bin';
    this.options = { ...options, env: { ...options.env, PATH: `${programs}:${path}` } };
  }

  /** Runs it in a process group of its own. `waits`: also for what its launcher does after the end was told. */
  async run(command: readonly string[], waits: boolean, options = this.options): Promise<Ended> {
    rmSync(this.#mark, { force: true });
    let group = 0;
    const ended = await runOnce(['setsid', ...command], {
      ...options,
      onStart: (child) => {
        group = child.pid ?? 0;
        options.onStart?.(child);
      },
    });
    if (waits) await until(() => hasEnded(group) || undefined);
    return ended;
  }

  get hasRun(): boolean {
    return existsSync(this.#mark);
  }

  /** When a plan was kept for the last time, in milliseconds; whoever has kept it. */
  get keptAt(): number {
    const { BOXCTL_STORE: store } = this.options.env ?? {};
    const plans = store === undefined ? undefined : statSync(join(store, 'plans'), { throwIfNoEntry: false });
    return plans?.mtimeMs ?? 0;
  }
}

/** Zombies do not count: whoever has inherited them may be slow to wait for them. */
function hasEnded(group: number): boolean {
  return !readdirSync('/proc').some((pid) => {
    if (!/^\d+$/u.test(pid)) return false;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const [state, , its] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(its) === group && state !== 'Z' && state !== 'X';
    } catch {
      return false;
    }
  });
}

/** Of a container in the background that was started, where nothing else was said. */
const nameIn = ({ status, stdout, stderr }: Ended): string | undefined =>
  status === 0 && stderr === '' ? /^(\S+)\n$/u.exec(stdout)?.[1] : undefined;

const BY_NODE = [process.execPath, PROGRAM];

/** A container in the background, unless words of a command are meant. */
function isInBackground([command, ...words]: readonly string[]): boolean {
  const end = words.indexOf('--');
  return command !== 'exec' && words.slice(0, end < 0 ? words.length : end).some((word) => IN_BACKGROUND.test(word));
}

/** @throws Error where a start from a kept plan differs from that by Node */
export async function twice(start: Start, options: RunOptions): Promise<Ended> {
  if (options.once !== undefined) {
    note({ args: start.args, once: options.once });
    return runOnce(start.by(BY_NODE), options);
  }
  return options.held === true ? held(start, options) : compared(start, options);
}

async function compared({ args, by }: Start, options: RunOptions): Promise<Ended> {
  const watched = new Watched(options);
  const isBackground = isInBackground(args);
  const begun = performance.now();
  const fresh = await watched.run(by(BY_NODE), !isBackground);
  const one = performance.now() - begun;
  const name = isBackground ? nameIn(fresh) : undefined;
  // It was there already, or did not start.
  if (isBackground && name === undefined) {
    note({ args, isKept: false, one, more: 0 });
    return fresh;
  }
  const again = async (program: readonly string[]): Promise<Ended> => {
    if (name !== undefined) await runOnce(by(BY_NODE, ['rm', '--force', name]), common(watched.options));
    return watched.run(by(program), !isBackground);
  };
  const look = async (): Promise<Looks | undefined> => {
    if (name === undefined) return undefined;
    const { status, stdout } = await runOnce(by(BY_NODE, ['inspect', name]), common(watched.options));
    return status === 0 ? looks(stdout) : undefined;
  };
  const before = await look();
  let last = fresh;
  let isKept = false;
  const starts = fresh.status === REFUSED ? 1 : STARTS;
  for (let count = 0; count < starts && !isKept; count++) {
    const { keptAt } = watched;
    last = await again([FRONT]);
    isKept = !watched.hasRun;
    // Of such a start no plan is kept.
    if (watched.keptAt === keptAt) break;
  }
  const unlike = isKept ? differences(before, await look()) : [];
  let isLike = isSame(fresh, last);
  let varies = options.varies !== undefined;
  for (let more = 0; more < MORE_BY_NODE && !isLike && !varies; more++) {
    const another = await again(BY_NODE);
    isLike = isSame(another, last);
    varies = !isSame(another, fresh);
  }
  note({ args, isKept, one, more: performance.now() - begun - one });
  if (unlike.length > 0) throw new Error(`a container from a kept plan is another one:\n${unlike.join('\n')}`);
  if (isLike || varies) return last;
  const difference = { by_node: seen(fresh), by_boxctl: seen(last) };
  throw new Error(`a start by boxctl differs: ${JSON.stringify(difference, undefined, 2)}`);
}

/** The one start that the test gets is from a kept plan, if any was kept. */
async function held({ args, by }: Start, options: RunOptions): Promise<Ended> {
  const watched = new Watched(options);
  const begun = performance.now();
  for (let count = 1, isKept = false; count < STARTS && !isKept; count++) {
    const { keptAt } = watched;
    let isOver = false;
    const endWhenKept = async (child: ChildProcess): Promise<void> => {
      child.once('exit', () => (isOver = true));
      await until(() => isOver || watched.keptAt > keptAt || undefined, LONGEST_MS).catch(() => undefined);
      // A plan is two files.
      await sleep(20);
      child.kill('SIGKILL');
    };
    await watched.run(by([FRONT]), true, {
      ...common(watched.options),
      stdin: new Promise<string>(() => undefined),
      onStart: (child) => void endWhenKept(child),
    });
    isKept = watched.keptAt > keptAt;
  }
  const more = performance.now() - begun;
  const ended = await watched.run(by([FRONT]), false);
  note({ args, isKept: !watched.hasRun, held: true, more });
  return ended;
}

function note(what: Readonly<Record<string, unknown>>): void {
  const log = process.env['BOXCTL_TEST_TWICE_LOG'];
  if (log === undefined) return;
  const { testPath, currentTestName } = expect.getState();
  appendFileSync(log, `${JSON.stringify({ file: testPath, test: currentTestName, ...what })}\n`);
}
