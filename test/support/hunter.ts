/** A container in the background that looks at every process which appears in it, for whatever that gives away (hunt.c). */
import { expect } from 'vitest';
import { putAttacker } from './attack.ts';
import { box, type Box } from './background.ts';
import type { Caller } from './container.ts';

export interface Hunter extends Box {
  /** Ends the hunt: a line for each thing that was caught, and how many processes were seen. */
  caught(): Promise<{ readonly lines: readonly string[]; readonly seen: number }>;
}

/** Starts it. It has what helps it: no filter, and the right to trace. */
export async function startHunter(caller: Caller, keys: Readonly<Record<string, unknown>> = {}): Promise<Hunter> {
  const hunter = box(
    {
      command: ['sh', '-c', 'mkfifo /tmp/input; /w/attack <>/tmp/input >/tmp/caught; exec sleep 1000'],
      tmpfs: ['/tmp'],
      volumes: ['./:/w:ro'],
      seccomp: 'unconfined',
      cap_add: ['SYS_PTRACE'],
      ...keys,
    },
    caller,
  );
  putAttacker('hunt', hunter.folder, 'attack');
  expect(await hunter.run(['up', '-d', '--allow', 'all'])).toMatchObject({ status: 0 });
  const asks = 'echo >/tmp/input; while ! grep -q ^seen /tmp/caught; do sleep 0.05; done; cat /tmp/caught';
  const caught: Hunter['caught'] = async () => {
    const { stdout } = await hunter.run(['exec', hunter.name, 'sh', '-c', asks], { once: 'it ends the hunt' });
    const lines = stdout.trim().split('\n');
    return { lines: lines.slice(0, -1), seen: Number(lines.at(-1)?.replace('seen ', '')) };
  };
  return { ...hunter, caught };
}
