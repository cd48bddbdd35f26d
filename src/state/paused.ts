/**
 * Containers that are paused. A file of the container's folder says that it was asked for, so that a list of many containers
 * asks the kernel for those alone; what holds is what the kernel says.
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { writeWhole } from '../files/atomic-write.ts';
import { containerCgroups } from '../host/cgroup-mounts.ts';
import { realHost } from '../host/read.ts';
import type { KeptContainer } from './containers.ts';

type Paused = Pick<KeptContainer, 'folder' | 'id' | 'isForeground'>;

/** The file of a cgroup by which its processes are stopped, and the one that tells whether they are. */
export interface Freezer {
  readonly version: 1 | 2;
  readonly file: string;
  readonly isFrozen: () => boolean;
  readonly freeze: string;
  readonly thaw: string;
}

const has = (file: string, line: string): boolean => (realHost.text(file) ?? '').split('\n').includes(line);

/** Undefined: the container has no cgroup of its own that can be frozen. */
export function freezerOf(id: string, pid: number): Freezer | undefined {
  const { unified, versionOne } = containerCgroups(realHost, pid, id);
  if (unified !== undefined && realHost.exists(`${unified}/cgroup.freeze`)) {
    const isFrozen = (): boolean => has(`${unified}/cgroup.events`, 'frozen 1');
    return { version: 2, file: `${unified}/cgroup.freeze`, isFrozen, freeze: '1', thaw: '0' };
  }
  const folder = versionOne.get('freezer');
  if (folder === undefined) return undefined;
  const file = `${folder}/freezer.state`;
  return { version: 1, file, isFrozen: () => has(file, 'FROZEN'), freeze: 'FROZEN', thaw: 'THAWED' };
}

const markOf = ({ folder }: Paused): string => `${folder}/paused`;

export function markPaused(container: Paused, paused: boolean): void {
  if (!paused) return rmSync(markOf(container), { force: true });
  // One in the foreground may have no folder yet.
  if (container.isForeground === true) mkdirSync(container.folder, { recursive: true, mode: 0o700 });
  writeWhole(markOf(container), '');
}

/** `pid`: the container's first process. */
export function isPaused(container: Paused, pid: number | undefined): boolean {
  if (pid === undefined || !existsSync(markOf(container))) return false;
  return freezerOf(container.id, pid)?.isFrozen() === true;
}
