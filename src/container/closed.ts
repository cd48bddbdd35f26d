/**
 * Containers that an ordinary user cannot join: the program of the first process is of an owner whom the container does not have,
 * and nobody there may read it (sudo of some hosts, in a bind). Then the kernel takes the memory of that process for the host's.
 * The same holds for boxctl's first process (`init`) where a filter of the file's keeps it from executing its own program.
 */
import { statSync } from 'node:fs';
import { BoxctlError } from '../errors.ts';
import { CLOSED } from '../plan/hints.ts';

export const closed = (name: string): BoxctlError =>
  new BoxctlError(
    'E_CONTAINER_CLOSED',
    `an ordinary user cannot join the container ${name}: the program of its first process is one that nobody in the container may read`,
    { hint: CLOSED },
  );

/** @throws BoxctlError `E_CONTAINER_CLOSED` */
export function assertOpen(name: string, pid: number): void {
  try {
    statSync(`/proc/${pid}/ns/user`);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EACCES') throw closed(name);
    // It has ended, which the launcher tells.
  }
}
