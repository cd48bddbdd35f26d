/** Errors of system calls that any part of boxctl can get and that the host is the reason for: a full disk, no memory left. */
import { BoxctlError } from '../errors.ts';
import { reasonOf } from '../kernel/errno.ts';

const HINTS: Readonly<Record<string, string>> = {
  ENOSPC: 'make room there, or set BOXCTL_STORE to a folder of another disk',
  EDQUOT: 'make room within the quota, or set BOXCTL_STORE to a folder of another disk',
  EROFS: 'set BOXCTL_STORE to a folder that can be written',
  EFBIG: 'raise the size that files may have: ulimit -f',
  ESTALE: 'the network file system has replaced what was there: try again',
  EIO: 'the disk, or what holds it, has failed: see dmesg',
  EMFILE: 'raise the number of open files: ulimit -n',
  ENFILE: 'the host has too many open files',
  ENOMEM: 'the host, or the cgroup that boxctl is in, has no memory left',
  EAGAIN: 'there are too many processes: ulimit -u, or the pids of the cgroup that boxctl is in',
};

/** E_HOST or E_NO_FOLDER for an error whose reason is the host; any other error as it is. */
export function explainHostFailure(error: unknown): unknown {
  if (error instanceof BoxctlError || !(error instanceof Error)) return error;
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (syscall === 'uv_cwd') {
    const gone = 'the folder that boxctl was started in is not there any more';
    return new BoxctlError('E_NO_FOLDER', gone, { hint: 'go to another one', cause: error });
  }
  const hint = code === undefined ? undefined : HINTS[code];
  if (hint === undefined || syscall === undefined) return error;
  return new BoxctlError('E_HOST', `this host cannot go on: ${reasonOf(error)}`, { hint, cause: error });
}
