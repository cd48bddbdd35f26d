/**
 * What an archive in layers says of its image: an OCI image layout (OCI image specification, "Image Layout"), or the
 * manifest.json of `docker save`. Both end at the same configuration.
 */
import { sha256 } from '../native.ts';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { isRecord, isTextList } from '../text/json.ts';
import { foreign, hexOf, imageOf, parseJson, type Json, type LayeredImage, type Wanted } from './image-config.ts';
import { entriesOf, MAX_INDEXES, tryBest, type IndexEntry } from './image-index.ts';
import { badImage, readMember, tryMember, type Members } from './members.ts';
import { fullName } from './names.ts';

/** The JSON of a file that may be another one of the same name; undefined where it is none. */
function tryJson(members: Members, path: string): unknown {
  const bytes = tryMember(members, path);
  try {
    return bytes === undefined ? undefined : JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

/** A blob of JSON whose content is what its name says. */
function readBlob(members: Members, digest: unknown): { readonly json: Json; readonly bytes: Buffer } {
  const hex = hexOf(members, digest);
  const path = blobPath(hex);
  const bytes = readMember(members, path);
  if (bytes === undefined) throw badImage(members, `${path} is missing`);
  if (sha256(bytes) !== hex) throw badImage(members, `${path} is not what its name says`);
  const json = parseJson(members, path, bytes);
  if (!isRecord(json)) throw badImage(members, `${path} is not the JSON that it should be`);
  return { json, bytes };
}

const blobPath = (hex: string): string => `blobs/sha256/${hex}`;

/**
 * The image of an archive in layers; undefined where it is no such archive, although it may have files of these names. Of
 * several images, the one that is wanted, or the only one; of several platforms, the one that is wanted, or the best for this host.
 */
export function readImage(members: Members, host: HostFacts, wanted: Wanted = {}): LayeredImage | undefined {
  // `docker save` writes both; its manifest.json has the names that were given.
  const docker = dockerEntries(tryJson(members, 'manifest.json'));
  if (docker !== undefined) return dockerImage(members, docker, host, wanted);
  const layout = tryJson(members, 'oci-layout');
  const index = tryJson(members, 'index.json');
  const isLayout = isRecord(layout) && typeof layout['imageLayoutVersion'] === 'string';
  return isLayout && isRecord(index) && Array.isArray(index['manifests'])
    ? ociImage(members, index, host, wanted)
    : undefined;
}

/** What tools put into an archive that holds an image in layers. */
const MEMBER =
  /^(?:(?:manifest|index|config|version)\.json|oci-layout|repositories|blobs\/.*|(?:sha256:)?[0-9a-f]{64}.*|[^/]*\.tar(?:\.gz)?)$/su;

/** Throws `E_IMAGE_BAD_ARCHIVE` where there is nothing but what belongs to an image, and yet no image. */
export function checkNoImage(members: Members, paths: Iterable<string>): void {
  const all = [...paths];
  if (!all.every((path) => MEMBER.test(path))) return;
  const what = ['manifest.json', 'index.json'].find((path) => all.includes(path)) ?? 'it';
  throw badImage(members, `${what} is not the JSON that it should be`);
}

/** One of the images of an archive. */
interface Candidate {
  /** `sha256:…`, or what stands in its place. */
  readonly id: string;
  readonly names: readonly string[];
}

/** What a person can call it by, and is told. */
function labelOf({ id, names }: Candidate): string {
  return (names.length > 0 ? names : [/^(?:sha256:)?([0-9a-f]{12})/u.exec(id)?.[1] ?? id]).join(', ');
}

const LEAST_DIGITS = 4;

/** Without what docker leaves out: builders write one name in several forms. */
const shortName = (text: string): string => fullName(text.replace(/^docker\.io\/(?:library\/)?/u, ''));

function isCalled({ id, names }: Candidate, wanted: string): boolean {
  const digits = /^(?:sha256:)?([0-9a-f]+)$/u.exec(wanted)?.[1] ?? '';
  const isDigest = digits.length >= LEAST_DIGITS && id.replace(/^.*(?:sha256[:/])/u, '').startsWith(digits);
  return isDigest || names.includes(wanted) || names.map(shortName).includes(shortName(wanted));
}

/** The one image of several entries, which may be one under many names. */
function choose<T extends Candidate>(members: Members, images: readonly T[], wanted: string | undefined): T {
  if (images.length === 0) throw badImage(members, 'it holds no image');
  const fitting = wanted === undefined ? images : images.filter((image) => isCalled(image, wanted));
  const [first, ...others] = fitting;
  const all = images.map(labelOf).join(', ');
  if (first === undefined) {
    throw new BoxctlError('E_IMAGE_NOT_FOUND', `The archive ${members.name} holds no image ${String(wanted)}`, {
      hint: `it holds ${all}`,
    });
  }
  if (others.every(({ id }) => id === first.id)) return { ...first, names: fitting.flatMap(({ names }) => names) };
  const count = fitting.length;
  throw new BoxctlError('E_IMAGE_AMBIGUOUS', `The archive ${members.name} holds ${count} images: ${all}`, {
    hint: 'import one of them: boxctl image import --image NAME FILE',
  });
}

interface DockerEntry extends Candidate {
  readonly config: string;
  readonly layers: readonly string[];
}

/** Of manifest.json; undefined where the file is another one of that name. */
function dockerEntries(list: unknown): readonly DockerEntry[] | undefined {
  if (!Array.isArray(list) || list.length === 0) return undefined;
  const entries = list.flatMap((entry: unknown): readonly DockerEntry[] => {
    if (!isRecord(entry)) return [];
    const { Config: config, Layers, RepoTags } = entry;
    const layers = Layers ?? [];
    if (typeof config !== 'string' || !('Layers' in entry) || !isTextList(layers)) return [];
    return [{ id: config, config, layers, names: isTextList(RepoTags) ? RepoTags : [] }];
  });
  return entries.length === list.length ? entries : undefined;
}

function dockerImage(members: Members, entries: readonly DockerEntry[], host: HostFacts, wanted: Wanted): LayeredImage {
  const { config: path, layers, names } = choose(members, entries, wanted.name);
  const config = readMember(members, path);
  if (config === undefined) throw badImage(members, `${path} is missing`);
  const sources = layers.map((layer) => ({ path: layer, digest: undefined }));
  return imageOf(members, { config, manifest: undefined }, sources, names, host, wanted.platform);
}

function ociImage(members: Members, index: Json, host: HostFacts, wanted: Wanted): LayeredImage {
  const { json, bytes: manifest, names } = resolveIndex(members, index, host, wanted, 0);
  const { config, layers } = json;
  if (!isRecord(config) || !Array.isArray(layers)) throw badImage(members, 'the manifest names no layers');
  const documents = { config: readBlob(members, config['digest']).bytes, manifest };
  const sources = layers.map((layer: unknown) => {
    const digest = hexOf(members, isRecord(layer) ? layer['digest'] : undefined);
    return { path: blobPath(digest), digest };
  });
  return imageOf(members, documents, sources, names, host, wanted.platform);
}

/** Through indexes of names and of platforms to the manifest of the image that is wanted. */
function resolveIndex(
  members: Members,
  index: Json,
  host: HostFacts,
  wanted: Wanted,
  depth: number,
): { readonly json: Json; readonly bytes: Buffer; readonly names: readonly string[] } {
  if (depth === MAX_INDEXES) throw badImage(members, 'its index names no manifests');
  const entries = entriesOf(members, index);
  const name = depth === 0 ? wanted.name : undefined;
  const meant = name === undefined ? entries : entries.filter((entry) => isCalled(entry, name));
  // Those of one name are one image for several platforms; and of those without one, the best, unless it has equals.
  const images = groupsOf(meant).flatMap((group) => {
    const best = tryBest(group, host, wanted.platform);
    return depth === 0 ? best : best.slice(0, 1);
  });
  if (images.length === 0 && meant.length > 0) {
    const platforms = meant.flatMap(({ platform }) => platform ?? []);
    throw foreign(members, host, platforms, wanted.platform);
  }
  const { id, names } = choose(members, meant.length === 0 ? entries : images, name);
  const { json, bytes } = readBlob(members, id);
  if (!Array.isArray(json['manifests'])) return { json, bytes, names };
  return { ...resolveIndex(members, json, host, wanted, depth + 1), names };
}

function groupsOf(entries: readonly IndexEntry[]): readonly (readonly IndexEntry[])[] {
  const groups = new Map<string, IndexEntry[]>();
  for (const entry of entries) {
    const [name = ''] = entry.names;
    groups.set(name, [...(groups.get(name) ?? []), entry]);
  }
  return [...groups.values()];
}
