/**
 * Names of images in the store. A _local_ name was given by a person or an archive: `NAME[:TAG]`, as docker spells it. A
 * _pulled_ name is the full form of the reference that an image was pulled by: `docker.io/library/debian:12`. Text with a
 * registry means the full form alone, so that no local name answers for what a registry has.
 */
import { rmSync } from 'node:fs';
import { readdirSync } from '../inputs/outside.ts';
import { join } from 'node:path';
import { writeWhole } from '../files/atomic-write.ts';
import { BoxctlError } from '../errors.ts';
import { isImageName } from '../spec/image-name.ts';
import { isProblem, parseImageName, type ImageName } from '../text/image-name.ts';
import { isRecord, isTextList } from '../text/json.ts';
import { readOwnJson } from '../files/own.ts';
import { fullReferences } from './short-name-rules.ts';
import { shortHash } from './store.ts';

/** How an image came by a pulled name. Digests are sha256, 64 hex digits, of documents of the store. */
export interface Pulled {
  readonly manifest: string;
  /** What the reference led to, where that was an index. */
  readonly index?: string;
  /** What was asked for (`linux/arm64`); absent: what suits this machine best. */
  readonly platform?: string;
  /** When the registry was asked last, milliseconds since 1970. */
  readonly checked: number;
  /** Signatures of it that were verified (signed.ts). */
  readonly signed?: readonly string[];
}

export interface Named {
  readonly name: string;
  /** The image's. */
  readonly digest: string;
  readonly pulled?: Pulled;
}

const DEFAULT_TAG = 'latest';

function written({ registry, path, tag = DEFAULT_TAG, digest }: ImageName): string {
  const name = registry === undefined ? path : `${registry}/${path}`;
  // The digest decides, whatever the tag.
  return digest === undefined ? `${name}:${tag}` : `${name}@${digest}`;
}

