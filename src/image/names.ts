/** Names of images in the store: `NAME[:TAG]`, as `docker` spells them. */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from '../files/atomic-write.ts';
import { BoxctlError } from '../errors.ts';
import { isImageName } from '../spec/image-name.ts';
import { isRecord } from '../text/json.ts';
import { readOwnJson } from '../files/own.ts';
import { shortHash } from './store.ts';

/** Gives a name its full form: with a tag, and without what docker leaves out. */
export function fullName(text: string): string {
  const short = text.replace(/^docker\.io\//u, '').replace(/^library\//u, '');
  return /:[^/]*$/u.test(short) ? short : `${short}:latest`;
}

/** Throws `E_IMAGE_NAME`. */
export function checkName(text: string): string {
  if (isImageName(text) && !text.startsWith('sha256:')) return fullName(text);
  throw new BoxctlError('E_IMAGE_NAME', `"${text}" is no name for an image`, {
    hint: 'NAME[:TAG], in lower case: debian:12',
  });
}

const placeOf = (store: string, name: string): string => join(store, 'names', `${shortHash(name)}.json`);

/** The digest of the image that has the name now; undefined where none has. */
export function digestNamed(store: string, name: string): string | undefined {
  const named = readName(placeOf(store, name));
  return named?.name === name ? named.digest : undefined;
}

export function writeName(store: string, name: string, digest: string): void {
  writeWhole(placeOf(store, name), JSON.stringify({ name, digest }));
}

function readName(path: string): { readonly name: string; readonly digest: string } | undefined {
  const value = readOwnJson(path);
  if (!isRecord(value)) return undefined;
  const { name, digest } = value;
  return typeof name === 'string' && typeof digest === 'string' ? { name, digest } : undefined;
}

export function allNames(store: string): readonly { readonly name: string; readonly digest: string }[] {
  try {
    return readdirSync(join(store, 'names'))
      .filter((file) => file.endsWith('.json'))
      .flatMap((file) => readName(join(store, 'names', file)) ?? [])
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  } catch {
    return [];
  }
}

/** Whether what a person has typed is a name of the store, and not the digits of a digest. */
export const isNamed = (store: string, text: string): boolean => digestNamed(store, fullName(text)) !== undefined;

export function removeName(store: string, name: string): void {
  rmSync(placeOf(store, name), { force: true });
}

const LEAST_DIGITS = 4;

/**
 * The digest that a person means: by a name, or by the first digits of a digest. Undefined: the store has no such image.
 * Throws `E_IMAGE_AMBIGUOUS` for digits that several images begin with.
 */
export function findDigest(store: string, text: string): string | undefined {
  const named = digestNamed(store, fullName(text));
  if (named !== undefined) return named;
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
