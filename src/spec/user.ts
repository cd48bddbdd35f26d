/**
 * Ids and names of users and groups, read by one strict parser wherever they come from: a file, an image, its passwd.
 * What could be read in two ways is no id, and nothing is ever taken for 0 (CVE-2026-30892, CVE-2024-40635).
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

/** A name that could be meant as a number is none: `+1`, `0x1`, `01`, `1 ` would be read as one id or another. */
const NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,254}\$?$/u;

/** An id, or a name; undefined where it is neither. */
export function parseAccount(text: string | undefined): number | string | undefined {
  return parseId(text) ?? (text !== undefined && NAME.test(text) ? text : undefined);
}

/** `USER` or `USER:GROUP`, each an id or a name; with an empty part it is no user. */
export function parseUser(text: string): UserChoice | undefined {
  const parts = text.split(':');
  const [user, group] = parts.map(parseAccount);
  if (user === undefined || parts.length > 2 || (parts.length === 2 && group === undefined)) return undefined;
  return { user, ...(group === undefined ? {} : { group }) };
}
