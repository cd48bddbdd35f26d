/** `boxctl` of a kept plan ends when the container has; its launcher goes on until what the container wrote is removed. */
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { stringify } from 'yaml';
import { run } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { FRONT, frontAlone, warm } from '../support/front.ts';
import { busyboxRootfs } from '../support/rootfs.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot } from '../support/user.ts';

const UP = ['up', '--quiet'];
const MANY = 'i=0; while [ $$i -lt 800 ]; do : >/file$$i; i=$$((i + 1)); done; echo end';

function project() {
  const around = tempFolder({ open: true });
  const folder = join(around, 'project');
  mkdirSync(folder);
  mkdirSync(join(around, 'run'), { mode: 0o700 });
  copyFileSync(busyboxRootfs(), join(folder, 'rootfs.tar'));
  const spec = { image: './rootfs.tar', writable: 'disk', command: ['sh', '-c', MANY] };
  writeFileSync(join(folder, 'container.yaml'), stringify(spec));
  const store = join(around, 'store');
  const env = { BOXCTL_STORE: store, XDG_RUNTIME_DIR: join(around, 'run'), HOME: around };
  return { options: { cwd: folder, env }, layers: () => readdirSync(join(store, 'upper')) };
}

describe.skipIf(!isRoot || !hasBusybox)('the end of a start from a kept plan (needs root and busybox-static)', () => {
  test('leaves nothing behind, although the launcher removes what the container wrote after the end', async () => {
    const { options, layers } = project();
    expect(await warm(UP, options)).toMatchObject({ status: 0, stdout: 'end\n', stderr: '' });
    await vi.waitFor(() => expect(layers()).toEqual([]), { timeout: 20_000 });
  });

  test('takes a layer that is being removed for none that a killed launcher has left', async () => {
    const { options, layers } = project();
    await warm(UP, options);
    // Sweeping is Node's, which is not there: each start must find that the one before it is still at work.
    for (let start = 0; start < 3; start++) {
      expect(await frontAlone(UP, options)).toMatchObject({ status: 0, stdout: 'end\n', stderr: '' });
    }
    await vi.waitFor(() => expect(layers()).toEqual([]), { timeout: 20_000 });
  });

  test('comes after that of the launcher where boxctl is the first process of its namespace', async () => {
    const { options, layers } = project();
    // A plan is kept for a process namespace. The last start has no Node, and is the namespace's first process.
    const script = 'for i in 1 2 3 4; do "$@" >/dev/null || exit; done; PATH=/nowhere exec "$@"';
    const words = ['unshare', '-p', '-f', '--mount-proc', '/bin/sh', '-c', script, 'sh', FRONT, ...UP];
    expect(await run(words, options)).toMatchObject({ status: 0, stdout: 'end\n', stderr: '' });
    expect(layers()).toEqual([]);
  });
});
