/** Reads configuration that decides for the caller: only files that nobody but root and the caller can have written. */
import { closeSync, constants, fstatSync } from 'node:fs';
import { MAX_FILE_SIZE, whyNot } from '../files/read.ts';
import { effectiveGroup, effectiveUser, lstatSync, openSync, readOpened } from '../inputs/outside.ts';
import { isInitialUserNamespace } from './ids.ts';
import { realHost } from './read.ts';
import { followTrusted, isOpenToOthers, type Caller } from './trusted.ts';

export type TrustedFile =
  | { readonly kind: 'read'; readonly bytes: Buffer; readonly mode: number }
  | { readonly kind: 'missing' }
  /** Others could have written it. `problem` says why, to go on after "is not used: ". */
  | { readonly kind: 'unsafe'; readonly problem: string }
  | { readonly kind: 'unreadable'; readonly problem: string };

/** Whose files the caller trusts. In a user namespace the host's root is one of those who have no id here. */
export function thisCaller(): Caller {
  const caller = { euid: effectiveUser(), egid: effectiveGroup() };
  if (isInitialUserNamespace(realHost.text('/proc/self/uid_map'))) return caller;
  const nobody = Number(realHost.text('/proc/sys/kernel/overflowuid')?.trim());
  return Number.isInteger(nobody) ? { ...caller, nobody } : caller;
}

/** A file of at most MAX_FILE_SIZE bytes, with every link on the way judged. A fifo does not make us wait. */
export function readTrustedFile(file: string, caller: Caller = thisCaller()): TrustedFile {
  const { path, problem } = followTrusted(file, caller, (at) => realHost.entry(at));
  try {
    if (problem !== undefined) {
      // A folder that is open to others matters only if there is such a file in it.
      return lstatSync(file, { throwIfNoEntry: false }) === undefined
        ? { kind: 'missing' }
        : {
            kind: 'unsafe',
            problem: `${path === file ? problem.replace(file, 'it') : problem}, who could exchange it`,
          };
    }
    return readHere(path, caller);
  } catch (error) {
    const why = whyNot(error);
    return why.missing ? { kind: 'missing' } : { kind: 'unreadable', problem: why.problem };
  }
}

function readHere(path: string, caller: Caller): TrustedFile {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  try {
    const status = fstatSync(fd);
    const { uid, gid, size } = status;
    const mode = status.mode & 0o7777;
    if (!status.isFile()) return { kind: 'unreadable', problem: 'it is no file' };
    if (uid !== 0 && uid !== caller.euid && uid !== caller.nobody) {
      return { kind: 'unsafe', problem: `it belongs to the user ${uid}` };
    }
    if (isOpenToOthers({ kind: 'other', uid, gid, mode }, caller)) {
      return { kind: 'unsafe', problem: 'others may write to it' };
    }
    if (size > MAX_FILE_SIZE) return { kind: 'unreadable', problem: `it is larger than ${MAX_FILE_SIZE} bytes` };
    return { kind: 'read', bytes: readOpened(fd), mode };
  } finally {
    closeSync(fd);
  }
}
