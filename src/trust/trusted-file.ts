/** Files that a person, or the owner of a machine, has written, and that nobody who is judged by them can have written. */
import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync } from 'node:fs';
import { BoxctlError } from '../errors.ts';
import { isWithin, MAX_FILE_SIZE, realPath } from '../files/read.ts';
import { realHost } from '../host/read.ts';
import { followTrusted } from '../host/trusted.ts';

export interface Judge {
  readonly euid: number;
  /** The folder of the file that is judged, with every link followed. */
  readonly folder: string;
}

/**
 * The text of such a file; undefined where there is none. `what` names it in messages: `policy`.
 *
 * @throws BoxctlError E_POLICY_UNSAFE, E_POLICY_UNREADABLE
 */
export function readTrusted(file: string, what: string, { euid, folder }: Judge): string | undefined {
  const { path, problem } = followTrusted(file, { euid, egid: process.getegid?.() ?? 0 }, (at) => realHost.entry(at));
  let fd: number;
  try {
    if (problem !== undefined) {
      // An unsafe folder matters only if there is such a file in it.
      if (lstatSync(file, { throwIfNoEntry: false }) === undefined) return undefined;
      throw new BoxctlError('E_POLICY_UNSAFE', `the ${what} ${file} is not used: ${problem}, who could exchange it`, {
        hint: 'it must be a file of yours or root’s, in folders that nobody else may write to; with sudo, HOME may be another’s',
      });
    }
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch (error) {
    if (error instanceof BoxctlError) throw error;
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new BoxctlError('E_POLICY_UNREADABLE', `the ${what} ${file} cannot be read: ${String(code)}`);
  }
  try {
    const status = fstatSync(fd);
    const foreign = status.uid !== 0 && status.uid !== euid;
    if (!status.isFile() || status.size > MAX_FILE_SIZE || foreign || (status.mode & 0o022) !== 0) {
      throw new BoxctlError('E_POLICY_UNSAFE', `the ${what} ${file} is not used: others could have written it`, {
        hint: 'it must be a file of yours or root’s that nobody else may write: chmod go-w, chown',
      });
    }
    if (isWithin(realPath(file), folder)) {
      throw new BoxctlError(
        'E_POLICY_UNSAFE',
        `the ${what} ${file} is not used: it lies in ${folder}, which it judges`,
        {
          hint: 'give the container file a folder of its own, or allow what it needs with --allow',
        },
      );
    }
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}
