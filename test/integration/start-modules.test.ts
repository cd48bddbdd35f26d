/** What a start does not load: it would be slower for what it does not use. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { boxctl, PROGRAM, run } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { busyboxRootfs } from '../support/rootfs.ts';
import { tempFolder } from '../support/temp.ts';

/** Writes down at the end which of Node's modules were loaded. */
const PROBE = `
const { writeFileSync } = require('node:fs');
process.on('exit', () => writeFileSync(process.env.LOADED, process.moduleLoadList.join('\\n')));
`;
/** What talks to registries, and what that needs. */
const OF_NETWORK = ['http', 'https', 'tls', 'net', '_http_client', 'dns'];

test.skipIf(!hasBusybox)(
  'a start of an image that is in the store loads nothing that talks to registries',
  async () => {
    const folder = tempFolder();
    const env = { BOXCTL_STORE: join(folder, 'store'), LOADED: join(folder, 'loaded') };
    writeFileSync(join(folder, 'probe.cjs'), PROBE);
    const imported = await boxctl(['image', 'import', busyboxRootfs(), 'there:1'], { cwd: folder, env });
    expect(imported).toMatchObject({ status: 0 });
    writeFileSync(join(folder, 'container.yaml'), 'image: there:1\ncommand: [/bin/true]\n');

    const probe = ['--require', join(folder, 'probe.cjs')];
    const ended = await run([process.execPath, ...probe, PROGRAM, 'up', '--quiet'], { cwd: folder, env });
    expect(ended).toMatchObject({ status: 0, stderr: '' });
    const loaded = new Set(readFileSync(join(folder, 'loaded'), 'utf8').split('\n'));
    expect(loaded.has('NativeModule fs')).toBe(true);
    expect(OF_NETWORK.filter((name) => loaded.has(`NativeModule ${name}`))).toEqual([]);
  },
);
