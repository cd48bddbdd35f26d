/** Imports the layers of an image. Each is kept under the digest of its tar, so images share the layers that they have in common. */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import {
  digestLayer,
  ingest,
  LIMIT_HINT,
  ownPlace,
  WHOLE,
  type Archived,
  type Digests,
  type LayerKind,
} from '../worker/work.ts';
import { impliedFolders } from './implied-folders.ts';
import type { ImportProgress, Job } from './import-job.ts';
import { COUNTS, formOf, placeOf, publishLayer, readMade, type Counts, type Made } from './layer-record.ts';
import { completeLayer, mountLayer, shortDigest, unpackLayerInto } from './make-layer.ts';
import type { LayeredImage, LayerSource } from './manifest.ts';
import { badImage, type Members } from './members.ts';
import { ownersOf, type RecordedLayer } from './records.ts';

export interface ImportedLayers extends Counts {
  readonly recorded: readonly RecordedLayer[];
}

/** Stands for the layers of an image that has none: overlayfs needs one. Its digest is that of an empty file. */
const NO_LAYER: LayerSource = {
  path: '',
  diffId: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  digest: undefined,
};

export async function importLayers(members: Members, image: LayeredImage, job: Job): Promise<ImportedLayers> {
  const sum = { entries: 0, bytes: 0, squashed: 0, skipped: 0 };
  let stack: readonly RecordedLayer[] = [];
  const sources = image.layers.length === 0 ? [NO_LAYER] : image.layers;
  for (const [index, source] of sources.entries()) {
    const number = { number: index + 1, of: sources.length };
    const { layer, made } = await ensureLayer(members, source, stack, number, job);
    const below = made.opaqueRoot ? [] : stack;
    const above = await impliedFolders(members, made, layer, below, job);
    stack = [layer, ...above].reduce(stackOn, below);
    for (const key of COUNTS) sum[key] += made[key];
    const { maxBytes, maxEntries } = job.options.limits;
    if (sum.bytes > maxBytes || sum.entries > maxEntries) throw tooLarge(members);
  }
  return { recorded: stack, ...sum };
}

/**
 * overlayfs refuses the same lower folder twice. The upper one of two equal layers is enough: it adds and hides the same files
 * as the lower one.
 */
function stackOn(below: readonly RecordedLayer[], layer: RecordedLayer): readonly RecordedLayer[] {
  return [...below.filter(({ digest }) => digest !== layer.digest), layer];
}

function tooLarge(members: Members): BoxctlError {
  return new BoxctlError('E_IMAGE_TOO_LARGE', `The image ${members.name} has more data than an image may have`, {
    hint: LIMIT_HINT,
  });
}

interface Ensured {
  readonly layer: RecordedLayer;
  readonly made: Made;
}

async function ensureLayer(
  members: Members,
  source: LayerSource,
  below: readonly RecordedLayer[],
  number: NonNullable<ImportProgress['layer']>,
  job: Job,
): Promise<Ensured> {
  // The lowest layer is kept under another name than the same layer above others: its whiteouts are dropped. A layer whose
  // hard links lead to files of the layers below is kept once for each list of layers below it.
  const form = formOf(job);
  const lowest = number.number === 1;
  const alone: RecordedLayer = { digest: lowest ? source.diffId : `${source.diffId}.upper`, form };
  const over: RecordedLayer = { digest: `${source.diffId}.over-${shortDigest(below)}`, form };
  const member = openLayer(members, source);
  try {
    const archive = archivedLayer(members, member, number, job);
    for (const layer of lowest ? [alone] : [alone, over]) {
      const stored = findLayer(layer, job);
      if (stored === undefined) continue;
      // The store has the layer already. The archive's own copy must still have the digests that the image states.
      await checkStored(archive, source, stored.made, job);
      return stored;
    }
    return await importLayer(archive, source, { alone, over, below }, number, job);
  } finally {
    member.close();
  }
}

