/**
 * Ids and names of users and groups, read by one strict parser wherever they come from: a file, an image, its passwd.
 * A text that could be read as two ids is refused, and no invalid text is read as 0 (CVE-2026-30892, CVE-2024-40635).
 */
import type { UserChoice } from './spec.ts';

/** 2^32-1 is "no id" to the kernel (user_namespaces(7), chown(2)). */
export const LARGEST_ID = 4_294_967_294;

/** Decimal, without sign, leading zero or blank, 0 … 2^32-2; anything else is no id. */
export function parseId(text: string | undefined): number | undefined {
  if (text === undefined || !/^(?:0|[1-9]\d{0,9})$/u.test(text)) return undefined;
  const value = Number(text);
  return value <= LARGEST_ID ? value : undefined;
}

/** As passwd(5) can hold it, in any letters; at most 255 of them. */
const isWord = (text: string): boolean => /^[^\s:\p{Cc}\p{Cf}+-][^\s:\p{Cc}\p{Cf}]{0,254}$/u.test(text);

/** A name that could be meant as a number is none: `+1`, `0x1`, `01`, `1e3` would be read as one id or another. */
const isName = (text: string): boolean => isWord(text) && !Number.isFinite(Number(text)) && !/^0[xob]/iu.test(text);

/** An id, or a name; undefined where it is neither. */
export function parseAccount(text: string | undefined): number | string | undefined {
  return parseId(text) ?? (text !== undefined && isName(text) ? text : undefined);
}

/** `USER` or `USER:GROUP`, each an id or a name; with an empty part it is no user. */
export function parseUser(text: string): UserChoice | undefined {
  const parts = text.split(':');
  const [user, group] = parts.map(parseAccount);
  if (user === undefined || parts.length > 2 || (parts.length === 2 && group === undefined)) return undefined;
  return { user, ...(group === undefined ? {} : { group }) };
}

/**
 * The same of an image's configuration (OCI image specification, "Image Configuration"), where a part may be empty, as
 * builders write it: no user is root, as without a `User` at all, and no group is the user's own.
 */
export function parseImageUser(text: string): UserChoice | undefined {
  const [user = '', group = '', ...rest] = text.split(':');
  if (rest.length > 0) return undefined;
  const named = parseUser(user === '' ? '0' : user);
  if (named === undefined || group === '') return named;
  const account = parseAccount(group);
  return account === undefined ? undefined : { ...named, group: account };
}
