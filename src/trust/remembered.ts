/**
 * What a person has allowed a container file for good, by `boxctl allow`: the demands that were shown and agreed to, one
 * record for each file. A file that asks for more than its record has is refused, one that asks for less is not. Records
 * lie beside the person's policy and belong to the person alone; root does not believe those of a user.
 */
import { closeSync, constants, fstatSync, fsyncSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { makeFolders } from '../files/folders.ts';
import { unfinishedName } from '../files/atomic-write.ts';
import { openIn, openSync, readdirIn, readOpened } from '../inputs/outside.ts';
import { sha256 } from '../native.ts';
import { DEMAND_KINDS, type Demand, type DemandKind } from '../model/demand.ts';
import { behind, isWithin, MAX_FILE_SIZE, realPath, whyNot } from '../files/read.ts';
import { openOwnFolder } from '../files/own-folder.ts';
import { takesPath, type Permit } from './permits.ts';
import { policyFiles } from './policy.ts';
import { parseJson } from '../text/json.ts';

/** What identifies a demand; where it stands in the file, and how it is told, may change. */
export type Agreed = Pick<Demand, 'kind' | 'value' | 'readOnly'> & {
  /** What is printed in place of a value that came from the caller's environment. */
  readonly shown?: string;
};

export interface Remembered {
  /** The container file, by the folder that it really lies in. */
  readonly file: string;
  readonly demands: readonly Agreed[];
}

export interface Keeper {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly euid: number;
}

const VERSION = 1;
const RECORD = /^[0-9a-f]{64}\.json$/u;
/** Kinds of demands that have no value. */
const WITHOUT_VALUE: ReadonlySet<DemandKind> = new Set([
  'privileged',
  'new_privileges',
  'groups',
  'sockets',
  'network',
]);

/**
 * What a file is remembered by: its name in the folder that it really lies in. The same name in a folder that a link leads
 * to is that file; moved to elsewhere it is another one.
 */
export function identityOf(file: string): string {
  const path = resolve(file);
  return join(realPath(dirname(path)), basename(path));
}

export function recordsFolder({ env, home }: Keeper): string {
  return join(dirname(policyFiles(env, home).at(-1) ?? home), 'allowed');
}

const nameOf = (file: string): string => `${sha256(file)}.json`;

function unsafe(problem: string): BoxctlError {
  return new BoxctlError('E_ALLOWED_UNSAFE', `records of what was allowed are not used: ${problem}`, {
    hint: 'the folder must be yours, and nobody else may write to it or above it: chmod go-w, chown; for sudo, `sudo -H` takes the folder of root',
  });
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseAgreed(value: unknown): Agreed | undefined {
  if (!isMap(value)) return undefined;
  const { kind, value: what, readOnly, shown } = value;
  if (typeof kind !== 'string' || typeof what !== 'string' || !Object.hasOwn(DEMAND_KINDS, kind)) return undefined;
  const known = kind as DemandKind;
  // A permit without a value allows every demand of its kind.
  if ((what === '') !== WITHOUT_VALUE.has(known) || (takesPath(known) && !what.startsWith('/'))) return undefined;
  return {
    kind: known,
    value: what,
    ...(readOnly === true ? { readOnly } : {}),
    ...(typeof shown === 'string' ? { shown } : {}),
  };
}

function parseRecord(text: string): Remembered | undefined {
  const value = parseJson(text);
  if (!isMap(value) || value['version'] !== VERSION || !Array.isArray(value['demands'])) return undefined;
  const { file } = value;
  const demands = value['demands'].map(parseAgreed);
  const whole = demands.filter((demand) => demand !== undefined);
  return typeof file === 'string' && whole.length === demands.length ? { file, demands: whole } : undefined;
}

/** A record that only the caller can have written: a file of one name, opened through no link. */
function readRecord(folder: number, path: string, name: string, euid: number): Remembered | undefined {
  let fd: number;
  try {
    fd = openIn(folder, path, name, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const status = fstatSync(fd);
    const isOwn = status.isFile() && status.uid === euid && (status.mode & 0o022) === 0 && status.nlink === 1;
    const record = isOwn && status.size <= MAX_FILE_SIZE ? parseRecord(readOpened(fd).toString('utf8')) : undefined;
    return record !== undefined && nameOf(record.file) === name ? record : undefined;
  } finally {
    closeSync(fd);
  }
}

/** Runs `work` in the folder of records; `otherwise` where there is none. Throws E_ALLOWED_UNSAFE. */
function inRecords<T>(keeper: Keeper, work: (fd: number, path: string) => T, otherwise: T): T {
  const opened = openOwnFolder(recordsFolder(keeper), keeper.euid);
  if (opened.kind === 'missing') return otherwise;
  if (opened.kind === 'unsafe') throw unsafe(opened.problem);
  try {
    return work(opened.fd, opened.path);
  } finally {
    closeSync(opened.fd);
  }
}

/** A container could write a record that lies in the folder of its own container file. */
function refuseWithin(path: string, file: string): void {
  if (isWithin(path, dirname(file))) {
    throw unsafe(`${path} lies in ${dirname(file)}, the folder of the container file, which a container can write to`);
  }
}

/**
 * What is remembered for a file; undefined where nothing is. Throws E_ALLOWED_UNSAFE where records are kept in a folder that
 * others could have written to.
 */
export function recall(keeper: Keeper, file: string): Remembered | undefined {
  return inRecords(
    keeper,
    (fd, path) => {
      const record = readRecord(fd, path, nameOf(file), keeper.euid);
      if (record !== undefined) refuseWithin(path, file);
      return record;
    },
    undefined,
  );
}

/** All records, by file. Throws E_ALLOWED_UNSAFE. */
export function allRemembered(keeper: Keeper): readonly Remembered[] {
  return inRecords<readonly Remembered[]>(
    keeper,
    (fd, path) =>
      readdirIn(fd, path)
        .filter((name) => RECORD.test(name))
        .flatMap((name) => readRecord(fd, path, name, keeper.euid) ?? [])
        .toSorted((a, b) => (a.file < b.file ? -1 : 1)),
    [],
  );
}

/** Takes the place of what was remembered for the file before. Throws E_ALLOWED_UNSAFE. */
export function remember(keeper: Keeper, file: string, demands: readonly Demand[]): void {
  const folder = recordsFolder(keeper);
  refuseWithin(realPath(folder), file);
  makeFolders(folder, 0o700);
  const agreed = demands.map(({ kind, value, readOnly, shown }): Agreed => ({
    kind,
    value,
    ...(readOnly === true ? { readOnly } : {}),
    ...(shown === undefined ? {} : { shown: shown.value }),
  }));
  const text = `${JSON.stringify({ version: VERSION, file, demands: agreed }, undefined, 2)}\n`;
  const written = inRecords(
    keeper,
    (fd) => {
      const name = nameOf(file);
      const unfinished = `${behind(fd)}/${unfinishedName(name)}`;
      const out = openSync(unfinished, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
      try {
        writeSync(out, text);
        fsyncSync(out);
      } finally {
        closeSync(out);
      }
      renameSync(unfinished, `${behind(fd)}/${name}`);
      return true;
    },
    false,
  );
  if (!written) throw unsafe(`${folder} is gone`);
}

/** Whether there was something to forget. Throws E_ALLOWED_UNSAFE. */
export function forget(keeper: Keeper, file: string): boolean {
  return inRecords(
    keeper,
    (fd) => {
      try {
        unlinkSync(`${behind(fd)}/${nameOf(file)}`);
        return true;
      } catch (error) {
        if (whyNot(error).missing) return false;
        throw error;
      }
    },
    false,
  );
}

/** The demands as permits, of these and no others: no word of theirs is a pattern. */
export function permitsOf({ demands }: Remembered): readonly Permit[] {
  return demands.map(({ kind, value, readOnly }) => ({
    kind,
    value: value === '' ? undefined : value,
    readOnly: readOnly === true,
    exact: true,
  }));
}
