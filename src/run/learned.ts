/** The seccomp profile with the calls that a run made, written beside the file that asked for it (`seccomp: learn`). */
import { closeSync, constants, openSync, readFileSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { reasonOf } from '../kernel/errno.ts';
import type { OciSeccomp } from '../oci/config.ts';
import { defaultSeccomp } from '../model/seccomp-default.ts';
import type { SeccompArch } from '../kernel/machines.ts';
import { behind, openUnlinked } from '../files/read.ts';
import { parseSeccompProfile } from '../spec/seccomp-profile.ts';

/** A call that the default allows for some arguments only is still limited to those: a run seldom needs the others. */
export function profileOf(names: Iterable<string>, arch: SeccompArch): OciSeccomp {
  const usual = defaultSeccomp(arch);
  const wanted = new Set(names);
  const partial = usual.syscalls.filter(
    (rule) =>
      rule.action === 'SCMP_ACT_ERRNO' || (rule.args !== undefined && rule.names.some((name) => wanted.has(name))),
  );
  const limited = new Set(partial.flatMap((rule) => rule.names));
  const plain = [...wanted].filter((name) => !limited.has(name)).toSorted();
  return { ...usual, syscalls: [{ names: plain, action: 'SCMP_ACT_ALLOW' }, ...partial] };
}

function readNames(path: string): readonly string[] {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
  try {
    const { syscalls } = parseSeccompProfile(JSON.parse(readFileSync(fd, 'utf8')));
    return syscalls.filter(({ action }) => action === 'SCMP_ACT_ALLOW').flatMap((rule) => rule.names);
  } finally {
    closeSync(fd);
  }
}

export interface Learned {
  readonly path: string;
  /** Calls that the profile allows now, and how many of them it did not before. */
  readonly total: number;
  readonly added: number;
}

/**
 * Adds what was seen to the profile at `path`, which is made where there is none. A link there, or on the way there, is not
 * followed: the container may have put it there while it ran.
 *
 * @throws BoxctlError `E_SECCOMP_LEARN` where what is there is no profile, or the folder cannot be written
 */
export function writeLearned(path: string, seen: readonly string[], arch: SeccompArch): Learned {
  let folder: number | undefined;
  try {
    folder = openUnlinked(dirname(path));
    const file = join(behind(folder), basename(path));
    const work = join(behind(folder), `.${basename(path)}.${process.pid}`);
    const before = new Set(readNames(file));
    const all = new Set([...before, ...seen]);
    const fd = openSync(work, 'wx', 0o644);
    try {
      writeSync(fd, `${JSON.stringify(profileOf(all, arch), undefined, 2)}\n`);
      renameSync(work, file);
    } catch (error) {
      unlinkSync(work);
      throw error;
    } finally {
      closeSync(fd);
    }
    return { path, total: all.size, added: all.size - before.size };
  } catch (error) {
    const reason = reasonOf(error);
    throw new BoxctlError('E_SECCOMP_LEARN', `the profile cannot be written to ${path}: ${reason}`, {
      hint: 'the folder must be yours, and a file that is there a profile',
      cause: error,
    });
  } finally {
    if (folder !== undefined) closeSync(folder);
  }
}
