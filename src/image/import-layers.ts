/** The layers of an image, each under the digest of its tar, so that two images that share one share its files. */
import {
  closeSync,
  createReadStream,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { sha256 } from '../native.ts';
import { BoxctlError } from '../errors.ts';
import type { ImageFacts } from '../model/image.ts';
import type { ImportProgress, Job } from './import-job.ts';
import { isRecord, isTextList } from '../text/json.ts';
import type { LayeredImage, LayerSource } from './manifest.ts';
import { badImage, type Members } from './members.ts';
import { folderOf, layerOf, ownersOf, type RecordedLayer } from './records.ts';
import {
  digestLayer,
  extract,
  indexTar,
  ingest,
  LIMIT_HINT,
  ownPlace,
  storeTar,
  unpackLayer,
  WHOLE,
  type Archived,
  type Contents,
  type Digests,
  type LayerKind,
} from '../worker/work.ts';
import { ownershipKey } from './store.ts';
import { noteOwner } from '../worker/owner.ts';

type Counts = Pick<Contents, 'entries' | 'bytes' | 'squashed' | 'skipped'>;
const COUNTS = ['entries', 'bytes', 'squashed', 'skipped'] as const;

export interface ImportedLayers extends Counts {
  readonly recorded: readonly RecordedLayer[];
}

/** What is kept of a layer beside it. */
interface Made extends Counts {
  readonly implied: readonly string[];
  readonly opaqueRoot: boolean;
  /** sha256 of the archive's member that it was made from: the same bytes need not be decompressed to be known again. */
  readonly packed: string;
}

/** An image may have no layer, and overlay wants one. Its digest is that of no bytes at all. */
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
 * Overlay takes no tree twice, and need not: all that a layer adds and hides, it adds and hides again where it comes a
 * second time.
 */
const stackOn = (below: readonly RecordedLayer[], layer: RecordedLayer): readonly RecordedLayer[] => [
  ...below.filter(({ digest }) => digest !== layer.digest),
  layer,
];

const tooLarge = (members: Members): BoxctlError =>
  new BoxctlError('E_IMAGE_TOO_LARGE', `The image ${members.name} has more data than an image may have`, {
    hint: LIMIT_HINT,
  });

const formOf = (job: Job): RecordedLayer['form'] => (job.mounts ? 'erofs' : 'tree');
const placeOf = (layer: RecordedLayer, job: Job): string =>
  folderOf(job.host.dirs.store, layer, ownershipKey(job.options.ownership));

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
  // The same layer means something else where there is none below it: whiteouts have nothing to take away. And one whose
  // hard links lead to files of other layers is another one over each of them.
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
      // The store has what the configuration asks for; the archive must have it, too, or it is another image.
      await checkStored(archive, source, stored.made, job);
      return stored;
    }
    return await importLayer(archive, source, { alone, over, below }, number, job);
  } finally {
    member.close();
  }
}

/** The layer of the store; where files of it became root's, the one for the same owners. */
function findLayer(layer: RecordedLayer, job: Job): Ensured | undefined {
  const squashed = { ...layer, ...ownersOf({ squashed: 1 }, job.options.limits.owners) };
  for (const each of [layer, squashed]) {
    const made = readMade(placeOf(each, job));
    if (made !== undefined) return { layer: each, made };
  }
  return undefined;
}

type Member = NonNullable<ReturnType<Members['open']>>;

/** Builders write layers without a byte; the imager takes a size of 0 for "to the end", so it reads none from elsewhere. */
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

/** A tar is larger than the files in it: so much may its headers take. */
const MAX_HEADERS = 1 << 30;

const shortDigest = (layers: readonly RecordedLayer[]): string =>
  sha256(layers.map(({ digest }) => digest).join(' ')).slice(0, 32);

/** Undefined: the store does not have the layer. */
function readMade(folder: string): Made | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(join(folder, 'layer.json'), 'utf8'));
    if (!isRecord(value) || !isTextList(value['implied'])) return undefined;
    const count = (key: (typeof COUNTS)[number]): number => Number(value[key] ?? 0);
    return {
      entries: count('entries'),
      bytes: count('bytes'),
      squashed: count('squashed'),
      skipped: count('skipped'),
      implied: value['implied'],
      opaqueRoot: value['opaqueRoot'] === true,
      packed: String(value['packed'] ?? ''),
    };
  } catch {
    return undefined;
  }
}

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
    // Under this digest other images will find it.
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

function publishLayer(part: string, layer: RecordedLayer, made: Made, job: Job): void {
  const { workspace } = job;
  const { entries, bytes, squashed, skipped, implied, opaqueRoot, packed } = made;
  const kept: Made = { entries, bytes, squashed, skipped, implied, opaqueRoot, packed };
  writeFileSync(join(workspace.folder, part, 'layer.json'), JSON.stringify(kept), { mode: 0o600 });
  workspace.movePart(part, placeOf(layer, job));
}

