/** Runs the built command line as a person or a script would. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withoutRegistries } from './no-registries.ts';
import { asUser, userEnvironment, type TestUser } from './user.ts';

export const PROJECT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** Tells clones of the project from each other. */
export const CLONE = createHash('sha256').update(PROJECT).digest('hex').slice(0, 12);
/** The variable that holds the copy that every user can read; made by build.ts, one for each run of the tests. */
export const INSTALLED_VARIABLE = 'BOXCTL_TEST_INSTALLED';
/** A virtual machine has the project as it was built outside, for everybody to read. */
export const isVirtual = process.env['BOXCTL_VM'] === '1';
export const INSTALLED = isVirtual ? PROJECT : (process.env[INSTALLED_VARIABLE] ?? PROJECT);
export const PROGRAM = join(INSTALLED, 'dist/boxctl.cjs');

export type Input = string | Uint8Array | Promise<string>;

export interface RunOptions {
  readonly cwd?: string;
  /** Added to a clean environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Run as this user rather than as the caller. */
  readonly user?: TestUser;
  /** What is to be read; a promise keeps the pipe open until then. A function is asked for each process. */
  readonly stdin?: Input | (() => Input);
  /** Is told of each process as soon as there is one. */
  readonly onStart?: (child: ChildProcess) => void;
  /**
   * The test does something with it while it runs, and ends it. So `npm run test:twice` lets the test have a start from a kept plan
   * alone, after starts that it ends by itself.
   */
  readonly held?: boolean;
  /** Why `npm run test:twice` must not run it more than once. */
  readonly once?: string;
  /** Why what it prints differs from start to start, so that `npm run test:twice` cannot compare it. */
  readonly varies?: string;
}

export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stdoutBytes: Buffer;
  readonly stderr: string;
}

/** The project `shared-launcher` of the tests has all containers started by a launcher that serves. */
const LAUNCHER = process.env['BOXCTL_LAUNCHER'];
const launcher = LAUNCHER === undefined ? {} : { BOXCTL_LAUNCHER: LAUNCHER };

const NODE_IN_TEXT = new RegExp(`(["']?)${process.execPath}\\1 (["']?)${PROGRAM}\\2 (?=(?:up|run|exec)\\b)`, 'gu');
const STARTS: ReadonlySet<string | undefined> = new Set(['up', 'run', 'exec']);

/** A command that starts containers, or commands in them, by Node. */
export interface Start {
  /** The words after `boxctl`, where they are words of the command. */
  readonly args: readonly string[];
  /** The same command with another program in place of Node and its script. */
  readonly by: (program: readonly string[], args?: readonly string[]) => readonly string[];
}

function startIn(command: readonly string[]): Start | undefined {
  const at = command.indexOf(PROGRAM);
  if (at > 0 && command[at - 1] === process.execPath && STARTS.has(command[at + 1])) {
    const args = command.slice(at + 1);
    const before = command.slice(0, at - 1);
    return { args, by: (program, other = args) => [...before, ...program, ...other] };
  }
  if (!command.some((word) => word.search(NODE_IN_TEXT) >= 0)) return undefined;
  // A script's text.
  const quoted = (program: readonly string[]): string => program.map((word) => `'${word}' `).join('');
  return { args: [], by: (program) => command.map((word) => word.replaceAll(NODE_IN_TEXT, quoted(program))) };
}

/** Runs any command; rejects only when it cannot be started. With BOXCTL_TEST_TWICE=1 each start is made more than once. */
export function run(command: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const start = process.env['BOXCTL_TEST_TWICE'] === '1' ? startIn(command) : undefined;
  if (start === undefined) return runOnce(command, options);
  return import('./twice.ts').then(({ twice }) => twice(start, options));
}

export function runOnce(command: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const [program = '', ...args] = options.user === undefined ? command : asUser(options.user, command);
  const own = options.user === undefined ? { HOME: process.env['HOME'] ?? '/root' } : userEnvironment(options.user);
  const env = {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    ...withoutRegistries(),
    ...launcher,
    ...own,
    ...options.env,
  };
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: options.cwd, env, stdio: 'pipe' });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.on('error', reject);
    child.on('close', (status, signal) => {
      const stdoutBytes = Buffer.concat(stdout);
      const text = { stdout: stdoutBytes.toString(), stderr: Buffer.concat(stderr).toString() };
      resolve({ status, signal, stdoutBytes, ...text });
    });
    // A program that does not read its input is free not to.
    child.stdin.on('error', () => undefined);
    const { stdin = '' } = options;
    void Promise.resolve(typeof stdin === 'function' ? stdin() : stdin).then((input) => child.stdin.end(input));
    options.onStart?.(child);
  });
}

/** `boxctl ARGS…` */
export const boxctl = (args: readonly string[], options: RunOptions = {}): Promise<Ended> =>
  run([process.execPath, PROGRAM, ...args], options);
