/**
 * What an archive in layers says of its image: an OCI image layout (OCI image specification, "Image Layout"), or the
 * manifest.json of `docker save`. Both end at the same configuration.
 */
import { sha256 } from '../native.ts';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import type { ImageFacts } from '../model/image.ts';
import { isRecord, isTextList, isTexts } from '../text/json.ts';
import { badImage, readMember, tryMember, type Members } from './members.ts';
import { fullName } from './names.ts';
import { hostPlatform, platformName, platformOf, rankOf, type Platform } from './platform.ts';

type Json = Readonly<Record<string, unknown>>;

export interface LayerSource {
  /** The member that holds it, compressed or not. */
  readonly path: string;
  /** sha256 of the tar in it, which the configuration states: 64 hex digits. */
  readonly diffId: string;
  /** sha256 of the member as it is, where the manifest states it. */
  readonly digest: string | undefined;
}

export interface LayeredImage {
  /** sha256 of the configuration, the image's id: 64 hex digits. */
  readonly id: string;
  /** From the lowest to the highest. */
  readonly layers: readonly LayerSource[];
  readonly defaults: ImageFacts['defaults'];
  /** Names that the archive gives to the image. */
  readonly names: readonly string[];
  /** Undefined where the configuration does not say. */
  readonly platform: string | undefined;
  /** The configuration, and the manifest where there is one, as they are. */
  readonly documents: { readonly config: Buffer; readonly manifest: Buffer | undefined };
}

const MAX_LAYERS = 500;

