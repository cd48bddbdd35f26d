/** Work on images, done by the imager in a process that sees nothing but what it works on. */
import { closeSync, constants, openSync } from 'node:fs';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import {
  planCopy,
  planExtract,
  planIndex,
  planIngest,
  planInspect,
  planRemove,
  planScan,
  planUnpack,
  type Part,
  type WorkLimits,
  type WorkPlace,
} from '../plan/image-work.ts';
import { IMAGE } from '../kernel/constants.ts';
import { errnoName } from '../kernel/errno.ts';
import { storeTrouble } from './store-failure.ts';
import { noArchive } from './no-archive.ts';
import type { Plan } from '../plan/plan.ts';
import { hintOf } from '../plan/hints.ts';
import { launch, type Outcome } from '../launcher/launch.ts';
import { pipe } from '../native.ts';
import { IMAGER_FD } from '../kernel/wire.ts';
import type { ImageFacts, Ownership } from '../model/image.ts';
import { lastReport, type OnRead, type Report } from './json-lines.ts';

export type { Part, WorkLimits, WorkPlace } from '../plan/image-work.ts';

export const WHOLE: Part = { offset: 0, size: 0 };

export interface Digests {
  /** Of the archive as it is stored, 64 hex digits. */
  readonly sha256: string;
  /** Of what it decompresses to. Of what is no layer it is not computed, and empty. */
  readonly plainSha256: string;
  readonly compression: string;
}

export interface Contents {
  readonly entries: number;
  /** Of files, uncompressed. */
  readonly bytes: number;
  /** Owners that the user namespace does not have, and that became root. */
  readonly squashed: number;
  /** Device nodes and attributes that cannot be had. */
  readonly skipped: number;
  /** Of a layer: folders that only its paths imply. */
  readonly implied: readonly string[];
  /** Of a layer: files that its hard links mean and that it does not have; the links were not made. */
  readonly wanted: readonly string[];
  /** Of a layer: it hides all layers below. */
  readonly opaqueRoot: boolean;
}

/** What came of reading an archive as a root file system, which it need not be. */
export interface Rootfs<T> {
  /** It may hold an image in layers (ImageSigns of native/image/walk.h): only its manifest tells. */
  readonly mayBeImage: boolean;
  /** Undefined where it was not read to its end: at the first sign of an image, or because of `failure`. */
  readonly contents: T | undefined;
  readonly failure: BoxctlError | undefined;
}

interface Work {
  readonly plan: Plan;
  /** The archive; stays the caller's. */
  readonly input?: number;
  /** For what is extracted; stays the caller's. */
  readonly output?: number;
  readonly onRead?: OnRead;
  readonly signal?: AbortSignal;
}

/** The archive is bad, and the worker has said why. */
class BadArchive extends Error {
  readonly entry: string;
  readonly errno: number;
  readonly hint: string | undefined;
  readonly mayBeImage: boolean;
  constructor(report: Report) {
    super(text(report, 'error'));
    this.entry = text(report, 'entry');
    this.errno = number(report, 'errno');
    this.hint = report['hint'] === undefined ? undefined : text(report, 'hint');
    this.mayBeImage = report['image'] === true;
  }
}

const EFBIG = 27;

