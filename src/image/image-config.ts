/** What an image in layers is, by its manifest and its configuration (OCI image specification). */
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import type { ImageFacts } from '../model/image.ts';
import { sha256 } from '../native.ts';
import { isRecord, isTextList } from '../text/json.ts';
import { badImage, type Named } from './members.ts';
import { fitOf, hostPlatform, platformName, platformOf, rankOf, type Platform } from './platform.ts';

export type Json = Readonly<Record<string, unknown>>;

export interface LayerSource {
  /** What the layer is called in its archive or registry; for messages, and to open it. */
  readonly path: string;
  /** sha256 of the tar in it, which the configuration states: 64 hex digits. */
  readonly diffId: string;
  /** sha256 of the layer as it is packed, where the manifest states it. */
  readonly digest: string | undefined;
  /** Bytes as it is packed, where the manifest states it. */
  readonly size?: number;
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

/** Which image of several is wanted. */
export interface Wanted {
  /** By name, of an archive that holds several. */
  readonly name?: string | undefined;
  /** Undefined: what suits this machine best. */
  readonly platform?: Platform | undefined;
}

export const MAX_LAYERS = 500;

export function parseJson(from: Named, path: string, bytes: Buffer): Json | readonly unknown[] {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    if (isRecord(value) || Array.isArray(value)) return value;
  } catch {
    // Told below.
  }
  throw badImage(from, `${path} is not the JSON that it should be`);
}

/** The digits of `sha256:<hex>`; other algorithms are not in use. */
export function hexOf(from: Named, digest: unknown): string {
  const hex = /^sha256:([0-9a-f]{64})$/u.exec(typeof digest === 'string' ? digest : '')?.[1];
  if (hex === undefined) throw badImage(from, `a digest is malformed: ${JSON.stringify(digest)}`);
  return hex;
}

export function imageOf(
  from: Named,
  documents: LayeredImage['documents'],
  layers: readonly Omit<LayerSource, 'diffId'>[],
  names: readonly string[],
  host: HostFacts,
  wanted?: Platform,
): LayeredImage {
  const config = parseJson(from, 'the configuration', documents.config);
  if (!isRecord(config)) throw badImage(from, 'the configuration is not the JSON that it should be');
  const platform = platformOf(config);
  const fits = platform === undefined || (wanted === undefined ? rankOf(platform, host.arch) : fitOf(platform, wanted));
  if (platform !== undefined && fits === undefined) throw foreign(from, host, [platform], wanted);
  const { rootfs } = config;
  const stated = isRecord(rootfs) ? (rootfs['diff_ids'] ?? []) : undefined;
  const diffIds = isTextList(stated) ? stated : undefined;
  if (diffIds === undefined || diffIds.length !== layers.length || layers.length > MAX_LAYERS) {
    throw badImage(
      from,
      `it has ${layers.length} layers, and its configuration speaks of ${diffIds?.length ?? 'none'}`,
    );
  }
  return {
    id: sha256(documents.config),
    layers: layers.map((layer, index) => ({ ...layer, diffId: hexOf(from, diffIds[index]) })),
    defaults: defaultsOf(isRecord(config['config']) ? config['config'] : {}),
    names,
    platform: platform === undefined ? undefined : platformName(platform),
    documents,
  };
}

/** The image is for other machines than the one that is wanted. */
export function foreign(
  from: Named,
  host: HostFacts,
  platforms: readonly Platform[],
  wanted: Platform | undefined,
): BoxctlError {
  const there = [...new Set(platforms.map(platformName))].join(', ');
  const here = platformName(wanted ?? hostPlatform(host.arch));
  if (wanted !== undefined) {
    return new BoxctlError('E_IMAGE_PLATFORM', `The image ${from.name} is for ${there}, and ${here} is asked for`, {
      hint: 'take another platform, or leave it out for the one that suits this machine best',
    });
  }
  return new BoxctlError('E_IMAGE_PLATFORM', `The image ${from.name} is for ${there}, and this machine is ${here}`, {
    hint: `take the image for ${here}, or have the kernel run others by qemu (binfmt_misc)`,
  });
}

/** The configuration's own words (OCI image specification, "Image Configuration"). */
function defaultsOf(config: Json): ImageFacts['defaults'] {
  const { Entrypoint, Cmd, Env, WorkingDir, User, StopSignal, Healthcheck } = config;
  const healthcheck = healthcheckOf(Healthcheck);
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
    ...(healthcheck === undefined ? {} : { healthcheck }),
  };
}

/** Docker's own part of a configuration. Times are nanoseconds, and 0 is the default. */
function healthcheckOf(value: unknown): ImageFacts['defaults']['healthcheck'] {
  if (!isRecord(value) || !isTextList(value['Test']) || value['Test'].length === 0) return undefined;
  const times = (
    [
      ['interval', 'Interval', 1e6],
      ['timeout', 'Timeout', 1e6],
      ['startPeriod', 'StartPeriod', 1e6],
      ['startInterval', 'StartInterval', 1e6],
      ['retries', 'Retries', 1],
    ] as const
  ).flatMap(([name, key, unit]) => {
    const given = value[key];
    const number = typeof given === 'number' ? Math.ceil(given / unit) : 0;
    return number > 0 && number <= 0xffff_ffff ? [[name, number] as const] : [];
  });
  return { test: value['Test'], ...Object.fromEntries(times) };
}

const splitAt = (text: string, at: number): [string, string] => [text.slice(0, at), text.slice(at + 1)];
