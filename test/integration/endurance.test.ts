/** Two hundred runs, a quarter of them killed at a random moment, and the host is as it was. */
import { expect, test } from 'vitest';
import { boxctl } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, self, sh, specFolder, state } from '../support/container.ts';
import { isRoot } from '../support/user.ts';

test.skipIf(!isRoot || !hasBusybox)(
  '200 runs, 50 of them killed by SIGKILL, leave nothing behind (needs root and busybox-static)',
  { timeout: 240_000 },
  async () => {
    const limits = { memory: '64MiB', pids: 30 };
    await sh('true', { limits });
    const before = state(self);
    const folder = specFolder({ command: ['sh', '-c', 'echo >/file; sleep 0.01'], limits, tmpfs: ['/tmp'] });
    let killed = 0;
    let ended = 0;
    const once = async (index: number): Promise<void> => {
      const kill = index % 4 === 0;
      const { signal } = await boxctl(
        ['up'],
        callerOptions(self, folder, {
          once: 'it is killed at any moment',
          onStart: (child) => void (kill && setTimeout(() => child.kill('SIGKILL'), Math.random() * 90)),
        }),
      );
      if (signal === 'SIGKILL') killed++;
      else ended++;
    };
    for (let index = 0; index < 200; index += 2) await Promise.all([once(index), once(index + 1)]);
    expect(killed + ended).toBe(200);
    expect(killed).toBeGreaterThan(20);
    // What a launcher could not remove in time is swept by the next command.
    await expect
      .poll(
        async () => {
          await sh('true', { limits });
          return state(self);
        },
        { timeout: 10_000 },
      )
      .toEqual(before);
  },
);