/** The layer, if the store has it. If files of it were changed to root's, it must be the one for the same owners. */
function findLayer(layer: RecordedLayer, job: Job): Ensured | undefined {
  const squashed = { ...layer, ...ownersOf({ squashed: 1 }, job.options.limits.owners) };
  for (const each of [layer, squashed]) {
    const made = readMade(placeOf(each, job));
    if (made !== undefined) return { layer: each, made };
  }
  return undefined;
}

type Member = NonNullable<ReturnType<Members['open']>>;

/** Some builders write a layer of 0 bytes. To the imager a size of 0 means "to the end", so such a layer is read from /dev/null. */
function openLayer(members: Members, { path }: LayerSource): Member {
  const member = path === NO_LAYER.path ? undefined : members.open(path);
  if (member === undefined && path !== NO_LAYER.path) throw badImage(members, `its layer ${path} is missing`);
  if (member !== undefined && member.size > 0) return member;
  member?.close();
  const fd = openSync('/dev/null', 'r');
  return { fd, part: WHOLE, size: 0, close: () => closeSync(fd) };
}

function archivedLayer(
  members: Members,
  { fd, part, size: total }: Member,
  layer: NonNullable<ImportProgress['layer']>,
  { options: { onProgress, signal } }: Job,
): Archived {
  return {
    fd,
    name: `${members.name} (layer ${layer.number})`,
    part,
    ...(onProgress === undefined ? {} : { onRead: (done) => onProgress({ ...done, total, layer }) }),
    ...(signal === undefined ? {} : { signal }),
  };
}

function checkDigests(name: string, source: LayerSource, found: Pick<Digests, 'sha256' | 'plainSha256'>): void {
  const { diffId, digest, path } = source;
  if (found.plainSha256 === diffId && (digest === undefined || digest === found.sha256)) return;
  const hint =
    found.plainSha256 === diffId
      ? `its manifest says sha256 ${digest}, and it has ${found.sha256}`
      : `its configuration says sha256 ${diffId}, and it has ${found.plainSha256}`;
  throw new BoxctlError('E_IMAGE_DIGEST', `The layer ${path} of ${name} is not what its image says`, { hint });
}

async function checkStored(archive: Archived, source: LayerSource, made: Made, job: Job): Promise<void> {
  const { host, options } = job;
  const place = ownPlace(join(host.dirs.store, 'mnt'), host);
  const packed = await ingest(archive, place, '', Number.MAX_SAFE_INTEGER);
  const found =
    packed.sha256 === made.packed
      ? { ...packed, plainSha256: source.diffId }
      : await digestLayer(archive, place, Math.max(options.limits.maxBytes, made.bytes) * 2 + MAX_HEADERS);
  checkDigests(archive.name, source, found);
}

/** What the headers of a tar may take beside the files. */
const MAX_HEADERS = 1 << 30;

async function importLayer(
  archive: Archived,
  source: LayerSource,
  { alone, over, below }: { alone: RecordedLayer; over: RecordedLayer; below: readonly RecordedLayer[] },
  number: NonNullable<ImportProgress['layer']>,
  job: Job,
): Promise<Ensured> {
  const { workspace } = job;
  const kind: LayerKind = number.number === 1 ? 'lowest' : 'layer';
  const part = `layer-${number.number}`;
  workspace.makePart(part);
  try {
    const first = await (alone.form === 'erofs' ? mountLayer : unpackLayerInto)(archive, part, kind, job);
    // Other images will find the layer under this digest, so it must be true.
    checkDigests(archive.name, source, first);
    const links = first.wanted.length > 0;
    const contents = links ? await completeLayer(archive, first, part, below, job) : first;
    const layer = { ...(links ? over : alone), ...ownersOf(contents, job.options.limits.owners) };
    const made = { ...contents, packed: first.sha256 };
    publishLayer(part, layer, made, job);
    return { layer, made };
  } finally {
    await workspace.removePart(part);
  }
}
