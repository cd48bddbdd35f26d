/**
 * Limits of a container in the background that were changed while it ran, in its folder:
 *
 *   limits.json   all its limits, as a file has them below `limits`
 *   limits        for the launcher, which writes them again when it starts the container again: a line for each file of a cgroup,
 *                 its path, a tab, and what is written to it
 */
import { join } from 'node:path';
import { writeWhole } from '../files/atomic-write.ts';
import { isOwn, readOwn } from '../files/own.ts';
import type { Limits } from '../spec/spec.ts';
import { isRecord, parseJson } from '../text/json.ts';
import type { KeptContainer } from './containers.ts';

const VERSION = 1;
type Place = Pick<KeptContainer, 'folder'>;

/** What is written to the files of cgroups, by their paths. */
export type WrittenLimits = ReadonlyMap<string, string>;

/** Undefined where none was changed. */
export function readKeptLimits({ folder }: Place): Limits | undefined {
  const value = parseJson(textAt(join(folder, 'limits.json')));
  if (!isRecord(value) || value['version'] !== VERSION || !isRecord(value['limits'])) return undefined;
  // Written by this program in a folder of the caller's own: it is as it was.
  return value['limits'] as unknown as Limits;
}

export function readWrittenLimits({ folder }: Place): WrittenLimits {
  const lines = textAt(join(folder, 'limits')).split('\n');
  return new Map(
    lines.flatMap((line) => {
      const [path, value] = line.split('\t');
      return path === undefined || value === undefined ? [] : [[path, value] as const];
    }),
  );
}

export function keepLimits({ folder }: Place, limits: Limits, written: WrittenLimits): void {
  writeWhole(join(folder, 'limits'), [...written].map(([path, value]) => `${path}\t${value}\n`).join(''));
  writeWhole(join(folder, 'limits.json'), `${JSON.stringify({ version: VERSION, limits })}\n`);
}

function textAt(path: string): string {
  return isOwn(path, 'file') ? readOwn(path) : '';
}
