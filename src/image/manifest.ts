/**
 * What an archive in layers says of its image: an OCI image layout (OCI image specification, "Image Layout"), or the
 * manifest.json of `docker save`. Both end at the same configuration.
 */
import { sha256 } from '../native.ts';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import type { ImageFacts } from './image.ts';
import { isRecord, isTextList, isTexts } from './json.ts';
import { badImage, readMember, type Members } from './members.ts';

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
}

const MAX_LAYERS = 500;

function parseJson(members: Members, path: string): Json | readonly unknown[] | undefined {
  const bytes = readMember(members, path);
  if (bytes === undefined) return undefined;
  return parseBytes(members, path, bytes);
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
 * The image of an archive in layers; undefined where it is no such archive. Of several images, the one named `wanted`,
 * or the only one; of several platforms, this host's.
 */
export function readImage(members: Members, host: HostFacts, wanted: string | undefined): LayeredImage | undefined {
  // `docker save` writes both; its manifest.json has the names that were given.
  const docker = parseJson(members, 'manifest.json');
  if (Array.isArray(docker)) return dockerImage(members, docker, wanted);
  const index = parseJson(members, 'index.json');
  return isRecord(index) && members.open('oci-layout') !== undefined
    ? ociImage(members, index, host, wanted)
    : undefined;
}

function choose<T extends { readonly names: readonly string[] }>(
  members: Members,
  images: readonly T[],
  wanted: string | undefined,
): T {
  const fitting = wanted === undefined ? images : images.filter(({ names }) => names.includes(wanted));
  const [only] = fitting;
  if (fitting.length === 1 && only !== undefined) return only;
  const all = images.flatMap(({ names }) => names).join(', ');
  if (images.length === 0) throw badImage(members, 'it holds no image');
  if (wanted !== undefined && fitting.length === 0) {
    throw new BoxctlError('E_IMAGE_NOT_FOUND', `The archive ${members.name} holds no image ${wanted}`, {
      hint: `it holds ${all}`,
    });
  }
  throw new BoxctlError('E_IMAGE_AMBIGUOUS', `The archive ${members.name} holds ${images.length} images: ${all}`, {
    hint: 'import one of them: boxctl image import --image NAME FILE',
  });
}

function dockerImage(members: Members, list: readonly unknown[], wanted: string | undefined): LayeredImage {
  const images = list.filter(isRecord).map((entry) => ({
    entry,
    names: isTextList(entry['RepoTags']) ? entry['RepoTags'] : [],
  }));
  const { entry, names } = choose(members, images, wanted);
  const { Config: path, Layers: layers } = entry;
  if (typeof path !== 'string' || !isTextList(layers)) throw badImage(members, 'manifest.json names no layers');
  const bytes = readMember(members, path);
  if (bytes === undefined) throw badImage(members, `${path} is missing`);
  const config = parseBytes(members, path, bytes);
  if (!isRecord(config)) throw badImage(members, `${path} is not the JSON that it should be`);
  return imageOf(
    members,
    bytes,
    config,
    layers.map((layer) => ({ path: layer, digest: undefined })),
    names,
  );
}

function ociImage(members: Members, index: Json, host: HostFacts, wanted: string | undefined): LayeredImage {
  const manifest = resolveIndex(members, index, host, wanted, 0);
  const { config, layers } = manifest.json;
  if (!isRecord(config) || !Array.isArray(layers)) throw badImage(members, 'the manifest names no layers');
  const blob = readBlob(members, config['digest']);
  return imageOf(
    members,
    blob.bytes,
    blob.json,
    layers.map((layer: unknown) => {
      const { path, hex } = blobOf(members, isRecord(layer) ? layer['digest'] : undefined);
      return { path, digest: hex };
    }),
    manifest.names,
  );
}

const MAX_INDEXES = 4;
const ARCHITECTURES: Readonly<Record<HostFacts['arch'], string>> = { x86_64: 'amd64', aarch64: 'arm64' };

/** Through indexes of names and of platforms to the manifest of this host's image. */
function resolveIndex(
  members: Members,
  index: Json,
  host: HostFacts,
  wanted: string | undefined,
  depth: number,
): { readonly json: Json; readonly names: readonly string[] } {
  const { manifests } = index;
  if (!Array.isArray(manifests) || depth === MAX_INDEXES) throw badImage(members, 'its index names no manifests');
  const entries = manifests.filter(isRecord).filter((entry) => suits(entry, host));
  const named = entries.map((entry) => ({ entry, names: namesOf(entry) }));
  const { entry, names } = choose(members, named, depth === 0 ? wanted : undefined);
  const { json } = readBlob(members, entry['digest']);
  if (!Array.isArray(json['manifests'])) return { json, names };
  return { ...resolveIndex(members, json, host, wanted, depth + 1), names };
}

function suits(entry: Json, host: HostFacts): boolean {
  const { platform } = entry;
  if (!isRecord(platform)) return true;
  // `unknown` is what builders call an attestation.
  return platform['os'] === 'linux' && platform['architecture'] === ARCHITECTURES[host.arch];
}

function namesOf(entry: Json): readonly string[] {
  const annotations = isTexts(entry['annotations']) ? entry['annotations'] : {};
  const name = annotations['io.containerd.image.name'] ?? annotations['org.opencontainers.image.ref.name'];
  return name === undefined ? [] : [name];
}

function imageOf(
  members: Members,
  bytes: Buffer,
  config: Json,
  layers: readonly { readonly path: string; readonly digest: string | undefined }[],
  names: readonly string[],
): LayeredImage {
  const { rootfs } = config;
  const diffIds = isRecord(rootfs) && isTextList(rootfs['diff_ids']) ? rootfs['diff_ids'] : undefined;
  if (diffIds === undefined || diffIds.length !== layers.length || layers.length > MAX_LAYERS) {
    throw badImage(
      members,
      `it has ${layers.length} layers, and its configuration speaks of ${diffIds?.length ?? 'none'}`,
    );
  }
  return {
    id: sha256(bytes),
    layers: layers.map((layer, index) => ({ ...layer, diffId: blobOf(members, diffIds[index]).hex })),
    defaults: defaultsOf(isRecord(config['config']) ? config['config'] : {}),
    names,
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
    ...(given(WorkingDir) && WorkingDir.startsWith('/') ? { workingDir: WorkingDir } : {}),
    ...(given(User) ? { user: User } : {}),
    ...(given(StopSignal) ? { stopSignal: StopSignal } : {}),
  };
}

const splitAt = (text: string, at: number): [string, string] => [text.slice(0, at), text.slice(at + 1)];