async function mountLayer(archive: Archived, part: string, kind: LayerKind, job: Job): Promise<Contents & Digests> {
  const { host, options, workspace } = job;
  const place = { folder: join(workspace.folder, part), ownership: undefined, host };
  const made = await storeTar(archive, place, kind, options.limits);
  // The caller unpacks the image instead.
  if (made === undefined) throw tooMuch();
  return made;
}

const tooMuch = (): BoxctlError => new BoxctlError('E_IMAGE_WORK', 'The layer is too large for an index');

/** Of the file `data` of a part. */
async function indexLayer(name: string, part: string, kind: LayerKind, job: Job): Promise<Contents> {
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

async function unpackLayerInto(
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

/**
 * Makes a layer anew whose hard links lead to files of the layers below: those come first in its tar. So a file that has
 * a name in this layer is this layer's, and all its names are names of one file.
 */
async function completeLayer(
  archive: Archived,
  first: Contents,
  part: string,
  below: readonly RecordedLayer[],
  job: Job,
): Promise<Contents> {
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
      await ingest(archive, ownPlace(dirname(own), host), 'own', options.limits.maxBytes);
    }
    const whole = join(mounts ? folder : dirname(own), 'data');
    const fd = openSync(whole, 'wx+', 0o600);
    try {
      await extractFrom(below, [...new Set(first.wanted)], fd, archive.name, job);
      for await (const piece of createReadStream(own, { highWaterMark: 1 << 20 })) writeSync(fd, piece as Buffer);
      if (mounts) return await indexLayer(archive.name, part, 'complete', job);
      return await unpackLayerInto({ fd, name: archive.name, part: WHOLE }, part, 'complete', job);
    } finally {
      closeSync(fd);
    }
  } finally {
    await workspace.removePart(beside);
  }
}

/** Writes what layers have at paths to a descriptor; says how much there was. */
function extractFrom(
  layers: readonly RecordedLayer[],
  paths: readonly string[],
  fd: number,
  name: string,
  { host, options }: Job,
): Promise<number> {
  const { ownership, limits } = options;
  const facts: ImageFacts = {
    digest: shortDigest(layers),
    record: '',
    layers: layers.map((layer) => layerOf(host.dirs.store, layer, ownership)),
    ownership,
    passwd: '',
    group: '',
    shell: '',
    defaults: {},
  };
  return extract(facts, host, paths, fd, { name, maxBytes: limits.maxBytes });
}

/**
 * Folders that the layer only implies look as the layers below have them, for which a layer of nothing but these folders
 * lies above it. So the layer itself remains one that other images can share. Empty where there are no such folders.
 */
async function impliedFolders(
  members: Members,
  { implied }: Made,
  layer: RecordedLayer,
  below: readonly RecordedLayer[],
  job: Job,
): Promise<readonly RecordedLayer[]> {
  // The root is what the container's own layer makes of it.
  const folders = implied.filter((path) => path !== '');
  if (folders.length === 0 || below.length === 0) return [];
  const { workspace } = job;
  const part = `above-${layer.digest.slice(0, 16)}`;
  const name = `${members.name} (folders that a layer implies)`;
  const folder = workspace.makePart(part);
  const beside = workspace.makePart(`${part}-tar`);
  const fd = openSync(join(beside, 'data'), 'wx+', 0o600);
  try {
    if ((await extractFrom(below, folders.map(asFolder), fd, name, job)) === 0) return [];
    const named = ancestorsOf(folders);
    if (named.length > 0) await extractFrom([...below, layer], named.map(asFolder), fd, name, job);
    const tar = readFileSync(join(beside, 'data'));
    const digest = sha256(tar);
    const above: RecordedLayer = { digest: `${digest}.folders`, form: formOf(job) };
    if (readMade(placeOf(above, job)) !== undefined) return [above];
    if (above.form === 'erofs') writeFileSync(join(folder, 'data'), tar, { mode: 0o600 });
    const archive: Archived = { fd, name, part: WHOLE };
    const made =
      above.form === 'erofs'
        ? await indexLayer(name, part, 'complete', job)
        : await unpackLayerInto(archive, part, 'complete', job);
    publishLayer(part, above, { ...made, packed: '' }, job);
    return [above];
  } finally {
    closeSync(fd);
    await workspace.removePart(part);
    await workspace.removePart(`${part}-tar`);
  }
}

const asFolder = (path: string): string => `${path}/`;

/** Folders that lead to the given ones and are none of them. */
function ancestorsOf(folders: readonly string[]): readonly string[] {
  const all = new Set(folders);
  const found = new Set<string>();
  for (const folder of folders) {
    for (let path = dirname(folder); path !== '.'; path = dirname(path)) if (!all.has(path)) found.add(path);
  }
  return [...found];
}
