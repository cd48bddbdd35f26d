/** Files that a person, or the owner of a machine, has written, and that nobody who is judged by them can have written. */
import { BoxctlError } from '../errors.ts';
import { isWithin, realPath } from '../files/read.ts';
import { effectiveGroup } from '../inputs/outside.ts';
import { readTrustedFile } from '../host/trusted-file.ts';

export interface Judge {
  readonly euid: number;
  /** The folder of the file that is judged, with every link followed. Undefined: what is read only takes, and gives nothing. */
  readonly folder?: string;
}

/**
 * The text of such a file; undefined where there is none. `what` names it in messages: `policy`.
 *
 * @throws BoxctlError E_POLICY_UNSAFE, E_POLICY_UNREADABLE
 */
export function readTrusted(file: string, what: string, { euid, folder }: Judge): string | undefined {
  const found = readTrustedFile(file, { euid, egid: effectiveGroup() });
  if (found.kind === 'missing') return undefined;
  if (found.kind === 'unreadable') {
    throw new BoxctlError('E_POLICY_UNREADABLE', `the ${what} ${file} cannot be read: ${found.problem}`);
  }
  const unsafe = (why: string, hint: string): BoxctlError =>
    new BoxctlError('E_POLICY_UNSAFE', `the ${what} ${file} is not used: ${why}`, { hint });
  if (found.kind === 'unsafe') {
    throw unsafe(
      found.problem,
      'it must be a file of yours or root’s, in folders that nobody else may write to; with sudo, HOME may be another’s',
    );
  }
  // Stricter than for other configuration: a group has other members, also where it is the caller's own.
  if ((found.mode & 0o022) !== 0) {
    throw unsafe('others could have written it', 'it must be a file that nobody but you or root may write: chmod go-w');
  }
  if (folder !== undefined && isWithin(realPath(file), folder)) {
    throw unsafe(
      `it lies in ${folder}, which it judges`,
      'give the container file a folder of its own, or allow what it needs with --allow',
    );
  }
  return found.bytes.toString('utf8');
}
