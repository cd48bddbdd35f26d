/** What a reference leads to in its registry: for each platform the digests of the manifest and of the configuration. */
import { BoxctlError } from '../errors.ts';
import { platformName, platformOf } from '../image/platform.ts';
import type { Descriptor, Document, Events, RegistryReader } from '../registry/protocol.ts';
import { writeReference, type Reference } from '../registry/reference.ts';
import { isRecord } from '../text/json.ts';
import { isPlatform, type LockedPlatform, type LockedReference } from './lock.ts';

type Reader = Pick<RegistryReader, 'manifest' | 'document'>;
type Json = Readonly<Record<string, unknown>>;

/** As many requests at once. */
const AT_ONCE = 4;
/** An index in an index, and so on. */
const MAX_DEPTH = 4;
/** Official images have some ten platforms. */
const MAX_PLATFORMS = 100;
const MAX_CONFIG = 4 << 20;
const DIGEST = /^sha256:[0-9a-f]{64}$/u;

function lies(reference: Reference, why: string): BoxctlError {
  return new BoxctlError('E_REGISTRY_PROTOCOL', `${writeReference(reference)}: ${why}`, {
    hint: 'the registry, or who has pushed the image, is at fault',
  });
}

function parse({ bytes }: Pick<Document, 'bytes'>, reference: Reference): Json {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    if (isRecord(value)) return value;
  } catch {
    // Told below.
  }
  throw lies(reference, 'its manifest is not the JSON that it should be');
}

interface Listed {
  /** Undefined: the index does not say. */
  readonly platform: string | undefined;
  readonly digest: string;
}

/** What an index lists for Linux. Attestations are for no platform. */
function listedIn(index: Json, reference: Reference): readonly Listed[] {
  const list: unknown = index['manifests'];
  if (!Array.isArray(list)) return [];
  return list.filter(isRecord).flatMap(({ digest, platform, annotations }): readonly Listed[] => {
    if (typeof digest !== 'string' || !DIGEST.test(digest)) throw lies(reference, 'its index has a malformed digest');
    if (isRecord(annotations) && 'vnd.docker.reference.type' in annotations) return [];
    const said = isRecord(platform) ? platformOf(platform) : undefined;
    if (said !== undefined && said.os !== 'linux') return [];
    if (said === undefined) return [{ platform: undefined, digest }];
    // A registry can say anything. What is no platform runs nowhere.
    const name = platformName(said);
    return isPlatform(name) ? [{ platform: name, digest }] : [];
  });
}

/** The configuration that a manifest names. */
function configOf(manifest: Json, reference: Reference): Pick<Descriptor, 'digest' | 'size' | 'mediaType'> {
  const { config } = manifest;
  const { digest, size, mediaType } = isRecord(config) ? config : {};
  if (typeof digest !== 'string' || !DIGEST.test(digest) || typeof size !== 'number') {
    throw lies(reference, 'its manifest names no configuration');
  }
  return { digest, size, mediaType: typeof mediaType === 'string' ? mediaType : '' };
}

class Resolver {
  readonly #reader: Reader;
  readonly #wanted: ReadonlySet<string> | undefined;
  readonly #events: Events;
  readonly found = new Map<string, LockedPlatform>();
  /** All that there are, also those that are not wanted. */
  readonly seen = new Set<string>();

  constructor(reader: Reader, wanted: ReadonlySet<string> | undefined, events: Events) {
    this.#reader = reader;
    this.#wanted = wanted;
    this.#events = events;
  }

