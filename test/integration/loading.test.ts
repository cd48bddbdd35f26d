/** What of boxctl's own code is loaded by which command. */
import { createHash } from 'node:crypto';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { INSTALLED, run } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { project, shell } from '../support/front-project.ts';
import { busyboxRootfs } from '../support/rootfs.ts';
import { tempFolder } from '../support/temp.ts';

describe.skipIf(!hasBusybox)('a start by Node (needs busybox-static)', () => {
  test.each([
    ['an image that is there', {}],
    ['limits, an environment and other users', { environment: { A: 'b' }, user: '1:1', limits: { time: '60s' } }],
    ['folders and files of its own', { tmpfs: ['/tmp'], volumes: ['kept:/kept'], read_only: true, hostname: 'other' }],
  ])('loads nothing of other commands for %s', async (_, keys) => {
    // An archive without a digest is read while its container runs, by code that is loaded then.
    const sha256 = createHash('sha256').update(readFileSync(busyboxRootfs())).digest('hex');
    const made = project({ image: { tar: './rootfs.tar', sha256 }, ...shell('exit 3'), ...keys });
    const copy = tempFolder({ open: true });
    cpSync(join(INSTALLED, 'dist'), join(copy, 'dist'), { recursive: true });
    const up = [process.execPath, join(copy, 'dist/boxctl.cjs'), 'up', '--quiet', '--allow', 'all'];
    // The first imports the image.
    expect(await run(up, made.options)).toMatchObject({ status: 3, stderr: '' });
    const rest = join(copy, 'dist/rest.pack');
    // What a container that runs for more than a moment needs.
    const [later = ''] = /"foreground-record-[^"]+"/u.exec(readFileSync(rest, 'latin1')) ?? [];
    writeFileSync(rest, `({${later}: (exports) => (exports.keepRun = () => () => {})})`);
    rmSync(join(copy, 'dist/network.pack'));
    expect(await run(up, made.options)).toMatchObject({ status: 3, stderr: '' });
  });
});
