/** The layers of an image, each under the digest of its tar, so that two images that share one share its files. */
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import type { ImportProgress, Job } from './import.ts';
import { isRecord } from './json.ts';
import type { LayeredImage, LayerSource } from './manifest.ts';
import { badImage, type Members } from './members.ts';
import { folderOf, type RecordedLayer } from './records.ts';
import {
  indexTar,
  ingest,
  unpackLayer,
  WHOLE,
  type Archived,
  type Contents,
  type Digests,
  type LayerKind,
} from './work.ts';
import { ownershipKey } from './store.ts';
import { noteOwner } from './owner.ts';

type Counts = Pick<Contents, 'entries' | 'bytes' | 'squashed' | 'skipped'>;
const COUNTS = ['entries', 'bytes', 'squashed', 'skipped'] as const;

export interface ImportedLayers extends Counts {
  readonly recorded: readonly RecordedLayer[];
}

export async function importLayers(members: Members, image: LayeredImage, job: Job): Promise<ImportedLayers> {
  const sum = { entries: 0, bytes: 0, squashed: 0, skipped: 0 };
  const recorded: RecordedLayer[] = [];
  for (const [index, source] of image.layers.entries()) {
    // The same layer means something else where there is none below it: whiteouts have nothing to take away.
    const digest = index === 0 ? source.diffId : `${source.diffId}.upper`;
    const layer: RecordedLayer = { digest, form: job.mounts ? 'erofs' : 'tree' };
    const folder = folderOf(job.host.dirs.store, layer, ownershipKey(job.options.ownership));
    const number = { number: index + 1, of: image.layers.length };
    const made = readMade(folder) ?? (await importLayer(members, source, layer, folder, number, job));
    if (made.opaqueRoot) recorded.length = 0;
    recorded.push(layer);
    for (const key of COUNTS) sum[key] += made[key];
    const { maxBytes, maxEntries } = job.options.limits;
    if (sum.bytes > maxBytes || sum.entries > maxEntries) throw tooLarge(members);
  }
  return { recorded, ...sum };
}

const tooLarge = (members: Members): BoxctlError =>
  new BoxctlError('E_IMAGE_TOO_LARGE', `The image ${members.name} has more data than an image may have`, {
    hint: 'raise `image.max_size` or `image.max_entries` if it is to be trusted',
  });

/** What is kept of a layer beside it. */
interface Made extends Counts {
  readonly opaqueRoot: boolean;
}

/** Undefined: the store does not have the layer. */
function readMade(folder: string): Made | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(join(folder, 'layer.json'), 'utf8'));
    if (!isRecord(value)) return undefined;
    const count = (key: (typeof COUNTS)[number]): number => Number(value[key] ?? 0);
    return {
      entries: count('entries'),
      bytes: count('bytes'),
      squashed: count('squashed'),
      skipped: count('skipped'),
      opaqueRoot: value['opaqueRoot'] === true,
    };
  } catch {
    return undefined;
  }
}

async function importLayer(
  members: Members,
  source: LayerSource,
  layer: RecordedLayer,
  target: string,
  number: NonNullable<ImportProgress['layer']>,
  job: Job,
): Promise<Made> {
  const { workspace, options } = job;
  const kind: LayerKind = number.number === 1 ? 'lowest' : 'layer';
  const member = members.open(source.path);
  if (member === undefined) throw badImage(members, `its layer ${source.path} is missing`);
  const part = `layer-${number.number}`;
  const folder = workspace.makePart(part);
  try {
    const { onProgress, signal } = options;
    const total = member.size;
    const archive: Archived = {
      fd: member.fd,
      name: `${members.name} (layer ${number.number})`,
      part: member.part,
      ...(onProgress === undefined ? {} : { onRead: (done) => onProgress({ ...done, total, layer: number }) }),
      ...(signal === undefined ? {} : { signal }),
    };
    // A layer without a byte is none that `part` could speak of.
    if (total === 0) throw badImage(members, `its layer ${source.path} is empty`);
    const made =
      layer.form === 'erofs'
        ? await mountLayer(archive, folder, kind, job)
        : await unpackLayerInto(archive, part, kind, job);
    // Under this digest other images will find it.
    if (made.plainSha256 !== source.diffId || (source.digest !== undefined && made.sha256 !== source.digest)) {
      throw new BoxctlError(
        'E_IMAGE_DIGEST',
        `The layer ${source.path} of ${members.name} is not what its image says`,
        {
          hint: `its configuration says sha256 ${source.diffId}, and it has ${made.plainSha256}`,
        },
      );
    }
    writeFileSync(join(folder, 'layer.json'), JSON.stringify(made), { mode: 0o600 });
    workspace.movePart(part, target);
    return made;
  } finally {
    member.close();
    await workspace.removePart(part);
  }
}

async function mountLayer(
  archive: Archived,
  folder: string,
  kind: LayerKind,
  { host, options }: Job,
): Promise<Contents & Digests> {
  const place = { folder, ownership: undefined, host };
  const stored = await ingest(archive, place, 'data', options.limits.maxBytes);
  const fd = openSync(join(folder, 'data'), 'r');
  try {
    const made = await indexTar({ fd, name: archive.name, part: WHOLE }, place, 'index', kind, options.limits);
    // The caller unpacks the image instead.
    if (made === undefined || made.image) throw new BoxctlError('E_IMAGE_WORK', 'The layer is too large for an index');
    return { ...made, ...stored, bytes: made.bytes };
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
