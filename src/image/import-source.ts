/** The archive of an import: what it is called, how it is read, and how it is told from another. */
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import type { ImageFacts } from '../model/image.ts';
import { sha256 } from '../native.ts';
import { ownPlace, WHOLE, type Archived, type WorkPlace } from '../worker/work.ts';
import type { Archive } from './archive.ts';
import { identityOf, type Identity } from './identity.ts';
import type { ImportOptions } from './import-job.ts';
import type { RecordedLayer } from './records.ts';

/** What a person calls it. */
export const nameOf = (archive: Archive, { source }: ImportOptions): string => source ?? archive.path;

/** The whole archive, as a worker reads it. */
export function archived(archive: Archive, options: ImportOptions): Archived {
  const total = Number(archive.stat.size);
  const { onProgress, signal } = options;
  return {
    fd: archive.fd,
    name: nameOf(archive, options),
    part: WHOLE,
    ...(onProgress === undefined ? {} : { onRead: (done) => onProgress({ ...done, total }) }),
    ...(signal === undefined ? {} : { signal }),
  };
}

/** The empty folder that is the root of workers which write nothing. */
export const emptyPlace = (host: HostFacts): WorkPlace => ownPlace(join(host.dirs.store, 'mnt'), host);

export function wrongDigest(path: string, pin: string, digest: string): BoxctlError {
  return new BoxctlError('E_IMAGE_DIGEST', `The image ${path} is not the one that was asked for`, {
    hint: `asked for sha256 ${pin}, the file has ${digest}`,
  });
}

/** The name of an archive that has not been read as a whole, in place of its digest. */
export const seenDigest = (identity: Identity): string => `seen-${sha256(identity).slice(0, 32)}`;

/** The layer of an archive that stays where it is. The store has its index alone, and the identity that the archive must have. */
export function layerInPlace(archive: Archive, digest: string): RecordedLayer {
  return { digest, form: 'erofs', inPlace: { path: archive.path, identity: identityOf(archive.stat) } };
}

/** Whether the image is mounted from the user's own archive, of which the store has no copy. */
export function isInPlace({ layers }: ImageFacts): boolean {
  return layers.some((layer) => layer.kind === 'erofs' && layer.identity !== undefined);
}
