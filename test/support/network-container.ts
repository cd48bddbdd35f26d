/** Containers in the lab: started in its `host`, and running until the test is over. */
import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { putAttacker } from './attack.ts';
import { PROGRAM, type Ended } from './boxctl.ts';
import { callerOptions, self, specFolder, type Caller } from './container.ts';
import { networkState, type Place } from './network-lab.ts';

/** Where the servers of server.c begin. */
export const SERVER = 7000;

/** What carries the packets of an ordinary user's container. */
export const NETWORK_PROGRAMS = ['slirp4netns', 'pasta'] as const;

/** Processes of these programs in the network namespace of a process. */
export function runningBeside(place: number): readonly number[] {
  const namespaceOf = (pid: number | string): string => readlinkSync(`/proc/${pid}/ns/net`);
  const own = namespaceOf(place);
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/u.test(name)) return [];
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      return NETWORK_PROGRAMS.some((program) => words[0] === program) && namespaceOf(name) === own
        ? [Number(name)]
        : [];
    } catch {
      return [];
    }
  });
}

export interface Running {
  /** What it has written so far. */
  stdout(): string;
  stderr(): string;
  readonly child: ChildProcess;
  /** Asks it to end, and waits for that. */
  end(): Promise<Ended>;
  readonly ended: Promise<Ended>;
}

/** A folder with a container.yaml and these programs of test/conformance/attacks, in /w of the container. */
export function networkFolder(
  spec: Readonly<Record<string, unknown>>,
  programs: readonly string[] = [],
  caller: Caller = self,
): string {
  const folder = specFolder({ network_mode: 'bridge', volumes: ['./:/w:ro'], init: true, ...spec }, caller);
  for (const program of programs) putAttacker(program, folder);
  return folder;
}

/** Starts boxctl in the folder; resolves when the container has written `ready`. `shell` runs it as `"$@"`. */
export async function startIn(
  place: Place,
  folder: string,
  words: readonly string[] = [],
  caller: Caller = self,
  shell?: string,
): Promise<Running> {
  const output = { stdout: '', stderr: '' };
  let child: ChildProcess | undefined;
  const command = [process.execPath, PROGRAM, 'up', '--allow', 'all', ...words];
  const ended = place.run(shell === undefined ? command : ['sh', '-c', shell, 'sh', ...command], {
    ...callerOptions(caller, folder),
    held: true,
    onStart: (launched) => {
      child = launched;
      launched.stdout?.on('data', (text) => (output.stdout += String(text)));
      launched.stderr?.on('data', (text) => (output.stderr += String(text)));
    },
  });
  const end = async (): Promise<Ended> => {
    if (child?.exitCode === null) child.kill('SIGTERM');
    return ended;
  };
  onTestFinished(async () => void (await end()));
  const over = ended.then(() => 'over');
  while (!output.stdout.includes('ready')) {
    if ((await Promise.race([over, sleep(10)])) !== 'over' || output.stdout.includes('ready')) continue;
    throw new Error(`the container has ended: ${output.stderr}`);
  }
  if (child === undefined) throw new Error('nothing was started');
  return { stdout: () => output.stdout, stderr: () => output.stderr, child, end, ended };
}

/** A container with the servers of server.c. */
export function startServer(
  place: Place,
  spec: Readonly<Record<string, unknown>> = {},
  words: readonly string[] = [],
  caller: Caller = self,
): Promise<Running> {
  const command = ['/w/server', String(SERVER)];
  return startIn(place, networkFolder({ command, ...spec }, ['server'], caller), words, caller);
}

/** The host's network once containers that have ended are gone from it: the kernel takes its time for an interface. */
export async function settledState(place: Place): Promise<object> {
  let state = '';
  for (let i = 0; i < 50; i++) {
    const now = await networkState(place);
    const text = JSON.stringify(now);
    if (text === state && !/boxctl\d/u.test(text)) return now;
    state = text;
    await sleep(100);
  }
  return networkState(place);
}

/** Stops or continues the launcher of a boxctl that was started: a stopped one mends nothing. */
export const signalLauncher = (place: Place, boxctl: ChildProcess, signal: 'STOP' | 'CONT'): Promise<string> =>
  place.shell(`kill -${signal} $(cat /proc/${boxctl.pid}/task/*/children)`);

/** Runs network-client.mjs, and gives its line. */
export async function client(place: Place, ...words: readonly (string | number)[]): Promise<string> {
  const script = join(import.meta.dirname, 'network-client.mjs');
  return (await place.out(process.execPath, script, ...words.map(String))).trim();
}