  async manifest(reference: Reference, document: Document, platform: string | undefined): Promise<void> {
    const config = configOf(parse(document, reference), reference);
    const name = platform ?? (await this.#platformOf(reference, config));
    this.seen.add(name);
    // The first of a platform is the one that is taken, by other tools as well.
    if (this.#isWanted(name) && !this.found.has(name)) {
      this.found.set(name, { manifest: document.digest, config: config.digest });
    }
  }

  async index(reference: Reference, index: Json, depth = 0): Promise<void> {
    const listed = listedIn(index, reference);
    for (const { platform } of listed) if (platform !== undefined) this.seen.add(platform);
    const wanted = listed.filter(({ platform }) => platform === undefined || this.#isWanted(platform));
    if (wanted.length + this.found.size > MAX_PLATFORMS) {
      throw lies(
        reference,
        `its index lists ${wanted.length} images, and more than ${MAX_PLATFORMS} are not asked for`,
      );
    }
    if (depth === MAX_DEPTH) throw lies(reference, 'its indexes are nested too deep');
    for (let at = 0; at < wanted.length; at += AT_ONCE) {
      const some = wanted.slice(at, at + AT_ONCE);
      const of = some.map(({ digest }): Reference => ({ ...reference, tag: undefined, digest }));
      const documents = await Promise.all(of.map((each) => this.#reader.manifest(each, this.#events)));
      for (const [each, document] of documents.entries()) {
        const its = of[each] ?? reference;
        const json = parse(document, its);
        if (Array.isArray(json['manifests'])) await this.index(its, json, depth + 1);
        else await this.manifest(its, document, some[each]?.platform);
      }
    }
  }

  #isWanted(platform: string): boolean {
    return this.#wanted === undefined || this.#wanted.has(platform) || this.#wanted.has(platform.replace(/\/v8$/u, ''));
  }

  async #platformOf(reference: Reference, config: Descriptor): Promise<string> {
    const bytes = await this.#reader.document(reference, config, MAX_CONFIG, this.#events);
    const said = platformOf(parse({ bytes }, reference));
    const name = said === undefined ? '' : platformName(said);
    if (isPlatform(name)) return name;
    throw lies(reference, 'its configuration does not say what it is made for');
  }
}

export interface ResolveOptions {
  /** As the container file has it. */
  readonly ref: string;
  /** What that can mean, in the order in which registries are asked. */
  readonly candidates: readonly Reference[];
  /** `linux/ARCHITECTURE[/VARIANT]`; undefined: all. */
  readonly platforms?: readonly string[];
  readonly events?: Events;
}

/** The first that its registry has. Any other answer than that there is none ends the search. */
async function firstOf(
  reader: Reader,
  candidates: readonly Reference[],
  events: Events,
): Promise<{ readonly reference: Reference; readonly document: Document }> {
  let missing: BoxctlError | undefined;
  for (const reference of candidates) {
    try {
      return { reference, document: await reader.manifest(reference, events) };
    } catch (error) {
      if (!(error instanceof BoxctlError) || error.code !== 'E_REGISTRY_NOT_FOUND') throw error;
      missing ??= error;
    }
  }
  throw missing ?? new Error('a name that means nothing');
}

/** @throws BoxctlError E_REGISTRY_…; E_IMAGE_PLATFORM where a platform that was asked for is not there */
export async function resolveReference(
  reader: Reader,
  { ref, candidates, platforms, events = {} }: ResolveOptions,
): Promise<LockedReference> {
  const { reference, document } = await firstOf(reader, candidates, events);
  const resolver = new Resolver(reader, platforms === undefined ? undefined : new Set(platforms), events);
  const json = parse(document, reference);
  const isIndex = Array.isArray(json['manifests']);
  if (isIndex) await resolver.index(reference, json);
  else await resolver.manifest(reference, document, undefined);
  const { found, seen } = resolver;
  const missing = (platforms ?? []).filter((wanted) => !found.has(wanted) && !found.has(`${wanted}/v8`));
  if (missing.length > 0 || found.size === 0) {
    const wanted = missing.length > 0 ? missing.join(', ') : 'Linux';
    throw new BoxctlError('E_IMAGE_PLATFORM', `${writeReference(reference)} has no image for ${wanted}`, {
      hint: seen.size === 0 ? 'name another image' : `it has ${[...seen].toSorted().join(', ')}`,
    });
  }
  const { digest: _digest, ...tagged } = reference;
  return {
    kind: 'reference',
    ref,
    name: writeReference(reference.tag === undefined ? reference : { ...tagged, digest: reference.digest }),
    index: isIndex ? document.digest : undefined,
    platforms: found,
  };
}
