import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { stateFolder, storeFolder } from '../../../src/host/dirs.ts';
import { realHost } from '../../../src/host/read.ts';
import { tempFolder } from '../../support/temp.ts';
import { fakeReader } from './reader.ts';

describe('the folder of the image store', () => {
  test.each([
    ['is /var/lib/boxctl for root', {}, 0, '/var/lib/boxctl'],
    ['is beneath HOME for a user', { HOME: '/home/a' }, 1000, '/home/a/.local/share/boxctl'],
    ['is in XDG_DATA_HOME where it is set', { HOME: '/home/a', XDG_DATA_HOME: '/data/' }, 1000, '/data/boxctl'],
    [
      'is not in a relative XDG_DATA_HOME',
      { HOME: '/home/a', XDG_DATA_HOME: 'x' },
      1000,
      '/home/a/.local/share/boxctl',
    ],
    ['is BOXCTL_STORE where it is set', { HOME: '/home/a', BOXCTL_STORE: '/s' }, 0, '/s'],
    ['is / where BOXCTL_STORE is', { HOME: '/home/a', BOXCTL_STORE: '/' }, 0, '/'],
  ])('%s', (_, env, euid, expected) => {
    expect(storeFolder(env, euid)).toBe(expected);
  });

  test('is an error for a user without HOME', () => {
    expect(() => storeFolder({}, 1000)).toThrow(expect.objectContaining({ code: 'E_NO_HOME' }));
  });
});

describe('the folder of the records', () => {
  const run = '/run/user/1000';

  test('is in XDG_RUNTIME_DIR, or for root in /run, where that can be written to, and in /tmp otherwise', () => {
    const env = { XDG_RUNTIME_DIR: run };
    expect(stateFolder(fakeReader({ files: {}, writable: [run] }), env, 1000)).toBe(`${run}/boxctl`);
    expect(stateFolder(fakeReader({ files: {} }), env, 1000)).toBe('/tmp/boxctl-1000');
    expect(stateFolder(fakeReader({ files: {}, writable: ['/run'] }), {}, 0)).toBe('/run/boxctl');
    expect(stateFolder(fakeReader({ files: {} }), {}, 0)).toBe('/tmp/boxctl-0');
  });

  test.each([
    ['another user’s', { uid: 1001, mode: 0o700 }],
    ['one that the group can write to', { uid: 1000, mode: 0o770 }],
  ])('a folder in /tmp is refused when it is %s', (_, folder) => {
    const read = fakeReader({ files: {}, folders: { '/tmp/boxctl-1000': folder } });
    expect(() => stateFolder(read, {}, 1000)).toThrow(expect.objectContaining({ code: 'E_STATE_UNSAFE' }));
  });

  test('a link, or a file, is refused', () => {
    const folder = tempFolder();
    mkdirSync(join(folder, 'own'));
    symlinkSync('own', join(folder, 'boxctl'));
    const euid = process.geteuid?.() ?? 0;
    const asOrdinary = euid === 0 ? 1000 : euid;
    expect(() => stateFolder(realHost, { XDG_RUNTIME_DIR: folder }, asOrdinary)).toThrow(
      expect.objectContaining({ code: 'E_STATE_UNSAFE' }),
    );
  });
});
