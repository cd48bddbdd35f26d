/** Folders of containers that a killed command has left half made or half removed. Loaded where they are looked for. */
import { basename, join } from 'node:path';
import { isOwn } from '../files/own.ts';
import { namesIn } from './names.ts';
import { withLock } from '../files/locks.ts';
import type { HostFacts } from '../host/facts.ts';
import { namesLock, REMOVED, removeAway } from './container-folders.ts';
import { ID } from './container-record.ts';
import { folderOf, isLocked } from './containers.ts';

/** Gives them, and with `remove` removes them. */
export function sweepHalf(host: HostFacts, remove: boolean): Promise<readonly string[]> {
  return withLock(namesLock(host), async () => {
    const found = halfFolders(host);
    if (remove) for (const folder of found) await removeAway(host, basename(folder));
    return found;
  });
}

function halfFolders(host: HostFacts): readonly string[] {
  const parent = folderOf(host);
  return namesIn(parent)
    .filter((name) => {
      if (!(REMOVED.test(name) || ID.test(name)) || isLocked(join(parent, name))) return false;
      if (REMOVED.test(name)) return true;
      try {
        return !isOwn(join(parent, name, 'container.json'), 'file');
      } catch {
        return false;
      }
    })
    .map((name) => join(parent, name));
}
