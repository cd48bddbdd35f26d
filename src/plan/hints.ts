/**
 * What a person can do about a call that failed, by the name of its error: hints that steps of several kinds have in common
 * (`Step.hints`). Those of a call in whatever step it is made are in call-hints.ts.
 */
import { RESOLVE, type ErrnoName } from '../kernel/constants.ts';

/**
 * By the name of the error; `other` is for all errors that have none of their own. `$STATUS` becomes the number that the
 * launcher tells of the failure: of a program that was started, its exit status.
 */
export type Hints = Readonly<Partial<Record<ErrnoName | 'other', string>>>;

/** What an outer container must be started with, in the words of boxctl, Docker and Podman. */
export const OUTER_FILTER =
  'start it with `seccomp: unconfined`; by Docker and Podman, `--security-opt seccomp=unconfined`';
export const OUTER_PATHS =
  'start it with `masked_paths: ["!/proc", "!/sys"]` and `readonly_paths: ["!/proc"]`; by Docker, `--security-opt systempaths=unconfined`, and by Podman `--security-opt unmask=ALL`';

/** For who cannot join a container: see src/container/closed.ts. */
export const CLOSED =
  'with `init: true` the first process is one that can be joined; a `seccomp` profile of your own has to allow it `execveat`';

/** For a path of the host that the file names, and that was looked at when the file was loaded. */
export const SOURCE_HINTS: Hints = {
  ENOENT: 'the source is not there',
  ELOOP: 'a part of the path became a symbolic link after the file was checked: it is not followed',
};

/** For a path of the container's root that is made where it is missing. `what` it is, in a sentence. */
export function hintsOfPath(what: string, resolve: number): Hints {
  const notAllowed = `${what} is missing, and the container’s root may not make it there: make it in the source`;
  const leadsAway = `a link of the image leads ${what} into /proc, /sys or /dev, where nothing can be made`;
  const followsLinks = (resolve & RESOLVE.RESOLVE_NO_SYMLINKS) === 0;
  return {
    EROFS: `${what} is missing on a read-only mount: make it in the source`,
    EACCES: notAllowed,
    EPERM: notAllowed,
    EOVERFLOW: notAllowed,
    ENOTDIR: `${what}, or a part of its path, is a file in the image, not a folder`,
    ELOOP: followsLinks
      ? `links of the image on the way to ${what} lead in a circle, or through /proc`
      : `a link is on the way to ${what}: none is followed in /dev, /proc and /sys`,
    EXDEV: leadsAway,
    ENOENT: leadsAway,
  };
}
