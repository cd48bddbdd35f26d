/** What the launcher of a container in the background keeps of the machine's memory, and which file it is executed from. */
import { cpSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { box, launcherOf, type Box } from '../support/background.ts';
import { INSTALLED, run } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, ownedFolder, self } from '../support/container.ts';
import { expectAtMost } from '../support/own-memory.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot } from '../support/user.ts';

/** Starts it, by another copy of boxctl if one is named, and gives its launcher's process. */
async function start(web: Box, program?: string): Promise<number> {
  const words = ['up', '--detach', '--allow', 'all'];
  const { caller, folder } = web;
  const started = await (program === undefined
    ? web.run(words)
    : run([process.execPath, program, ...words], callerOptions(caller, folder)));
  expect(started).toMatchObject({ status: 0, stderr: '' });
  return launcherOf(web, (await web.listed())?.id ?? '');
}

const programOf = (pid: number): string => readlinkSync(`/proc/${pid}/exe`);

describe.skipIf(!hasBusybox || !isRoot)('the launcher of a container in the background (needs root)', () => {
  test.each(callers)('keeps at most 100 KiB for itself, started by $title', async (caller) => {
    const launcher = await start(box({}, caller));
    // It gives memory back once nobody waits for the start, and keeps it given back.
    await expectAtMost(launcher, 100);
    await sleep(500);
    await expectAtMost(launcher, 100);
  });

  test.each(callers)('is executed from its file where the container has not its owner, by $title', async (caller) => {
    const launcher = await start(box({}, caller));
    expect(programOf(launcher)).toBe(join(INSTALLED, 'dist/native/boxctl-launcher'));
  });

  test('is executed from a sealed copy where root of the container is root of the host', async () => {
    const launcher = await start(box({ namespaces: { user: 'host' } }, self));
    expect(programOf(launcher)).toBe('/memfd:boxctl-launcher (deleted)');
  });

  test.each(callers.filter(({ user }) => user !== undefined))(
    'is executed from a sealed copy where the container has the owner of its file, by $title',
    async (caller) => {
      const own = ownedFolder(caller, 'installed', tempFolder({ open: true }));
      cpSync(INSTALLED, own, { recursive: true, filter: (path) => !path.includes('node_modules/') });
      await run(['chown', '-R', String(caller.uid), own]);
      const launcher = await start(box({}, caller), join(own, 'dist/boxctl.cjs'));
      expect(programOf(launcher)).toBe('/memfd:boxctl-launcher (deleted)');
    },
  );

  test('is executed from a sealed copy where others than its owner may write to its file', async () => {
    const own = tempFolder({ open: true });
    cpSync(INSTALLED, own, { recursive: true, filter: (path) => !path.includes('node_modules/') });
    await run(['chmod', '0775', join(own, 'dist/native/boxctl-launcher')]);
    const launcher = await start(box({}, self), join(own, 'dist/boxctl.cjs'));
    expect(programOf(launcher)).toBe('/memfd:boxctl-launcher (deleted)');
  });
});
