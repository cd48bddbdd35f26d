/** Paths that nobody else can redirect, on a host that is data. */
import { expect, test } from 'vitest';
import { gatherFolders, storeFolder } from '../../../src/host/dirs.ts';
import type { Entry } from '../../../src/host/read.ts';
import { followTrusted } from '../../../src/host/trusted.ts';
import { fakeReader } from './reader.ts';

const ROOT = { euid: 0, egid: 0 };
const folder = (uid: number, mode = 0o755, gid = uid): Entry => ({ kind: 'folder', uid, gid, mode });
const link = (uid: number, target: string): Entry => ({ kind: 'link', uid, gid: uid, mode: 0o777, target });

const HOST: Readonly<Record<string, Entry>> = {
  '/': folder(0),
  '/var': folder(0),
  '/var/lib': folder(0),
  '/var/lib/link': link(0, '../data/./store'),
  '/var/data': folder(0),
  '/var/data/store': folder(0, 0o700),
  '/tmp': folder(0, 0o1777),
  '/tmp/mine': folder(0),
  '/tmp/link': link(1000, '/var/data/store'),
  '/open': folder(0, 0o777),
  '/open/store': folder(0),
  '/home': folder(0),
  '/home/alice': folder(1000),
  '/home/alice/store': folder(0, 0o700),
  '/circle': link(0, '/circle'),
  '/nobody': folder(65_534),
};
const entry = (path: string): Entry | undefined => HOST[path];

test.each([
  ['/var/data/store', '/var/data/store'],
  ['/var/lib/link/layers', '/var/data/store/layers'],
  ['/var/lib/not/there', '/var/lib/not/there'],
  ['/tmp/mine/store', '/tmp/mine/store'],
])('%s is followed to %s', (path, expected) => {
  expect(followTrusted(path, ROOT, entry)).toEqual({ path: expected });
});

test.each([
  ['/home/alice/store', 'belongs to the user 1000'],
  ['/tmp/link', 'belongs to the user 1000'],
  ['/open/store', 'everybody can write to /open'],
  ['/circle', 'too many links'],
  ['/nobody/store', 'belongs to the user 65534'],
])('root does not follow %s', (path, problem) => {
  expect(followTrusted(path, ROOT, entry).problem).toContain(problem);
});

test('a user follows his own folders and root’s, and in a namespace those of whoever has no id there', () => {
  const alice = { euid: 1000, egid: 1000 };
  expect(followTrusted('/home/alice/store', alice, entry)).toEqual({ path: '/home/alice/store' });
  expect(followTrusted('/nobody/x', { ...alice, nobody: 65_534 }, entry)).toEqual({ path: '/nobody/x' });
});

test.each(['store', './store', '~/store', '../x'])('the relative BOXCTL_STORE %s is an error', (BOXCTL_STORE) => {
  expect(() => storeFolder({ BOXCTL_STORE, HOME: '/home/a' }, 0)).toThrow(
    expect.objectContaining({ code: 'E_STORE_PATH' }),
  );
});

test('an empty BOXCTL_STORE is none', () => {
  expect(storeFolder({ BOXCTL_STORE: '' }, 0)).toBe('/var/lib/boxctl');
});

test.each([
  ['another user’s', { '/s': folder(1000, 0o700), '/s/images': folder(1000) }],
  ['writable by a group of others', { '/s': folder(0, 0o770, 50), '/s/images': folder(0) }],
  ['writable by everybody', { '/s': folder(0, 0o777), '/s/images': folder(0) }],
  ['one in which a folder is a link', { '/s': folder(0, 0o700), '/s/layers': link(0, '/elsewhere') }],
  ['one in which a folder is another’s', { '/s': folder(0, 0o700), '/s/names': folder(1000) }],
  ['one in which a folder is a file', { '/s': folder(0, 0o700), '/s/ids': { ...folder(0), kind: 'other' as const } }],
])('a store is refused when it is %s', (_, entries: Readonly<Record<string, Entry>>) => {
  const read = { ...fakeReader({ files: {} }), entry: (path: string) => entries[path] ?? HOST[path] };
  expect(() => gatherFolders(read, { BOXCTL_STORE: '/s' }, ROOT)).toThrow(
    expect.objectContaining({ code: 'E_STORE_UNSAFE' }),
  );
});
