/** One layer, made in the workspace of an import from its tar: an index over the tar, or an unpacked tree. */
import { closeSync, createReadStream, fstatSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { UNKNOWN_IMAGE, type ImageFacts } from '../model/image.ts';
import { sha256 } from '../native.ts';
import { noteOwner } from '../worker/owner.ts';
import {
  digestLayer,
  extract,
  indexTar,
  ingest,
  ownPlace,
  storeTar,
  unpackLayer,
  WHOLE,
  type Archived,
  type Contents,
  type Digests,
  type LayerKind,
} from '../worker/work.ts';
import type { Job } from './import-job.ts';
import type { LayerSource } from './image-config.ts';
import { formOf, type Made } from './layer-record.ts';
import { badImage } from './members.ts';
import { layerOf, type RecordedLayer } from './records.ts';

/** Keeps the tar, and makes an index over it. */
export async function mountLayer(
  archive: Archived,
  part: string,
  kind: LayerKind,
  job: Job,
): Promise<Contents & Digests> {
  const { host, options, workspace } = job;
  const place = { folder: join(workspace.folder, part), ownership: undefined, host };
  const made = await storeTar(archive, place, kind, options.limits);
  // With this error the caller unpacks the image instead.
  if (made === undefined) throw tooMuch();
  return made;
}

const tooMuch = (): BoxctlError => new BoxctlError('E_IMAGE_WORK', 'The layer is too large for an index');

/** Makes an index over the file `data` of a part of the workspace. */
export async function indexLayer(name: string, part: string, kind: LayerKind, job: Job): Promise<Contents> {
  const { host, options, workspace } = job;
  const folder = join(workspace.folder, part);
  const fd = openSync(join(folder, 'data'), 'r');
  try {
    const place = { folder, ownership: undefined, host };
    const made = await indexTar({ fd, name, part: WHOLE }, place, kind, options.limits);
    if (made === undefined) throw tooMuch();
    return made;
  } finally {
    closeSync(fd);
  }
}

/** Unpacks the tar. */
export async function unpackLayerInto(
  archive: Archived,
  part: string,
  kind: LayerKind,
  job: Job,
): Promise<Contents & Digests> {
  const { host, options, workspace } = job;
  const { ownership, limits } = options;
  const folder = join(workspace.folder, part);
  noteOwner(folder, ownership);
  return unpackLayer(archive, { folder, ownership, host }, kind, limits);
}

/** A layer whose hard links lead to files of the layers below, as it was made first. */
interface Linked {
  /** For messages. */
  readonly name: string;
  readonly first: Contents & Digests;
  readonly part: string;
  readonly below: readonly RecordedLayer[];
  /** Opens its archive once more. */
  readonly reread: (work: (archive: Archived) => Promise<void>) => Promise<void>;
}

/**
 * Makes a layer again whose hard links lead to files of the layers below. Those files are put before the layer's own tar, so
 * that the layer has the file itself, and all its names there are hard links to it.
 */
export async function completeLayer(
  { name, first, part, below, reread }: Linked,
  job: Job,
): Promise<Contents & { readonly ownAt: number }> {
  const { host, options, workspace } = job;
  const folder = join(workspace.folder, part);
  const mounts = formOf(job) === 'erofs';
  const beside = `${part}-tar`;
  const own = join(workspace.makePart(beside), 'own');
  try {
    if (mounts) {
      renameSync(join(folder, 'data'), own);
      rmSync(join(folder, 'index'));
    } else {
      await workspace.removePart(part);
      workspace.makePart(part);
      await reread(async (archive) => {
        const again = await ingest(archive, ownPlace(dirname(own), host), 'own', options.limits.maxBytes);
        if (again.sha256 !== first.sha256) throw badImage({ name }, 'it was another one when it was read again');
      });
    }
    const whole = join(mounts ? folder : dirname(own), 'data');
    const fd = openSync(whole, 'wx+', 0o600);
    try {
      await extractFrom(below, [...new Set(first.wanted)], fd, name, job);
      const ownAt = fstatSync(fd).size;
      for await (const piece of createReadStream(own, { highWaterMark: 1 << 20 })) writeSync(fd, piece as Buffer);
      const made = mounts
        ? await indexLayer(name, part, 'complete', job)
        : await unpackLayerInto({ fd, name, part: WHOLE }, part, 'complete', job);
      return { ...made, ownAt };
    } finally {
      closeSync(fd);
    }
  } finally {
    await workspace.removePart(beside);
  }
}

/** Writes a tar of what the layers have at the paths to a descriptor. Returns the number of entries. */
export function extractFrom(
  layers: readonly RecordedLayer[],
  paths: readonly string[],
  fd: number,
  name: string,
  { host, options }: Job,
): Promise<number> {
  const { ownership, limits } = options;
  const facts: ImageFacts = {
    ...UNKNOWN_IMAGE,
    digest: shortDigest(layers),
    layers: layers.map((layer) => layerOf(host.dirs.store, layer, ownership)),
    ownership,
  };
  return extract(facts, host, paths, fd, { name, maxBytes: limits.maxBytes });
}

/** Of several layers together. */
export function shortDigest(layers: readonly RecordedLayer[]): string {
  return sha256(layers.map(({ digest }) => digest).join(' ')).slice(0, 32);
}

/** Throws `E_IMAGE_DIGEST` where a layer is not what its image states. */
export function checkDigests(
  name: string,
  { diffId, digest, path }: LayerSource,
  found: Pick<Digests, 'sha256' | 'plainSha256'>,
): void {
  const isPacked = digest === undefined || digest === found.sha256;
  if (found.plainSha256 === diffId && isPacked) return;
  const hint = isPacked
    ? `its configuration says sha256 ${diffId}, and it has ${found.plainSha256}`
    : `its manifest says sha256 ${digest}, and it has ${found.sha256}`;
  throw new BoxctlError('E_IMAGE_DIGEST', `The layer ${path} of ${name} is not what its image says`, { hint });
}

/** What the headers of a tar may take beside the files. */
const MAX_HEADERS = 1 << 30;

/** Reads an archive's copy of a layer that the store has. Throws `E_IMAGE_DIGEST`. */
export async function checkStored(archive: Archived, source: LayerSource, made: Made, job: Job): Promise<void> {
  const { host, options } = job;
  const place = ownPlace(join(host.dirs.store, 'mnt'), host);
  const packed = await ingest(archive, place, '', Number.MAX_SAFE_INTEGER);
  const found =
    packed.sha256 === made.packed
      ? { ...packed, plainSha256: source.diffId }
      : await digestLayer(archive, place, Math.max(options.limits.maxBytes, made.bytes) * 2 + MAX_HEADERS);
  checkDigests(archive.name, source, found);
}
