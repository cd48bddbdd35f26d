/** Images out of this host's programs: they run with nothing else, and the same programs give the same bytes. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { packHostTools } from '../../../src/image/pack.ts';
import { unpackInto, unpackMain } from './worker.ts';

// Compiled here and not in the first test, whose time limit is that of a test: on a loaded machine this takes minutes.
beforeAll(() => void unpackMain(), 300_000);

let base = '';
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'boxctl-pack-'));
});
afterEach(() => rmSync(base, { recursive: true }));

let count = 0;
async function pack(tools: readonly string[], options: { path?: string; gzip?: boolean } = {}): Promise<Buffer> {
  const path = join(base, `${count++}.tar`);
  await packHostTools(tools, path, options);
  return readFileSync(path);
}

async function unpacked(tools: readonly string[], options: { path?: string } = {}): Promise<string> {
  const rootfs = join(base, 'rootfs');
  mkdirSync(rootfs);
  expect(unpackInto(rootfs, await pack(tools, options))).toMatchObject({ ok: true });
  return rootfs;
}

/** A program of the test's own. */
function program(name: string, text: string): void {
  mkdirSync(join(base, 'bin'), { recursive: true });
  writeFileSync(join(base, 'bin', name), text, { mode: 0o755 });
}

const isRoot = process.geteuid?.() === 0;

describe('what is packed', () => {
  test.skipIf(!isRoot)(
    'what is packed runs with nothing but itself (skipped without root: chroot needs it)',
    async () => {
      const rootfs = await unpacked(['sh', 'ls', 'ps', 'hostname', 'id', 'cat']);
      // With namespaces of its own, so that ps finds a /proc and nothing stays mounted.
      const enter = `mount -t proc proc ${rootfs}/proc && exec chroot ${rootfs} /bin/sh -c "$0"`;
      const run = (command: string) => spawnSync('unshare', ['-mpf', 'sh', '-c', enter, command], { encoding: 'utf8' });
      expect(run('ls -d /tmp /etc/passwd; id -un; cat /etc/group')).toMatchObject({
        status: 0,
        stdout: '/etc/passwd\n/tmp\nroot\nroot:x:0:\ntty:x:5:\nnogroup:x:65534:\n',
      });
      expect(run('ps -o pid=,comm= -p 1')).toMatchObject({ status: 0, stdout: expect.stringMatching(/^ +1 sh$/m) });
      expect(run('hostname')).toMatchObject({ status: 0 });
    },
  );

  test('what is packed has the usual folders with their modes, and the links that merge /usr as the host has them', async () => {
    const rootfs = await unpacked(['sh']);
    expect(lstatSync(join(rootfs, 'tmp')).mode & 0o7777).toBe(0o1777);
    expect(lstatSync(join(rootfs, 'root')).mode & 0o7777).toBe(0o700);
    for (const name of ['proc', 'sys', 'dev', 'run', 'etc'])
      expect(lstatSync(join(rootfs, name)).isDirectory()).toBe(true);
    for (const name of ['bin', 'lib', 'sbin']) {
      expect(lstatSync(join(rootfs, name)).isSymbolicLink()).toBe(lstatSync(join('/', name)).isSymbolicLink());
    }
  });

  test('the same programs give the same bytes, in whatever order they are named', async () => {
    const first = await pack(['sh', 'ls']);
    expect(first.equals(await pack(['ls', 'sh', 'sh']))).toBe(true);
    expect(first.equals(gunzipSync(await pack(['sh', 'ls'], { gzip: true })))).toBe(true);
  });

  test('GNU tar reads it', async () => {
    writeFileSync(join(base, 'x.tar'), await pack(['sh']));
    const names = execFileSync('tar', ['-tf', join(base, 'x.tar')], { encoding: 'utf8' }).split('\n');
    expect(names).toEqual(expect.arrayContaining(['etc/passwd', 'tmp/', 'dev/']));
  });

  test('a script brings its interpreter, and what env finds', async () => {
    program('one', '#!/bin/sh\necho one\n');
    program('two', '#!/usr/bin/env -S cat -n\nx\n');
    const rootfs = await unpacked(['one', 'two'], { path: join(base, 'bin') });
    expect(lstatSync(join(rootfs, 'usr/local/bin/one')).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(rootfs, base, 'bin/one'), 'utf8')).toContain('echo one');
    for (const name of ['bin/sh', 'usr/bin/env', 'bin/cat']) expect(existsSync(join(rootfs, name))).toBe(true);
  });

  test('chains of links come with it', async () => {
    program('real', '#!/bin/sh\n');
    symlinkSync('real', join(base, 'bin/middle'));
    symlinkSync(join(base, 'bin/middle'), join(base, 'bin/outer'));
    const rootfs = await unpacked([join(base, 'bin/outer')]);
    for (const name of ['outer', 'middle']) {
      expect(lstatSync(join(rootfs, base, 'bin', name)).isSymbolicLink()).toBe(true);
    }
    expect(lstatSync(join(rootfs, base, 'bin/real')).isFile()).toBe(true);
  });

  test('set-id bits stay at home', async () => {
    program('su', '#!/bin/sh\n');
    chmodSync(join(base, 'bin/su'), 0o6755);
    const rootfs = await unpacked([join(base, 'bin/su')]);
    expect(lstatSync(join(rootfs, base, 'bin/su')).mode & 0o7777).toBe(0o755);
  });

  test('names of more than 100 and 255 bytes are kept', async () => {
    const folder = join(base, 'bin', 'd'.repeat(120), 'e'.repeat(150));
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'tool'), '#!/bin/sh\n', { mode: 0o755 });
    const rootfs = await unpacked([join(folder, 'tool')]);
    expect(lstatSync(join(rootfs, folder, 'tool')).isFile()).toBe(true);
  });
});

