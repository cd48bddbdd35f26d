/** An archive that holds an image in layers, as `docker save` and OCI tools write it. */
import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ingest, ownPlace, scanTar, WHOLE, type Archived } from '../worker/work.ts';
import { checkUnchanged, isCompressed, type Archive } from './archive.ts';
import { describeImage } from './describe-image.ts';
import { writeDocument } from './documents.ts';
import type { Job } from './import-job.ts';
import { importLayers } from './import-layers.ts';
import { archived, emptyPlace, nameOf } from './import-source.ts';
import type { LayeredImage } from './image-config.ts';
import { memberLayers, type LayerReader } from './layer-reader.ts';
import { checkNoImage, readImage } from './manifest.ts';
import { tarMembers } from './members.ts';
import { layerOf, type ImageRecord } from './records.ts';

/** An image that is in the store but for its record, which makes it one. */
export interface Brought {
  readonly record: ImageRecord;
  readonly names: readonly string[];
}

/**
 * Imports the archive as an image in layers; undefined if it holds none. An archive that is compressed as a whole is
 * decompressed first: its members are read in an order of their own.
 */
export async function layeredArchive(archive: Archive, job: Job): Promise<Brought | undefined> {
  const { host, options, workspace } = job;
  if (!isCompressed(archive)) return layered(archived(archive, options), archive, job);
  const folder = join(workspace.folder, 'outer');
  mkdirSync(folder, 0o755);
  try {
    await ingest(archived(archive, options), ownPlace(folder, host), 'data', options.limits.maxBytes);
    return await layeredFile(join(folder, 'data'), archive, job);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** `path`: what the archive was decompressed into. */
export async function layeredFile(path: string, archive: Archive, job: Job): Promise<Brought | undefined> {
  const fd = openSync(path, 'r');
  try {
    return await layered({ fd, name: nameOf(archive, job.options), part: WHOLE }, archive, job);
  } finally {
    closeSync(fd);
  }
}

async function layered(tar: Archived, archive: Archive, job: Job): Promise<Brought | undefined> {
  const found = await scanTar(tar, emptyPlace(job.host));
  const members = tarMembers(tar, found);
  const image = readImage(members, job.host, { name: job.options.wanted });
  if (image === undefined) {
    checkNoImage(members, found.keys());
    return undefined;
  }
  const record = await describeLayered(memberLayers(members), image, nameOf(archive, job.options), job);
  checkUnchanged(archive);
  return { record, names: image.names };
}

/** Imports the layers, and describes the image that they make. */
export async function describeLayered(
  from: LayerReader,
  image: LayeredImage,
  source: string,
  job: Job,
): Promise<ImageRecord> {
  const { recorded, ...contents } = await importLayers(from, image, job);
  const { store } = job.host.dirs;
  const layers = recorded.map((layer) => layerOf(store, layer, job.options.ownership));
  const { id: digest, defaults, names, platform, documents } = image;
  writeDocument(store, documents.config);
  const manifest = documents.manifest === undefined ? undefined : writeDocument(store, documents.manifest);
  const origin = { ...(manifest === undefined ? {} : { manifest }), ...(platform === undefined ? {} : { platform }) };
  return { ...(await describeImage({ digest, layers, recorded, contents, source, defaults, names }, job)), ...origin };
}
