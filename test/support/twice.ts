/**
 * For a run of the tests with BOXCTL_TEST_TWICE=1 (`npm run test:twice`): every start, and every `exec`, is made by Node, and then by
 * the program `boxctl` until it does not need Node any more. The last one must be like the first, and is what the test looks at. A
 * container in the background is removed before the next start. BOXCTL_TEST_TWICE_LOG names a file that gets a line of JSON for each.
 */
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import { until } from './background.ts';
import { FRONT } from './front.ts';
import { PROGRAM, run, type Ended, type RunOptions } from './boxctl.ts';
import { tempFolder } from './temp.ts';
import { userEnvironment } from './user.ts';

/** Twice by Node: the first start may import the image, and the second keeps the plan. */
const STARTS = 3;
/** Of boxctl itself: no plan is kept of such a start. */
const REFUSED = 125;
/** As often is a start by Node made once more where the last one differs: what it prints may differ by itself, as times do. */
const MORE_BY_NODE = 4;

const COMMANDS: ReadonlySet<string | undefined> = new Set(['up', 'run', 'exec']);
const IN_BACKGROUND = /^(?:--detach|-d|--wait(?:-timeout)?(?:=.*)?)$/u;

const seen = ({ status, signal, stdout, stderr }: Ended): unknown => ({ status, signal, stdout, stderr });
const isSame = (a: Ended, b: Ended): boolean => isDeepStrictEqual(seen(a), seen(b));

export const isTwice = (args: readonly string[], { stdin, onStart, once }: RunOptions): boolean =>
  process.env['BOXCTL_TEST_TWICE'] === '1' &&
  COMMANDS.has(args[0]) &&
  onStart === undefined &&
  once === undefined &&
  !(stdin instanceof Promise);

/** A folder for PATH with a `node` that leaves a file when it is run. */
class Watched {
  readonly #folder = join(tempFolder({ open: true }), 'bin');
  readonly #mark = join(this.#folder, 'has-run');
  readonly options: RunOptions;

  constructor(options: RunOptions) {
    mkdirSync(this.#folder);
    // An ordinary user leaves it, too.
    chmodSync(this.#folder, 0o1777);
    const program = `#!/bin/sh\n: >'${this.#mark}'\nexec '${process.execPath}' "$@"\n`;
    writeFileSync(join(this.#folder, 'node'), program, { mode: 0o755 });
    const inherited = options.user === undefined ? process.env : userEnvironment(options.user);
    const path = options.env?.['PATH'] ?? inherited['PATH'] ?? '/usr/bin:/bin';
    this.options = { ...options, env: { ...options.env, PATH: `${this.#folder}:${path}` } };
  }

  /** Runs it in a process group of its own. `waits`: also for what its launcher does after the end was told. */
  async run(command: readonly string[], { waits }: { readonly waits: boolean }): Promise<Ended> {
    rmSync(this.#mark, { force: true });
    let group = 0;
    const ended = await run(['setsid', ...command], { ...this.options, onStart: ({ pid = 0 }) => (group = pid) });
    if (waits) await until(() => hasEnded(group) || undefined);
    return ended;
  }

  get hasRun(): boolean {
    return existsSync(this.#mark);
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

/** @throws Error where a start from a kept plan differs from that by Node */
export async function twice(command: readonly string[], args: readonly string[], options: RunOptions): Promise<Ended> {
  const watched = new Watched(options);
  const isBackground = args.some((word) => IN_BACKGROUND.test(word));
  const start = (words: readonly string[]): Promise<Ended> => watched.run(words, { waits: !isBackground });
  const fresh = await start(command);
  const name = isBackground ? nameIn(fresh) : undefined;
  // It was there already, or did not start.
  if (isBackground && name === undefined) return fresh;
  const again = async (words: readonly string[]): Promise<Ended> => {
    if (name !== undefined) await run([process.execPath, PROGRAM, 'rm', '--force', name], options);
    return start(words);
  };
  let last = fresh;
  let isKept = false;
  const starts = fresh.status === REFUSED ? 1 : STARTS;
  for (let count = 0; count < starts && !isKept; count++) {
    last = await again([FRONT, ...args]);
    isKept = !watched.hasRun;
  }
  let isLike = isSame(fresh, last);
  let varies = options.varies !== undefined;
  for (let more = 0; more < MORE_BY_NODE && !isLike && !varies; more++) {
    const another = await again(command);
    isLike = isSame(another, last);
    varies = !isSame(another, fresh);
  }
  note({ args, isKept, isLike });
  if (isLike || varies) return last;
  const difference = { by_node: seen(fresh), by_boxctl: seen(last) };
  throw new Error(`a start by boxctl differs: ${JSON.stringify(difference, undefined, 2)}`);
}

function note(what: Readonly<Record<string, unknown>>): void {
  const log = process.env['BOXCTL_TEST_TWICE_LOG'];
  if (log === undefined) return;
  const { testPath, currentTestName } = expect.getState();
  appendFileSync(log, `${JSON.stringify({ file: testPath, test: currentTestName, ...what })}\n`);
}