describe('what cannot be packed', () => {
  test('nothing is written where something is missing, or where it cannot be', async () => {
    await expect(packHostTools(['no-such'], join(base, 'out.tar'))).rejects.toMatchObject({ code: 'E_TOOL_NOT_FOUND' });
    const nowhere = join(base, 'no/such/out.tar');
    await expect(packHostTools(['sh'], nowhere)).rejects.toMatchObject({ code: 'E_IMAGE_UNWRITABLE' });
    expect(readdirSync(base)).toEqual([]);
  });

  test('all programs that are missing are named at once', async () => {
    await expect(pack(['sh', 'no-such-a', 'no-such-b', 'bin/relative'])).rejects.toMatchObject({
      code: 'E_TOOL_NOT_FOUND',
      message: 'this host has no program no-such-a, no-such-b, bin/relative',
      item: 1,
    });
  });

  test('a script without its interpreter, a file that is no program', async () => {
    program('lost', '#!/no/such/interpreter\n');
    await expect(pack([join(base, 'bin/lost')])).rejects.toMatchObject({ code: 'E_TOOL_UNREADABLE' });
    program('env', '#!/usr/bin/env no-such-c\n');
    await expect(pack([join(base, 'bin/env')])).rejects.toMatchObject({ code: 'E_TOOL_NOT_FOUND' });
    program('loop', `#!${join(base, 'bin/loop')}\n`);
    await expect(pack([join(base, 'bin/loop')])).rejects.toMatchObject({ code: 'E_TOOL_UNREADABLE' });
    program('text', 'no program\n');
    await expect(pack([join(base, 'bin/text')])).rejects.toMatchObject({ code: 'E_TOOL_UNREADABLE' });
    program('elf', '\u007fELF');
    await expect(pack([join(base, 'bin/elf')])).rejects.toMatchObject({ code: 'E_TOOL_UNREADABLE' });
  });
});

describe('what may be packed', () => {
  const refusal = async (tools: readonly string[], path = '/usr/bin:/bin'): Promise<string> => {
    try {
      await pack(tools, { path });
      return '';
    } catch (error) {
      return String(error);
    }
  };
  const script = (name: string, text: string, mode = 0o755): string => {
    const path = join(base, name);
    writeFileSync(path, text);
    chmodSync(path, mode);
    return path;
  };

  test('an interpreter outside of the standard folders is packed only when it is named, too', async () => {
    const interpreter = script('interpreter', '#!/bin/sh\n');
    const started = script('program', `#!${interpreter}\n`);
    expect(await refusal([started])).toContain(`is run by ${interpreter}, which is in no standard folder`);
    expect(await refusal([started, interpreter])).toBe('');
  });

  test('what env would find in a folder of PATH is packed only when it is named, too', async () => {
    const found = script('own-python', '#!/bin/sh\n');
    const started = script('program', '#!/usr/bin/env own-python\n');
    expect(await refusal([started], `${base}:/usr/bin`)).toContain(`is run by ${found}`);
    expect(await refusal([started, 'own-python'], `${base}:/usr/bin`)).toBe('');
  });
});
