/** Containers in the background for tests: each has a name of its own, and is removed with its test. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { boxctl, type Ended, type RunOptions } from './boxctl.ts';
import { callerOptions, self, specFolder, type Caller } from './container.ts';

let count = 0;

/** A command that runs until it is asked to end, which it does with status 3. */
export const SLEEPS: readonly string[] = ['sh', '-c', 'trap "exit 3" TERM; while :; do sleep 0.05; done'];

/** What `ps --json` tells. */
export interface Listed {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly restarts: number;
  readonly exit_status?: number;
  readonly message?: string;
  readonly pid?: number;
}

export interface Box {
  readonly name: string;
  readonly folder: string;
  readonly caller: Caller;
  /** Runs boxctl in the folder of the container's file. */
  run(words: readonly string[], options?: RunOptions): Promise<Ended>;
  /** What `ps --all` tells of it; undefined: nothing. */
  listed(): Promise<Listed | undefined>;
}

/** Writes container.yaml for a command that waits, unless `keys` have another; starts nothing. */
export function box(keys: Readonly<Record<string, unknown>> = {}, caller: Caller = self): Box {
  const name = `bg-${process.pid}-${++count}`;
  const folder = specFolder({ name, command: SLEEPS, ...keys }, caller);
  const run: Box['run'] = (words, options) => boxctl(words, callerOptions(caller, folder, options));
  onTestFinished(async () => void (await run(['rm', '--force', name])));
  const listed = async (): Promise<Listed | undefined> => {
    const { stdout } = await run(['ps', '--all', '--json']);
    return (JSON.parse(stdout) as readonly Listed[]).find((one) => one.name === name);
  };
  return { name, folder, caller, run, listed };
}

/** The launcher of a container in the background: the process that has its lock open. */
export function launcherOf({ caller }: Pick<Box, 'caller'>, id: string): number {
  const lock = join(caller.store, 'containers', id, 'lock');
  const found = readdirSync('/proc').find((pid) => {
    if (!/^\d+$/u.test(pid)) return false;
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('boxctl-launcher')) return false;
      return readdirSync(`/proc/${pid}/fd`).some((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`) === lock);
    } catch {
      // It has ended meanwhile.
      return false;
    }
  });
  if (found === undefined) throw new Error(`no launcher has ${lock}`);
  return Number(found);
}

/** Asks again until there is an answer. */
export async function until<T>(ask: () => Promise<T | undefined> | T | undefined, ms = 20_000): Promise<T> {
  const end = performance.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > end) throw new Error(`not within ${ms} ms`);
    await sleep(20);
  }
}

/** What it has written to its standard output, as its log has it: text, also while it runs. */
export function outputOf({ caller }: Box, id: string): string {
  const folder = join(caller.store, 'containers', id, 'log');
  return readdirSync(folder)
    .toSorted()
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1))
    .map((line) => JSON.parse(line) as { readonly log?: string; readonly stream?: string })
    .map(({ log = '', stream }) => (stream === 'stdout' ? log : ''))
    .join('');
}
