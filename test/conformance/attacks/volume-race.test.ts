/** A mount target that becomes a link between its check and its use (CVE-2021-30465, CVE-2024-45310). */
import { chmodSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { hasCompiler, putAttacker } from '../../support/attack.ts';
import { boxctl } from '../../support/boxctl.ts';
import { hasBusybox } from '../../support/busybox.ts';
import { callerOptions, callers, ownedFolder, specFolder } from '../../support/container.ts';
import { makeCanary } from './canary.ts';

const ROUNDS = 25;

describe.skipIf(!hasBusybox || !hasCompiler).each(callers)('as $title (needs busybox-static and cc)', (caller) => {
  test(
    'a target in a shared folder that another container swaps for a link stays inside',
    { timeout: 120_000 },
    async () => {
      const canary = makeCanary();
      chmodSync(canary.folder, 0o777);
      const before = canary.state();
      const folder = specFolder({ command: ['/s/swap', '/s/x', '/s/evil'], volumes: ['./shared:/s'] }, caller);
      const shared = ownedFolder(caller, 'shared', folder);
      chmodSync(shared, 0o777);
      putAttacker('swap', shared);
      mkdirSync(join(shared, 'x'), { mode: 0o777 });
      chmodSync(join(shared, 'x'), 0o777);
      symlinkSync(canary.folder, join(shared, 'evil'));
      const victim = specFolder(
        {
          volumes: [`../${folder.split('/').at(-1)}/shared:/s`, './:/s/x/here'],
          tmpfs: ['/s/x/tmp'],
          command: ['sh', '-c', 'ls /s/x/here/container.yaml'],
        },
        caller,
      );
      /** Of, or on, what this test has made. */
      const mounts = (): readonly string[] =>
        readFileSync('/proc/self/mountinfo', 'utf8')
          .split('\n')
          .filter((line) => [folder, victim, canary.folder].some((own) => line.includes(own)));
      let swapping: () => void = () => undefined;
      const ready = new Promise<void>((resolve) => {
        swapping = resolve;
      });
      let stop: () => void = () => undefined;
      const attack = boxctl(
        ['up'],
        callerOptions(caller, folder, {
          held: true,
          onStart: (child) => {
            child.stdout?.once('data', () => swapping());
            child.once('exit', () => swapping());
            // It is process 1, and so is not ended by less.
            stop = () => child.kill('SIGKILL');
          },
        }),
      );
      await ready;
      const ends = { well: 0, refused: 0 };
      for (let round = 0; round < ROUNDS; round++) {
        const { status } = await boxctl(
          ['up', '--allow', `bind=${folder}`],
          callerOptions(caller, victim, { varies: 'it is a race' }),
        );
        if (status === 0) ends.well += 1;
        else ends.refused += 1;
        expect(canary.state()).toBe(before);
      }
      stop();
      await attack;
      // Where none was refused, nothing was swapped at the moment that matters.
      expect(ends.refused).toBeGreaterThan(0);
      expect(mounts()).toEqual([]);
    },
  );
});
