/**
 * Where things lie in the image store.
 *
 *   trees/<digest>/<plain|hash of the maps>/{rootfs/, facts.json, owner.json}   complete images, and nothing else
 *   tmp/<random>/{lock, owner.json, rootfs/}                                    imports at work, or what is left of them
 *   ids/<hash>.json                                                             which file had which digest
 *   locks/<hash>                                                                one import of a source at a time
 *   lock                                                                        held while tmp/ changes
 *   mnt/                                                                        empty: the launcher mounts over it
 */
import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import type { Ownership } from './image.ts';

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** The name of a tree by its owners: `plain`, or 32 hex digits of the maps' hash. */
export function ownershipKey(ownership: Ownership | undefined): string {
  if (ownership === undefined) return 'plain';
  const rows = (maps: Ownership['uidMap']): number[][] => maps.map((map) => [map.container, map.host, map.size]);
  return sha256(JSON.stringify([rows(ownership.uidMap), rows(ownership.gidMap)])).slice(0, 32);
}

export const treeFolder = (store: string, digest: string, ownership: Ownership | undefined): string =>
  join(store, 'trees', digest, ownershipKey(ownership));

/** Makes the store's folders. Throws `E_IMAGE_STORE` when they cannot be had, or belong to someone else. */
export function prepareStore(store: string): void {
  try {
    for (const name of ['', 'trees', 'tmp', 'ids', 'locks', 'mnt']) {
      mkdirSync(join(store, name), { recursive: true, mode: 0o700 });
    }
    // Images hold set-user-id files of other people's making: no other user may reach them (CVE-2021-41103).
    const { uid, mode } = lstatSync(store);
    if (uid !== process.geteuid?.()) throw new Error(`it belongs to the user ${uid}`);
    if ((mode & 0o077) !== 0) chmodSync(store, 0o700);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new BoxctlError('E_IMAGE_STORE', `The image store ${store} cannot be used: ${why}`, { cause });
  }
}
