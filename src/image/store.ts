/**
 * Where things lie in the image store.
 *
 *   layers/<digest>/erofs/{index, data}               an archive, and an index by which it is mounted
 *   layers/<digest>/index/{index}                     an index of an archive that is the user's own
 *   layers/<digest>/<plain|maps>/{rootfs/, owner.json}  an archive unpacked, with its own owners or under maps
 *   images/<digest>/<plain|maps>.json                 complete images, and nothing else (records.ts)
 *   …/{erofs,index,plain}-<hash>                      for containers with these ids alone: other owners became root
 *   names/<hash>.json                                 names that people gave to images
 *   ids/<hash>.json                                   which file had which digest
 *   upper/<run>/                                      what a running container writes, locked until it is gone
 *   tmp/<random>/{lock, owner.json, …}                imports at work, or what is left of them
 *   locks/<hash>                                      one import of a source at a time
 *   lock                                              held while something is removed, and while tmp/ changes
 *   mnt/                                              empty: the launcher mounts over it
 */
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { effectiveUser, existsSync, readdirSync, statSync } from '../inputs/outside.ts';
import { makeFolders } from '../files/folders.ts';
import { sha256 } from '../native.ts';
import { BoxctlError } from '../errors.ts';
import { reasonOf } from '../kernel/errno.ts';
import type { Ownership } from '../model/image.ts';

/**
 * A file name for any text: 16 hex digits. Quick to have, but two texts may share it (FNV-1a with 64 bits, in four
 * parts of 16): who relies on it compares the text, or bears with it.
 */
export function shortHash(text: string): string {
  let [a, b, c, d] = [0x2325, 0x8422, 0x9ce4, 0xcbf2];
  for (const byte of Buffer.from(text)) {
    a ^= byte;
    // Times 2^40 + 0x1b3, modulo 2^64, without leaving the safe integers.
    const [p, q, r, s] = [a * 0x1b3, b * 0x1b3, c * 0x1b3 + (a << 8), d * 0x1b3 + (b << 8)];
    a = p & 0xffff;
    const carryB = q + (p >>> 16);
    b = carryB & 0xffff;
    const carryC = r + (carryB >>> 16);
    c = carryC & 0xffff;
    d = (s + (carryC >>> 16)) & 0xffff;
  }
  return [d, c, b, a].map((part) => part.toString(16).padStart(4, '0')).join('');
}

/** As much of the maps as fits into a file name with ease. */
const MAX_READABLE = 100;

/** The name of a tree by its owners: `plain`, or the maps, or the hash of long ones. */
export function ownershipKey(ownership: Ownership | undefined): string {
  if (ownership === undefined || ownership.byMount === true) return 'plain';
  const text = (maps: Ownership['uidMap']): string =>
    maps.map((map) => `${map.container}.${map.host}.${map.size}`).join('+');
  const maps = `u${text(ownership.uidMap)}-g${text(ownership.gidMap)}`;
  return maps.length <= MAX_READABLE ? maps : sha256(maps);
}

/** A file name for the ids that the containers of these maps have. */
export function ownersKey(owners: Ownership | undefined): string {
  return shortHash(
    [owners?.uidMap ?? [], owners?.gidMap ?? []]
      .map((maps) => maps.map(({ container, size }) => `${container}+${size}`).join(','))
      .join(' '),
  );
}

/** A layer's folder: `form` is `erofs`, `index`, or an ownership's key. */
export const layerFolder = (store: string, digest: string, form: string): string => join(store, 'layers', digest, form);

/** Whether the store has its folders: a container is built on one of them. */
export const isStore = (store: string): boolean => existsSync(join(store, 'mnt'));

const FOLDERS = ['layers', 'images', 'names', 'ids', 'upper', 'tmp', 'locks', 'mnt'] as const;
/** `lost+found`: the store may be a file system of its own. */
const OURS: ReadonlySet<string> = new Set([
  ...FOLDERS,
  'lock',
  'documents',
  'partial',
  'volumes',
  'containers',
  'plans',
  'id-ranges',
  'lost+found',
]);

/**
 * A folder of something else, such as /var: its `tmp` would be swept, and nobody else could enter it any more. A store has
 * all of its folders, or some of them and nothing else; a `tmp` alone is anybody's.
 */
function isForeign(store: string): boolean {
  if (!existsSync(store)) return false;
  const found = readdirSync(store);
  const has = (name: string): boolean => found.includes(name);
  if (FOLDERS.every(has)) return false;
  return found.some((name) => !OURS.has(name)) || (has('tmp') && !['layers', 'images', 'locks'].some(has));
}

/** What is told where the store itself is to blame for an error. */
export function unusableStore(store: string, cause: unknown): BoxctlError {
  const hint = 'set BOXCTL_STORE to a folder of yours that can be written, or to one that is still to be made';
  return new BoxctlError('E_IMAGE_STORE', `The image store ${store} cannot be used: ${reasonOf(cause)}`, {
    hint,
    cause,
  });
}

/** Makes the store's folders. Throws `E_IMAGE_STORE` when they cannot be had, or belong to someone else. */
export function prepareStore(store: string): void {
  try {
    if (isForeign(store))
      throw new Error(`it holds other things; ${join(store, 'boxctl')} would be a folder of its own`);
    for (const name of ['', ...FOLDERS]) makeFolders(join(store, name), 0o700);
    // Images hold set-user-id files of other people's making: no other user may reach them (CVE-2021-41103).
    const { uid, mode } = statSync(store);
    if (uid !== effectiveUser()) throw new Error(`it belongs to the user ${uid}`);
    if ((mode & 0o077) !== 0) chmodSync(store, 0o700);
  } catch (cause) {
    throw unusableStore(store, cause);
  }
}
