/** The owners of a copied tree: moved through a user namespace's maps, or found to be one's own. */
import { chmodSync, lchownSync, lstatSync, opendirSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import type { OciIdMapping } from './config.ts';

/** Every entry of a tree, links themselves and not what they point to. */
function* walk(path: string): Generator<readonly [path: string, stats: Stats]> {
  const stats = lstatSync(path);
  yield [path, stats];
  if (!stats.isDirectory()) return;
  const dir = opendirSync(path);
  try {
    for (let entry = dir.readSync(); entry !== null; entry = dir.readSync()) yield* walk(join(path, entry.name));
  } finally {
    dir.closeSync();
  }
}

/** The host's id for one of the container's; an id that is not mapped has none. */
export function toHost(maps: readonly OciIdMapping[], id: number): number | undefined {
  const map = maps.find(({ containerID, size }) => id >= containerID && id < containerID + size);
  return map === undefined ? undefined : map.hostID + (id - map.containerID);
}

/**
 * Gives every file of a tree that nobody else can reach the owner that it has inside the container. Its file
 * capabilities go with that, as they would: a user namespace honours only those that were set in it.
 *
 * @throws BoxctlError `E_BUNDLE_OWNER` where a file belongs to an id that the maps do not have.
 */
export function shiftOwners(root: string, uids: readonly OciIdMapping[], gids: readonly OciIdMapping[]): void {
  // A file with several names is met under each of them, and is to be moved once.
  const moved = new Set<number>();
  for (const [path, stats] of walk(root)) {
    if (moved.has(stats.ino)) continue;
    if (stats.nlink > 1 && !stats.isDirectory()) moved.add(stats.ino);
    const uid = toHost(uids, stats.uid);
    const gid = toHost(gids, stats.gid);
    if (uid === undefined || gid === undefined) {
      throw new BoxctlError('E_BUNDLE_OWNER', `${path} belongs to ${stats.uid}:${stats.gid}, which is not mapped`, {
        hint: 'map all ids that the image uses, with uid_map and gid_map',
      });
    }
    lchownSync(path, uid, gid);
    // chown(2) takes the set-user-id and set-group-id bits away.
    if (!stats.isSymbolicLink()) chmodSync(path, stats.mode & 0o7777);
  }
}

/**
 * An ordinary user's copy belongs to that user.
 *
 * @throws BoxctlError `E_BUNDLE_OWNER` where the original has a file of somebody else.
 */
export function checkOwners(root: string): void {
  const own = process.geteuid?.();
  for (const [path, stats] of walk(root)) {
    if (stats.uid === own) continue;
    throw new BoxctlError('E_BUNDLE_OWNER', `${path} of the image belongs to another id, which a copy cannot keep`, {
      hint: 'write the bundle as root, or without subordinate ids: `uid_map: ["0:<your id>:1"]`',
    });
  }
}