/** Starts a worker, follows its reports, and returns the last one. Throws BadArchive, or BoxctlError `E_IMAGE_WORK`. */
async function run({ plan, input, output, onRead, signal }: Work): Promise<Report> {
  const nothing = openSync('/dev/null', constants.O_RDWR);
  const [report, reportEnd] = pipe();
  let worker;
  try {
    const stdio: [number, number, number] = [nothing, nothing, nothing];
    stdio[IMAGER_FD.archive] = input ?? nothing;
    stdio[IMAGER_FD.output] = output ?? nothing;
    stdio[IMAGER_FD.report] = reportEnd;
    worker = launch(plan, { stdio, interpreter: 'imager' });
  } finally {
    closeSync(nothing);
    closeSync(reportEnd);
  }
  const stop = (): void => worker.signal(9);
  signal?.addEventListener('abort', stop, { once: true });
  if (signal?.aborted === true) stop();
  try {
    const [end, last] = await Promise.all([worker.done, lastReport(report, onRead)]);
    if (signal?.aborted === true) throw new BoxctlError('E_IMAGE_WORK', 'The work on the image was given up');
    if (last === undefined || end.kind !== 'exited') throw workFailure(plan, end);
    if (typeof last['error'] === 'string') throw new BadArchive(last);
    return last;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

function workFailure(plan: Plan, end: Outcome): BoxctlError {
  const what = `The work on the image failed (${plan.name})`;
  if (end.failed !== undefined) {
    const { index, errno } = end.failed;
    const name = errno > 0 ? errnoName(errno) : 'no errno';
    const step = plan.steps[index];
    const at = step === undefined ? 'a step' : `${step.call.name} (step ${step.id})`;
    // An archive that somebody writes to, or that lies where there are no leases, cannot be used in place.
    const code = step?.call.name === 'fcntl' ? 'E_IMAGE_BUSY' : 'E_IMAGE_WORK';
    const hint = step === undefined ? undefined : hintOf(step, name, end.failed.detail);
    return new BoxctlError(code, `${what}: ${at} failed with ${name}`, hint === undefined ? {} : { hint });
  }
  const how = end.kind === 'signaled' ? `ended by signal ${end.signal}` : `ended with status ${end.status}`;
  return new BoxctlError('E_IMAGE_WORK', `${what}: the worker ${how}`);
}

export const LIMIT_HINT =
  'raise `image.max_size` or `image.max_entries` (of an import, --max-size or --max-entries) if it is to be trusted';

/** What a bad archive means to the person who named it. */
function explain(error: unknown, name: string, archive?: Pick<Archived, 'fd' | 'part'>): unknown {
  return error instanceof BadArchive ? explained(error, name, archive) : error;
}

function explained(error: BadArchive, name: string, archive?: Pick<Archived, 'fd' | 'part'>): BoxctlError {
  // The reason may quote a hostile name: its control characters must not reach a terminal.
  const at = error.entry === '' ? '' : ` (entry ${JSON.stringify(error.entry)})`;
  const code = errnoName(error.errno);
  const full = storeTrouble(`${name}${at}`, code);
  if (full !== undefined) return full;
  const message = `The image ${name} cannot be read: ${error.message}${at}`;
  const other = archive === undefined ? undefined : noArchive(archive.fd, archive.part);
  if (other !== undefined) {
    return new BoxctlError('E_IMAGE_BAD_ARCHIVE', `The image ${name} is not an archive: ${other.what}`, {
      hint: other.hint,
    });
  }
  const limit = /more (?:data|entries|bytes)/u.test(error.message);
  const hint = limit ? LIMIT_HINT : error.hint;
  return new BoxctlError(
    limit ? 'E_IMAGE_TOO_LARGE' : 'E_IMAGE_BAD_ARCHIVE',
    error.errno === 0 ? message : `${message}: ${errnoName(error.errno)}`,
    hint === undefined ? { cause: error } : { hint, cause: error },
  );
}

const text = (report: Report, key: string): string => String(report[key] ?? '');
const number = (report: Report, key: string): number => Number(report[key] ?? 0);
function list(report: Report, key: string): readonly string[] {
  const value = report[key];
  return Array.isArray(value) ? value.map(String) : [];
}

function digests(report: Report): Digests {
  return {
    sha256: text(report, 'sha256'),
    plainSha256: text(report, 'plain_sha256'),
    compression: text(report, 'compression'),
  };
}

function contents(report: Report): Contents {
  return {
    entries: number(report, 'entries'),
    bytes: number(report, 'bytes'),
    squashed: number(report, 'squashed'),
    skipped: number(report, 'skipped'),
    implied: list(report, 'implied'),
    wanted: list(report, 'wanted'),
    opaqueRoot: report['opaque_root'] === true,
  };
}

/** A place for work whose files are the caller's own. An ordinary user can be confined only as its own root. */
export function ownPlace(folder: string, host: HostFacts): WorkPlace {
  const alone = (id: number) => [{ container: 0, host: id, size: 1 }];
  const ownership = host.privileged ? undefined : { uidMap: alone(host.euid), gidMap: alone(host.egid) };
  return { folder, ownership, host };
}

/** An archive to work on, and what is called on the way. `name` is for messages. */
export interface Archived {
  readonly fd: number;
  readonly name: string;
  readonly part: Part;
  readonly onRead?: OnRead;
  readonly signal?: AbortSignal;
}

function work({ fd, onRead, signal }: Archived, plan: Plan): Promise<Report> {
  return run({
    plan,
    input: fd,
    ...(onRead === undefined ? {} : { onRead }),
    ...(signal === undefined ? {} : { signal }),
  });
}

async function runOn(archive: Archived, plan: Plan): Promise<Report> {
  try {
    return await work(archive, plan);
  } catch (error) {
    throw explain(error, archive.name, archive);
  }
}

/** The lowest layer has nothing to take away; a complete one has before it what its hard links mean of those below. */
export type LayerKind = 'lowest' | 'layer' | 'complete';
const FLAGS = {
  rootfs: 0,
  lowest: IMAGE.LAYER | IMAGE.LOWEST,
  layer: IMAGE.LAYER,
  complete: IMAGE.LAYER | IMAGE.COMPLETE,
};

/**
 * `isDigested`: false leaves the digest open, which is then empty. `stopsAtImage`: nothing is unpacked when the first entry
 * looks as if the archive held an image.
 */
export async function unpackRootfs(
  archive: Archived,
  place: WorkPlace,
  limits: WorkLimits,
  { isDigested, stopsAtImage }: { readonly isDigested: boolean; readonly stopsAtImage: boolean },
): Promise<Rootfs<Contents & Digests>> {
  const flags = (isDigested ? 0 : IMAGE.UNDIGESTED) | (stopsAtImage ? IMAGE.STOP_AT_IMAGE : 0);
  return readRootfs(archive, planUnpack(place, archive.part, flags, limits), (report) => ({
    ...contents(report),
    ...digests(report),
  }));
}

async function readRootfs<T>(archive: Archived, plan: Plan, read: (report: Report) => T): Promise<Rootfs<T>> {
  try {
    const report = await work(archive, plan);
    const found = report['stopped'] === true ? undefined : read(report);
    return { mayBeImage: report['image'] === true, contents: found, failure: undefined };
  } catch (error) {
    if (!(error instanceof BadArchive) || !error.mayBeImage) throw explain(error, archive.name, archive);
    return { mayBeImage: true, contents: undefined, failure: explained(error, archive.name, archive) };
  }
}

export async function unpackLayer(
  archive: Archived,
  place: WorkPlace,
  kind: LayerKind,
  limits: WorkLimits,
): Promise<Contents & Digests> {
  const report = await runOn(archive, planUnpack(place, archive.part, FLAGS[kind], limits));
  return { ...contents(report), ...digests(report) };
}

/** Decompresses into a new file `name` of the folder; '' for none. */
export async function ingest(
  archive: Archived,
  place: WorkPlace,
  name: string,
  maxBytes: number,
): Promise<Pick<Digests, 'sha256'>> {
  return digests(await runOn(archive, planIngest(place, archive.part, name, 0, maxBytes)));
}

/** The digests of a layer as it is stored and of its tar, without keeping anything. */
export async function digestLayer(archive: Archived, place: WorkPlace, maxBytes: number): Promise<Digests> {
  return digests(await runOn(archive, planIngest(place, archive.part, '', IMAGE.LAYER, maxBytes)));
}

/**
 * Makes the file `index` of a tar that stays where it is or, with `stored`, that is decompressed into the file `data` on the
 * way. Undefined: there is more of it than an index can hold. The digests are empty where not all of it was read.
 */
export async function indexRootfs(
  archive: Archived,
  place: WorkPlace,
  stored: boolean,
  limits: WorkLimits,
): Promise<Rootfs<Contents & Digests> | undefined> {
  const plan = planIndex(place, archive.part, stored ? 'data' : '', FLAGS.rootfs, limits);
  return unlessTooLarge(readRootfs(archive, plan, (report) => ({ ...contents(report), ...digests(report) })));
}

/** The same of a layer's tar that stays where it is. */
export async function indexTar(
  archive: Archived,
  place: WorkPlace,
  kind: LayerKind,
  limits: WorkLimits,
): Promise<Contents | undefined> {
  const report = await unlessTooLarge(runOn(archive, planIndex(place, archive.part, '', FLAGS[kind], limits)));
  return report === undefined ? undefined : contents(report);
}

/** The same of a layer that is decompressed into the file `data`. */
export async function storeTar(
  archive: Archived,
  place: WorkPlace,
  kind: LayerKind,
  limits: WorkLimits,
): Promise<(Contents & Digests) | undefined> {
  const report = await unlessTooLarge(runOn(archive, planIndex(place, archive.part, 'data', FLAGS[kind], limits)));
  return report === undefined ? undefined : { ...contents(report), ...digests(report) };
}

/** The archive can be unpacked all the same. */
export function isTooLargeForIndex(error: unknown): boolean {
  return error instanceof BoxctlError && error.cause instanceof BadArchive && error.cause.errno === EFBIG;
}

async function unlessTooLarge<T>(done: Promise<T>): Promise<T | undefined> {
  try {
    return await done;
  } catch (error) {
    if (isTooLargeForIndex(error)) return undefined;
    throw error;
  }
}

/** A regular file of an archive, or a link: `target` is what it says. */
export interface Member {
  readonly offset: number;
  readonly size: number;
  readonly target: string | undefined;
}

export async function scanTar(archive: Archived, place: WorkPlace): Promise<ReadonlyMap<string, Member>> {
  const report = await runOn(archive, planScan(place));
  return new Map(
    list(report, 'members').map((line) => {
      // No member of an image has a blank in its name, let alone an arrow.
      const [, offset, size, path = '', target] = /^(\d+) (\d+) (.*?)(?: -> (.*))?$/su.exec(line) ?? [];
      return [path, { offset: Number(offset), size: Number(size), target }];
    }),
  );
}

/** What is at a path of an image: `mode uid gid seconds nanoseconds`, the mode in octal; '' for nothing. */
export type PathStatus = string;

/**
 * Texts of files of an image, '' where there is none that can be read, and what is at paths. Mounts the image, so a
 * kernel that cannot do that throws here and not at a start.
 */
export async function inspect(
  image: ImageFacts,
  host: HostFacts,
  files: readonly string[],
  paths: readonly string[] = [],
): Promise<{ readonly files: readonly string[]; readonly paths: readonly PathStatus[] }> {
  const report = await run({ plan: planInspect(image, host, files, paths) });
  return { files: list(report, 'files'), paths: list(report, 'paths') };
}

/**
 * Writes a tar without an end mark of what an image has at paths to a descriptor, no more than `maxBytes` of files.
 * Returns how many there are. `name` is for messages.
 */
export async function extract(
  image: ImageFacts,
  host: HostFacts,
  paths: readonly string[],
  output: number,
  { name, maxBytes }: { readonly name: string; readonly maxBytes: number },
): Promise<number> {
  try {
    return number(await run({ plan: planExtract(image, host, paths, maxBytes), output }), 'entries');
  } catch (error) {
    throw explain(error, name);
  }
}

/** Copies an image into the empty folder `to` (planCopy). Says how many device nodes are left out. Throws `E_IMAGE_COPY`. */
export async function copyImage(
  image: ImageFacts,
  host: HostFacts,
  maps: Ownership | undefined,
  to: string,
): Promise<number> {
  try {
    return number(await run({ plan: planCopy(image, host, maps, to) }), 'devices');
  } catch (error) {
    if (!(error instanceof BadArchive)) throw error;
    const why = error.errno === 0 ? error.message : `${error.message}: ${errnoName(error.errno)}`;
    throw new BoxctlError('E_IMAGE_COPY', `The image cannot be copied to ${to}: /${error.entry}: ${why}`, {
      hint: 'is there room on that file system, and are all its owners mapped?',
    });
  }
}

/** Removes the folder `name` and all in it, also when its files belong to mapped ids. */
export async function removeTree(
  folder: string,
  name: string,
  ownership: Ownership | undefined,
  host: HostFacts,
): Promise<void> {
  const nothing = openSync('/dev/null', constants.O_RDWR);
  const plan = planRemove({ folder, ownership, host }, name);
  try {
    const end = await launch(plan, { stdio: [nothing, nothing, nothing], interpreter: 'imager' }).done;
    if (end.kind !== 'exited' || end.status !== 0) throw workFailure(plan, end);
  } finally {
    closeSync(nothing);
  }
}
