/** Indexes (OCI image specification, "Image Index"; Docker's manifest lists): which of their images is taken. */
import type { HostFacts } from '../host/facts.ts';
import { isRecord, isTexts } from '../text/json.ts';
import { foreign, type Json } from './image-config.ts';
import { badImage, type Named } from './members.ts';
import { fitOf, platformOf, rankOf, type Platform } from './platform.ts';

export interface IndexEntry {
  /** `sha256:…` of a manifest, or of another index. */
  readonly id: string;
  /** Names that an archive gives to the image. */
  readonly names: readonly string[];
  /** Undefined where the index does not say. */
  readonly platform: Platform | undefined;
  /** Bytes; undefined where the index does not say. */
  readonly size: number | undefined;
}

/** Indexes of indexes are no deeper than this. */
export const MAX_INDEXES = 4;

/** The images of an index, without attestations and signatures. Throws `E_IMAGE_BAD_ARCHIVE` where there is none. */
export function entriesOf(from: Named, index: Json): readonly IndexEntry[] {
  const { manifests } = index;
  if (!Array.isArray(manifests)) throw badImage(from, 'its index names no manifests');
  const entries = manifests.filter(isRecord).filter(isImage).map(entryOf);
  if (entries.length === 0) throw badImage(from, 'it holds no image');
  return entries;
}

/** An index has other things than images, too: attestations, signatures. */
function isImage(entry: Json): boolean {
  const { mediaType, platform, annotations } = entry;
  const isManifest =
    mediaType === undefined ||
    (typeof mediaType === 'string' && /^application\/vnd\.(?:oci\.image|docker\.distribution)\./u.test(mediaType));
  // `unknown` is what builders call an attestation.
  const isUnknown = isRecord(platform) && platform['os'] === 'unknown';
  return isManifest && !isUnknown && !(isRecord(annotations) && 'vnd.docker.reference.type' in annotations);
}

function entryOf(entry: Json): IndexEntry {
  return {
    id: typeof entry['digest'] === 'string' ? entry['digest'] : '',
    names: namesOf(entry),
    platform: isRecord(entry['platform']) ? platformOf(entry['platform']) : undefined,
    size: typeof entry['size'] === 'number' ? entry['size'] : undefined,
  };
}

function namesOf(entry: Json): readonly string[] {
  const annotations = isTexts(entry['annotations']) ? entry['annotations'] : {};
  const name = annotations['io.containerd.image.name'] ?? annotations['org.opencontainers.image.ref.name'];
  return name === undefined ? [] : [name];
}

/** What says nothing of its platform may be anything: the configuration tells. */
const UNSAID = 2;

/** The entries that are equally the best, in the order of the index. Throws `E_IMAGE_PLATFORM` where none fits. */
export function bestOf(
  from: Named,
  entries: readonly IndexEntry[],
  host: HostFacts,
  wanted: Platform | undefined,
): readonly IndexEntry[] {
  const best = tryBest(entries, host, wanted);
  if (best.length > 0) return best;
  const platforms = entries.flatMap(({ platform }) => platform ?? []);
  throw foreign(from, host, platforms, wanted);
}

/** The same; none where none fits. */
export function tryBest(
  entries: readonly IndexEntry[],
  host: HostFacts,
  wanted: Platform | undefined,
): readonly IndexEntry[] {
  const ranked = entries.flatMap((entry) => {
    const rank = rankIn(entry, host, wanted);
    return rank === undefined ? [] : [{ entry, rank }];
  });
  const best = Math.max(...ranked.map(({ rank }) => rank));
  return ranked.filter(({ rank }) => rank === best).map(({ entry }) => entry);
}

function rankIn({ platform }: IndexEntry, host: HostFacts, wanted: Platform | undefined): number | undefined {
  if (platform === undefined) return wanted === undefined ? UNSAID : 0;
  return wanted === undefined ? rankOf(platform, host.arch) : fitOf(platform, wanted);
}
