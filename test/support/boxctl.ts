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

export interface RunOptions {
  readonly cwd?: string;
  /** Added to a clean environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Run as this user rather than as the caller. */
  readonly user?: TestUser;
  /** What is to be read; a promise keeps the pipe open until then. */
  readonly stdin?: string | Uint8Array | Promise<string>;
  /** Is told of the process as soon as there is one. */
  readonly onStart?: (child: ChildProcess) => void;
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

/** Runs any command; rejects only when it cannot be started. */
export function run(command: readonly string[], options: RunOptions = {}): Promise<Ended> {
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
    void Promise.resolve(options.stdin ?? '').then((input) => child.stdin.end(input));
    options.onStart?.(child);
  });
}

/** `boxctl ARGS…` */
export async function boxctl(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const command = [process.execPath, PROGRAM, ...args];
  if (process.env['BOXCTL_TEST_TWICE'] === undefined) return run(command, options);
  const { isTwice, twice } = await import('./twice.ts');
  return isTwice(args, options) ? twice(command, args, options) : run(command, options);
}
