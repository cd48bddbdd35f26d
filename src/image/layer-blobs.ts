/** Layers of the store as blobs: compressed as it is asked for, with their digests. */
import { closeSync, openSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { compressTar, ownPlace, type Compression, type WorkPlace } from '../worker/work.ts';
import type { ExportedLayer, LayerFacts } from './export.ts';
import { MEDIA } from './image-documents.ts';
import type { ImportProgress } from './import-job.ts';
import { openTar, type OpenTar } from './stored-tars.ts';
import type { Workspace } from './workspace.ts';

export interface Packing {
  readonly compression: Compression;
  /** 0: the usual one of the compression. */
  readonly level: number;
}

export interface LayerBlob extends LayerFacts {
  readonly mediaType: string;
  /** sha256, 64 hex digits. */
  readonly digest: string;
  readonly size: number;
  /** Where it lies: from `offset` on in the descriptor. */
  readonly fd: number;
  readonly offset: number;
  /** Lets go of it. A file that was made for it is removed. */
  close(): void;
}

export interface ExportHooks {
  readonly onProgress?: ((progress: ImportProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What the work of one export has in common. */
export interface ExportJob extends ExportHooks {
  readonly host: HostFacts;
  readonly workspace: Workspace;
  readonly packing: Packing;
}

/** The largest level of each compression; the least is 1. */
export const MAX_LEVEL: Readonly<Record<Compression, number>> = { none: 0, gzip: 9, zstd: 19 };

/** Makes the blob of a layer. `name` is for messages. */
export async function layerBlob(
  layer: ExportedLayer,
  name: string,
  number: NonNullable<ImportProgress['layer']>,
  job: ExportJob,
): Promise<LayerBlob> {
  const { host, workspace, packing, signal } = job;
  const tar = await openTar(layer.stored, name, workspace, host, signal);
  const isPlain = packing.compression === 'none';
  const path = join(workspace.folder, `blob-${process.hrtime.bigint().toString(36)}`);
  try {
    // The layer goes as it is, and is read for its digest alone.
    const out = isPlain ? openSync('/dev/null', 'w') : openSync(path, 'wx+', 0o600);
    if (!isPlain) unlinkSync(path);
    try {
      const made = await compress(tar, out, name, number, layer, job);
      checkLayer(layer, made.plainSha256, name);
      const facts = { diffId: made.plainSha256, newest: made.newest, machine: made.machine };
      const blob = { ...facts, mediaType: MEDIA.layer[packing.compression], digest: made.sha256, size: made.size };
      if (isPlain) {
        closeSync(out);
        return { ...blob, fd: tar.fd, offset: tar.part.offset, close: () => tar.close() };
      }
      tar.close();
      return { ...blob, fd: out, offset: 0, close: () => closeSync(out) };
    } catch (error) {
      closeSync(out);
      throw error;
    }
  } catch (error) {
    closeQuietly(tar);
    throw error;
  }
}

function closeQuietly(tar: OpenTar): void {
  try {
    tar.close();
  } catch {
    // Closed before, or changed: what led here is the error to be told.
  }
}

function compress(
  tar: OpenTar,
  out: number,
  name: string,
  layer: NonNullable<ImportProgress['layer']>,
  { diffId }: ExportedLayer,
  { host, packing, onProgress, signal }: ExportJob,
): ReturnType<typeof compressTar> {
  const place: WorkPlace = ownPlace(join(host.dirs.store, 'mnt'), host);
  const archive = {
    fd: tar.fd,
    part: tar.part,
    name,
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined
      ? {}
      : { onRead: ({ read }: { readonly read: number }) => onProgress({ read, total: 0, layer }) }),
  };
  return compressTar(archive, out, { ...packing, isDescribed: diffId === undefined }, place);
}

/** A tree that was packed again may have another digest than the tar that it came from. A tar that was kept may not. */
function checkLayer({ stored, diffId }: ExportedLayer, found: string, name: string): void {
  if (stored.kind === 'tree' || diffId === undefined || diffId === found) return;
  throw new BoxctlError('E_IMAGE_STORE', `A layer of ${name} is damaged in the store: it is not what its digest says`, {
    hint: `remove the image, and import or pull it again; the layer is ${stored.folder}`,
  });
}