/** The form in which the store has a name: with a tag or a digest, and of a short one without `library/`. */
export function fullName(text: string): string {
  const name = parseImageName(text);
  if (isProblem(name)) return text;
  const path = name.registry === undefined ? name.path.replace(/^library\//u, '') : name.path;
  return written({ ...name, path });
}

/**
 * The references that text may mean, in the forms in which the store has them, the first first: a short name is a local one,
 * and else what the configuration of registries makes of it.
 */
function* formsOf(store: string, text: string, isRemote: boolean): Generator<string, void> {
  const name = parseImageName(text);
  const isShort = !isProblem(name) && name.registry === undefined;
  if (!isShort || !isRemote) yield fullName(text);
  if (!isShort) return;
  for (const full of fullReferences(store, text)) yield fullName(full);
}

/** Throws `E_IMAGE_NAME`. */
export function checkName(text: string): string {
  if (isImageName(text) && !text.includes('sha256:')) return fullName(text);
  throw new BoxctlError('E_IMAGE_NAME', `"${text}" is no name for an image`, {
    hint: 'NAME[:TAG], in lower case: debian:12',
  });
}

/** An image that was pulled for another platform has the same name, and a file of its own. */
const placeOf = (store: string, name: string, platform = ''): string =>
  join(store, 'names', `${shortHash(platform === '' ? name : `${name} ${platform}`)}.json`);

/** What has exactly this name, in its full form. */
export function entryNamed(store: string, name: string, platform?: string): Named | undefined {
  const named = readName(placeOf(store, name, platform));
  return named?.name === name && named.pulled?.platform === platform ? named : undefined;
}

/** The digest of the image that has exactly this name now; undefined where none has. */
export const digestNamed = (store: string, name: string): string | undefined => entryNamed(store, name)?.digest;

export function writeName(store: string, name: string, digest: string, pulled?: Pulled): void {
  writeWhole(placeOf(store, name, pulled?.platform), JSON.stringify({ name, digest, pulled }));
}

function readName(path: string): Named | undefined {
  const value = readOwnJson(path);
  if (!isRecord(value)) return undefined;
  const { name, digest, pulled } = value;
  if (typeof name !== 'string' || typeof digest !== 'string') return undefined;
  const how = pulledOf(pulled);
  return { name, digest, ...(how === undefined ? {} : { pulled: how }) };
}

function pulledOf(value: unknown): Pulled | undefined {
  if (!isRecord(value)) return undefined;
  const { manifest, index, platform, checked, signed } = value;
  if (typeof manifest !== 'string' || typeof checked !== 'number') return undefined;
  return {
    manifest,
    checked,
    ...(typeof index === 'string' ? { index } : {}),
    ...(typeof platform === 'string' ? { platform } : {}),
    ...(isTextList(signed) ? { signed } : {}),
  };
}

export function allNames(store: string): readonly Named[] {
  try {
    return readdirSync(join(store, 'names'))
      .filter((file) => file.endsWith('.json'))
      .flatMap((file) => readName(join(store, 'names', file)) ?? [])
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  } catch {
    return [];
  }
}

/**
 * The image that a reference of a file or of a person means, if the store has it: a local name first, then what was pulled.
 * `platform`: what was pulled for it goes first. Whether another one is for the platform is for the caller to look at.
 * `isRemote`: local names are passed over, since an image of a registry is meant.
 */
export function findReference(
  store: string,
  text: string,
  platform?: string,
  isRemote: boolean = false,
): Named | undefined {
  for (const name of formsOf(store, text, isRemote)) {
    const named =
      (platform === undefined ? undefined : entryNamed(store, name, platform)) ??
      entryNamed(store, name) ??
      (name.includes('@') ? pulledByTag(store, name, tagOf(text), platform) : undefined);
    if (named !== undefined) return named;
  }
  return undefined;
}

function tagOf(text: string): string | undefined {
  const name = parseImageName(text);
  return isProblem(name) ? undefined : name.tag;
}

/** An image that was pulled by a tag of the same repository, and has the digest. Of several tags the one that is given. */
function pulledByTag(
  store: string,
  name: string,
  tag: string | undefined,
  platform: string | undefined,
): Named | undefined {
  const [repository = '', digest = ''] = name.split('@');
  const hex = digest.replace(/^sha256:/u, '');
  const fitting = allNames(store).filter(
    (named) =>
      named.name.startsWith(`${repository}:`) &&
      named.pulled?.platform === platform &&
      [named.pulled?.manifest, named.pulled?.index].includes(hex),
  );
  return fitting.find((named) => named.name === `${repository}:${tag}`) ?? fitting[0];
}

/** Removes the name, for all platforms. */
export function removeName(store: string, name: string): void {
  for (const named of allNames(store)) {
    if (named.name === name) rmSync(placeOf(store, name, named.pulled?.platform), { force: true });
  }
}

const LEAST_DIGITS = 4;

/**
 * The digest that a person means: by a name, or by the first digits of a digest. Undefined: the store has no such image.
 * Throws `E_IMAGE_AMBIGUOUS` for digits that several images begin with.
 */
export function findDigest(store: string, text: string): string | undefined {
  const named = findReference(store, text);
  if (named !== undefined) return named.digest;
  const digits = /^(?:sha256:)?((?:seen-)?[0-9a-f]+)$/u.exec(text)?.[1];
  if (digits === undefined || digits.length < LEAST_DIGITS) return undefined;
  const fitting = digestsOf(store).filter((digest) => digest.startsWith(digits));
  if (fitting.length > 1) {
    throw new BoxctlError('E_IMAGE_AMBIGUOUS', `${fitting.length} images begin with ${text}`, {
      hint: 'give more digits: boxctl image ls',
    });
  }
  return fitting[0];
}

export function digestsOf(store: string): readonly string[] {
  try {
    return readdirSync(join(store, 'images'));
  } catch {
    return [];
  }
}
