/** Layers that try what layers can do to each other, the lowest first. */
import type { Fixture } from '../unit/image/archive-fixture.ts';

export const file = (name: string, data = name, more: Partial<Fixture> = {}): Fixture => ({
  name,
  data,
  mtime: 1000,
  ...more,
});
export const folder = (name: string, more: Partial<Fixture> = {}): Fixture => ({
  name,
  type: '5',
  mode: 0o755,
  mtime: 2000,
  ...more,
});
export const link = (name: string, target: string): Fixture => ({ name, type: '1', link: target });
export const symlink = (name: string, target: string): Fixture => ({ name, type: '2', link: target, mtime: 3000 });
export const gone = (name: string): Fixture => ({ name });
export const OPAQUE = '.wh..wh..opq';

/** A default ACL: user::rwx, user:1000:r-x, group::r-x, mask::r-x, other::---. */
const acl = Buffer.from(
  '020000000100070 0ffffffff02000500e803000004000500ffffffff10000500ffffffff20000000ffffffff'.replaceAll(' ', ''),
  'hex',
);

export const LAYER_CASES: Readonly<Record<string, readonly (readonly Fixture[])[]>> = {
  'whiteouts of files, folders and links': [
    [folder('d'), file('d/a'), file('d/b'), file('f'), symlink('l', 'f'), folder('e'), file('e/x')],
    [folder('d'), gone('d/.wh.a'), gone('.wh.f'), gone('.wh.l'), gone('.wh.e')],
    [file('f', 'back')],
  ],
  'opaque folders, the mark first': [
    [folder('d'), file('d/a'), folder('d/s'), file('d/s/x')],
    [folder('d', { mode: 0o700 }), gone(`d/${OPAQUE}`), file('d/new'), folder('d/s'), file('d/s/y')],
  ],
  'an opaque folder over an opaque folder, and one that is filled again': [
    [folder('d'), file('d/a'), file('d/b')],
    [folder('d'), gone(`d/${OPAQUE}`), file('d/c')],
    [folder('d'), file('d/a', 'again')],
    [folder('d'), gone(`d/${OPAQUE}`)],
    [folder('d'), file('d/z')],
  ],
  'a folder becomes a file, a file a folder, a link a folder': [
    [folder('d'), file('d/a'), file('f'), folder('t'), file('t/kept'), symlink('l', 't')],
    [file('d'), folder('f'), file('f/in'), folder('l'), file('l/in')],
    [folder('d'), file('d/new')],
  ],
  'a folder is deleted and made anew in one layer': [
    [folder('d', { mode: 0o711 }), file('d/a'), folder('d/s'), file('d/s/x')],
    [gone('.wh.d'), folder('d'), file('d/b')],
  ],
  'hard links inside of a layer, and of a link': [
    [file('a', 'data'), link('b', 'a'), folder('d'), link('d/c', 'a'), symlink('s', 'a'), link('t', 's')],
    [file('x'), link('y', './x')],
  ],
  'the last of several entries wins': [
    [
      file('a', 'one'),
      file('a', 'two'),
      folder('d', { mode: 0o700 }),
      file('d/x'),
      folder('d', { mode: 0o750, uid: 7 }),
    ],
    [file('b'), symlink('b', 'a'), file('c'), link('c', 'b')],
  ],
  'a folder after what is in it, closed to its owner': [
    [file('d/a'), file('d/b', 'x', { mode: 0o4755, uid: 3, gid: 4 }), folder('d', { mode: 0, uid: 5, gid: 6 })],
    [folder('d', { mode: 0o1777, mtime: 5 })],
  ],
  'folders that a layer implies look as those below': [
    [
      folder('a', { mode: 0o710, uid: 1, mtime: 11 }),
      folder('a/b', { mode: 0o1770, gid: 2, mtime: 12 }),
      file('a/b/c'),
    ],
    [file('a/b/d')],
    [gone('a/b/.wh.c')],
    [folder('a', { mode: 0o777, uid: 9, mtime: 13 }), file('a/b/e')],
    [file('a/f')],
  ],
  'extended attributes and default ACLs of implied folders': [
    [
      folder('a', { pax: { 'SCHILY.xattr.user.x': 'y', 'SCHILY.xattr.system.posix_acl_default': acl } }),
      file('a/early'),
      folder('a/made'),
    ],
    [file('a/late')],
  ],
  'hard links to files of layers below': [
    [
      folder('d', { mode: 0o750 }),
      file('d/a', 'data', { mode: 0o4711, uid: 5, pax: { mtime: '-1.25' } }),
      symlink('s', 'd/a'),
    ],
    [file('other')],
    [link('b', 'd/a'), folder('e'), link('e/c', 'b'), link('t', 's')],
  ],
  'a hard link to a file below that is replaced later': [
    [file('a', 'old'), file('b', 'old b')],
    [link('x', 'a'), file('a', 'new'), link('b', 'a')],
  ],
  'the same layer more than once': [
    [file('a'), file('b'), folder('d'), file('d/x')],
    [file('a', 'new'), gone('.wh.b'), folder('d'), file('d/y')],
    [file('b', 'back'), gone('.wh.a'), folder('d'), gone('d/.wh.x')],
    [file('a', 'new'), gone('.wh.b'), folder('d'), file('d/y')],
  ],
  'special files': [
    [
      { name: 'null', type: '3', major: 1, minor: 3, mode: 0o666, mtime: 1 },
      { name: 'disk', type: '4', major: 8, minor: 300, mode: 0o600, mtime: 1 },
      { name: 'pipe', type: '6', mode: 0o622, mtime: 1 },
    ],
    [gone('.wh.null'), file('pipe')],
  ],
};
