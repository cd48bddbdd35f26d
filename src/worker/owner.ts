/** Under which maps a folder was filled, written down for whoever removes it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { IdMap } from '../spec/spec.ts';
import type { Ownership } from '../model/image.ts';
import { isRecord } from '../text/json.ts';
import { readOwn } from '../files/own.ts';

export function noteOwner(folder: string, ownership: Ownership | undefined): void {
  writeFileSync(join(folder, 'owner.json'), JSON.stringify(ownership ?? null), { mode: 0o600 });
}

/** Undefined: under none, or it is not known. */
export function readOwner(folder: string): Ownership | undefined {
  try {
    return parseOwnership(JSON.parse(readOwn(join(folder, 'owner.json'))));
  } catch {
    return undefined;
  }
}

export function parseOwnership(value: unknown): Ownership | undefined {
  if (!isRecord(value)) return undefined;
  const { uidMap, gidMap } = value;
  return isMaps(uidMap) && isMaps(gidMap) ? { uidMap, gidMap } : undefined;
}

function isMaps(value: unknown): value is readonly IdMap[] {
  return (
    Array.isArray(value) &&
    value.every((map) => isRecord(map) && ['container', 'host', 'size'].every((key) => Number.isSafeInteger(map[key])))
  );
}