/** The JSON of a file that may be another one of the same name; undefined where it is none. */
function tryJson(members: Members, path: string): unknown {
  const bytes = tryMember(members, path);
  try {
    return bytes === undefined ? undefined : JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

function parseBytes(members: Members, path: string, bytes: Buffer): Json | readonly unknown[] {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    if (isRecord(value) || Array.isArray(value)) return value;
  } catch {
    // Told below.
  }
  throw badImage(members, `${path} is not the JSON that it should be`);
}

/** `sha256:<hex>` as the path of a blob; other algorithms are not in use. */
function blobOf(members: Members, digest: unknown): { readonly path: string; readonly hex: string } {
  const hex = /^sha256:([0-9a-f]{64})$/u.exec(typeof digest === 'string' ? digest : '')?.[1];
  if (hex === undefined) throw badImage(members, `a digest is malformed: ${JSON.stringify(digest)}`);
  return { path: `blobs/sha256/${hex}`, hex };
}

/** A blob of JSON whose content is what its name says. */
function readBlob(members: Members, digest: unknown): { readonly json: Json; readonly bytes: Buffer } {
  const { path, hex } = blobOf(members, digest);
  const bytes = readMember(members, path);
  if (bytes === undefined) throw badImage(members, `${path} is missing`);
  if (sha256(bytes) !== hex) throw badImage(members, `${path} is not what its name says`);
  const json = parseBytes(members, path, bytes);
  if (!isRecord(json)) throw badImage(members, `${path} is not the JSON that it should be`);
  return { json, bytes };
}

/**
 * The image of an archive in layers; undefined where it is no such archive, although it may have files of these names. Of
 * several images, the one named `wanted`, or the only one; of several platforms, the best for this host.
 */
export function readImage(members: Members, host: HostFacts, wanted: string | undefined): LayeredImage | undefined {
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

function dockerImage(
  members: Members,
  entries: readonly DockerEntry[],
  host: HostFacts,
  wanted: string | undefined,
): LayeredImage {
  const { config: path, layers, names } = choose(members, entries, wanted);
  const bytes = readMember(members, path);
  if (bytes === undefined) throw badImage(members, `${path} is missing`);
  const config = parseBytes(members, path, bytes);
  if (!isRecord(config)) throw badImage(members, `${path} is not the JSON that it should be`);
  const sources = layers.map((layer) => ({ path: layer, digest: undefined }));
  return imageOf(members, { config: bytes, manifest: undefined }, config, sources, names, host);
}

function ociImage(members: Members, index: Json, host: HostFacts, wanted: string | undefined): LayeredImage {
  const manifest = resolveIndex(members, index, host, wanted, 0);
  const { config, layers } = manifest.json;
  if (!isRecord(config) || !Array.isArray(layers)) throw badImage(members, 'the manifest names no layers');
  const blob = readBlob(members, config['digest']);
  const sources = layers.map((layer: unknown) => {
    const { path, hex } = blobOf(members, isRecord(layer) ? layer['digest'] : undefined);
    return { path, digest: hex };
  });
  const documents = { config: blob.bytes, manifest: manifest.bytes };
  return imageOf(members, documents, blob.json, sources, manifest.names, host);
}

const MAX_INDEXES = 4;

interface IndexEntry extends Candidate {
  readonly platform: Platform | undefined;
}

/** Through indexes of names and of platforms to the manifest of the image that this host runs best. */
function resolveIndex(
  members: Members,
  index: Json,
  host: HostFacts,
  wanted: string | undefined,
  depth: number,
): { readonly json: Json; readonly bytes: Buffer; readonly names: readonly string[] } {
  const { manifests } = index;
  if (!Array.isArray(manifests) || depth === MAX_INDEXES) throw badImage(members, 'its index names no manifests');
  const entries = manifests.filter(isRecord).filter(isImage).map(entryOf);
  if (entries.length === 0) throw badImage(members, 'it holds no image');
  const meant = wanted === undefined || depth > 0 ? entries : entries.filter((entry) => isCalled(entry, wanted));
  // Those of one name are one image for several platforms; and of those without one, the best, unless it has equals.
  const images = groupsOf(meant).flatMap((group) => {
    const best = bestOf(group, host);
    return depth === 0 ? best : best.slice(0, 1);
  });
  if (images.length === 0 && meant.length > 0) {
    throw foreign(
      members,
      host,
      meant.flatMap(({ platform }) => platform ?? []),
    );
  }
  const { id, names } = choose(members, meant.length === 0 ? entries : images, depth === 0 ? wanted : undefined);
  const { json, bytes } = readBlob(members, id);
  if (!Array.isArray(json['manifests'])) return { json, bytes, names };
  return { ...resolveIndex(members, json, host, wanted, depth + 1), names };
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
  };
}

function groupsOf(entries: readonly IndexEntry[]): readonly (readonly IndexEntry[])[] {
  const groups = new Map<string, IndexEntry[]>();
  for (const entry of entries) {
    const [name = ''] = entry.names;
    groups.set(name, [...(groups.get(name) ?? []), entry]);
  }
  return [...groups.values()];
}

/** What says nothing of its platform may be anything: the configuration tells. */
const UNSAID = 2;

function bestOf(group: readonly IndexEntry[], host: HostFacts): readonly IndexEntry[] {
  const ranked = group.flatMap((entry) => {
    const rank = entry.platform === undefined ? UNSAID : rankOf(entry.platform, host.arch);
    return rank === undefined ? [] : [{ entry, rank }];
  });
  const best = Math.max(...ranked.map(({ rank }) => rank));
  return ranked.filter(({ rank }) => rank === best).map(({ entry }) => entry);
}

function foreign(members: Members, host: HostFacts, platforms: readonly Platform[]): BoxctlError {
  const there = [...new Set(platforms.map(platformName))].join(', ');
  const here = platformName(hostPlatform(host.arch));
  return new BoxctlError('E_IMAGE_PLATFORM', `The image ${members.name} is for ${there}, and this machine is ${here}`, {
    hint: `take the image for ${here}, or have the kernel run others by qemu (binfmt_misc)`,
  });
}

function namesOf(entry: Json): readonly string[] {
  const annotations = isTexts(entry['annotations']) ? entry['annotations'] : {};
  const name = annotations['io.containerd.image.name'] ?? annotations['org.opencontainers.image.ref.name'];
  return name === undefined ? [] : [name];
}

function imageOf(
  members: Members,
  documents: LayeredImage['documents'],
  config: Json,
  layers: readonly { readonly path: string; readonly digest: string | undefined }[],
  names: readonly string[],
  host: HostFacts,
): LayeredImage {
  const platform = platformOf(config);
  if (platform !== undefined && rankOf(platform, host.arch) === undefined) throw foreign(members, host, [platform]);
  const { rootfs } = config;
  const stated = isRecord(rootfs) ? (rootfs['diff_ids'] ?? []) : undefined;
  const diffIds = isTextList(stated) ? stated : undefined;
  if (diffIds === undefined || diffIds.length !== layers.length || layers.length > MAX_LAYERS) {
    throw badImage(
      members,
      `it has ${layers.length} layers, and its configuration speaks of ${diffIds?.length ?? 'none'}`,
    );
  }
  return {
    id: sha256(documents.config),
    layers: layers.map((layer, index) => ({ ...layer, diffId: blobOf(members, diffIds[index]).hex })),
    defaults: defaultsOf(isRecord(config['config']) ? config['config'] : {}),
    names,
    platform: platform === undefined ? undefined : platformName(platform),
    documents,
  };
}

/** The configuration's own words (OCI image specification, "Image Configuration"). */
function defaultsOf(config: Json): ImageFacts['defaults'] {
  const { Entrypoint, Cmd, Env, WorkingDir, User, StopSignal } = config;
  const environment = isTextList(Env)
    ? Object.fromEntries(Env.filter((entry) => entry.includes('=')).map((entry) => splitAt(entry, entry.indexOf('='))))
    : undefined;
  const given = (value: unknown): value is string => typeof value === 'string' && value !== '';
  return {
    ...(isTextList(Entrypoint) && Entrypoint.length > 0 ? { entrypoint: Entrypoint } : {}),
    ...(isTextList(Cmd) && Cmd.length > 0 ? { command: Cmd } : {}),
    ...(environment === undefined ? {} : { environment }),
    // Some builders leave the slash out; from the root is where the command begins.
    ...(given(WorkingDir) ? { workingDir: WorkingDir.startsWith('/') ? WorkingDir : `/${WorkingDir}` } : {}),
    ...(given(User) ? { user: User } : {}),
    ...(given(StopSignal) ? { stopSignal: StopSignal } : {}),
  };
}

const splitAt = (text: string, at: number): [string, string] => [text.slice(0, at), text.slice(at + 1)];
