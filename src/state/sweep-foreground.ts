/** Folders of containers in the foreground (foreground.ts) that a killed process has left. A part of each start, so it loads little. */
import { closeSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { HostFacts } from '../host/facts.ts';
import { openOwn, tryLock } from '../native.ts';
import { namesIn } from './names.ts';

export const foregroundFolder = ({ dirs }: Pick<HostFacts, 'dirs'>): string => join(dirs.state, 'foreground');

/** Folders whose process was killed. `remove`: they are removed. */
export function sweepForeground(host: HostFacts, remove: boolean): readonly string[] {
  return namesIn(foregroundFolder(host))
    .map((id) => join(foregroundFolder(host), id))
    .filter((folder) => {
      let fd: number | undefined;
      try {
        fd = openOwn(join(folder, 'lock'), 'file');
        if (!tryLock(fd, true)) return false;
      } catch {
        // Without a lock: it was just made, or half removed.
        if (isYoung(folder)) return false;
      } finally {
        if (fd !== undefined) closeSync(fd);
      }
      if (remove) rmSync(folder, { recursive: true, force: true });
      return true;
    });
}

/** Made, or removed, within the last seconds. */
function isYoung(folder: string): boolean {
  const status = statSync(folder, { throwIfNoEntry: false });
  return status === undefined || Date.now() - status.mtimeMs < 10_000;
}
