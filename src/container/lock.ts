/**
 * A container file with the lock beside it. A lock gives a container nothing: it only fixes what the file names, and whoever can
 * change the file can change the lock, so what comes of both is judged as the file alone would be.
 */
import { BoxctlError, type Position } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { fitOf, type Misfit } from '../lock/fit.ts';
import { hasLock, lockOf } from '../lock/place.ts';
import { readLock } from '../lock/read.ts';
import type { ImageFacts } from '../model/image.ts';
import type { SpecDocument } from '../spec/spec.ts';
import { redactor } from '../text/borrowed.ts';
import { located, type Problem } from '../spec/located.ts';

export interface LockUse {
  /** The lock must be there, and have everything that the file names (`--locked`). */
  readonly locked?: boolean;
  /** Is told of what the lock does not have. */
  readonly onWarning?: (message: string, at: Position | undefined) => void;
}

export interface LockedDocument {
  /** The document, with its image as the lock has it. */
  readonly document: SpecDocument;
  /** Throws E_LOCK_MISMATCH where the store's image is another than the lock has. */
  checkImage(image: ImageFacts): void;
  /** An error of the image as it is told where a lock is the reason. */
  explain(error: unknown): unknown;
}

export const unlocked = (document: SpecDocument): LockedDocument => ({
  document,
  checkImage: () => undefined,
  explain: (error) => error,
});

function missing({ file }: SpecDocument): BoxctlError {
  const lock = lockOf(file);
  return lock === undefined
    ? new BoxctlError('E_LOCK_MISSING', `${file} is no file of a folder, so it has no lock`, {
        hint: 'write it to a file, and lock that: boxctl lock FILE',
      })
    : new BoxctlError('E_LOCK_MISSING', `${file} has no lock: there is no ${lock}`, {
        hint: `write it, and keep it beside the file: boxctl lock ${file}`,
      });
}

function problemOf({ kind, message }: Misfit, file: string): Problem {
  switch (kind) {
    case 'changed':
    case 'extra':
      return { code: 'E_LOCK_MISMATCH', message, hint: `if that is meant: boxctl lock --update ${file}` };
    case 'unlocked':
      return { code: 'E_LOCK_UNLOCKED', message, hint: `boxctl lock ${file}` };
    case 'unlockable':
      return { code: 'E_LOCK_UNLOCKED', message, hint: 'use an archive: `image: {tar: …}`; or leave out --locked' };
  }
}

/** @throws BoxctlError E_LOCK_MISSING, E_LOCK_UNSAFE, E_LOCK_INVALID, E_LOCK_MISMATCH, E_LOCK_UNLOCKED */
export function withLock(
  document: SpecDocument,
  host: HostFacts,
  { locked = false, onWarning = () => undefined }: LockUse = {},
): LockedDocument {
  if (!hasLock(document.file)) {
    if (locked) throw missing(document);
    return unlocked(document);
  }
  const read = readLock(document.file);
  if (read === undefined) return unlocked(document);
  const { image, digest, misfits } = fitOf(document, read, host);
  const wrong = misfits.filter(({ kind }) => locked || kind === 'changed');
  const problems = wrong.map((misfit) => [misfit.path, problemOf(misfit, document.file)] as const);
  if (problems.length > 0) throw located(document, problems);
  const redact = redactor(document.borrowed);
  for (const { kind, path, message } of misfits) {
    if (kind === 'unlocked') onWarning(redact(message, path), document.where(path));
  }
  const { file } = document;
  const change = (message: string): BoxctlError =>
    located(document, [['image', problemOf({ kind: 'changed', path: 'image', message }, file)]]);
  return {
    document: image === undefined ? document : { ...document, spec: { ...document.spec, image } },
    checkImage: (found) => {
      if (digest === undefined || found.digest === digest) return;
      const what = image?.kind === 'host_tools' ? 'what is packed of this host' : 'the image of the store';
      throw change(`${what} is another than ${read.file} has`);
    },
    explain: (error) =>
      error instanceof BoxctlError && error.code === 'E_IMAGE_DIGEST' && document.spec.image !== image
        ? change(`the image has changed since it was locked (${read.file}): ${error.hint ?? error.message}`)
        : error,
  };
}
