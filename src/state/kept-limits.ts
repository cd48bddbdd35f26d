/**
 * Limits of a container in the background that are others than those of its file, in its folder:
 *
 *   limits.json   all its limits, as a file has them below `limits`: `limits`, which hold in the run that is the last one, and
 *                 `next`, which hold from its next start on
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

interface Kept {
  readonly limits?: Limits | undefined;
  readonly next?: Limits | undefined;
}

function read({ folder }: Place): Kept {
  const value = parseJson(textAt(join(folder, 'limits.json')));
  if (!isRecord(value) || value['version'] !== VERSION) return {};
  // Written by this program in a folder of the caller's own: it is as it was.
  const limitsAt = (key: keyof Kept): Limits | undefined =>
    isRecord(value[key]) ? (value[key] as unknown as Limits) : undefined;
  return { limits: limitsAt('limits'), next: limitsAt('next') };
}

const write = ({ folder }: Place, kept: Kept): void =>
  writeWhole(join(folder, 'limits.json'), `${JSON.stringify({ version: VERSION, ...kept })}\n`);

/** Those of its last run. Undefined where none was changed. */
export const readKeptLimits = (place: Place): Limits | undefined => read(place).limits;

/** Those of its next start; while it runs, those that it has. Undefined where none was changed. */
export function readNextLimits(place: Place): Limits | undefined {
  const { limits, next = limits } = read(place);
  return next;
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
  write({ folder }, { limits });
}

/** Of one that has ended: why it has is told by those of its last run. */
export function keepNextLimits(place: Place, next: Limits): void {
  write(place, { ...read(place), next });
}

/** It is started now. */
export function useNextLimits(place: Place): void {
  const { next } = read(place);
  if (next !== undefined) write(place, { limits: next });
}

function textAt(path: string): string {
  return isOwn(path, 'file') ? readOwn(path) : '';
}
