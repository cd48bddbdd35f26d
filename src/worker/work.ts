/** Work on images. The imager does it, in a process that is confined to the files that it works on. */
import { closeSync, constants, openSync } from 'node:fs';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import {
  planCompress,
  planCopy,
  planExtract,
  planIndex,
  planIngest,
  planInspect,
  planPack,
  planRemove,
  planScan,
  planUnpack,
  type Compression,
  type Part,
  type TreeMarks,
  type WorkLimits,
  type WorkPlace,
} from '../plan/image-work.ts';
import { IMAGE } from '../kernel/constants.ts';
import { errnoName } from '../kernel/errno.ts';
import { storeTrouble } from './store-failure.ts';
import { noArchive } from './no-archive.ts';
import type { Plan } from '../plan/plan.ts';
import { hintOf } from '../plan/call-hints.ts';
import type { Outcome } from '../launcher/events.ts';
import { launch } from '../launcher/launch.ts';
import { pipe } from '../native.ts';
import { IMAGER_FD } from '../kernel/wire.ts';
import type { ImageFacts, Ownership } from '../model/image.ts';
import { lastReport, type OnRead, type Report } from './json-lines.ts';

export type { Compression, Part, TreeMarks, WorkLimits, WorkPlace } from '../plan/image-work.ts';

export const WHOLE: Part = { offset: 0, size: 0 };

export interface Digests {
  /** The digest of the archive as it is stored, 64 hex digits. */
  readonly sha256: string;
  /** The digest of the decompressed archive. Computed for layers only; otherwise empty. */
  readonly plainSha256: string;
  readonly compression: string;
}

export interface Contents {
  readonly entries: number;
  /** The size of all files together, uncompressed. */
  readonly bytes: number;
  /** Entries whose owner the user namespace does not map; root owns them. */
  readonly squashed: number;
  /** Device nodes and attributes that could not be created. */
  readonly skipped: number;
  /** Of a layer: folders without an entry of their own, in which other entries are. */
  readonly implied: readonly string[];
  /** Of a layer: targets of its hard links that are in a lower layer; these links were not made. */
  readonly wanted: readonly string[];
  /** Of a layer: it hides all layers below. */
  readonly opaqueRoot: boolean;
}

/** The result of reading an archive as a root file system. It may be an image in layers instead. */
export interface Rootfs<T> {
  /** It looks like an image in layers (ImageSigns of native/image/walk.h). Only its manifest shows whether it is one. */
  readonly mayBeImage: boolean;
  /** Undefined where it was not read to its end: reading stopped at the first sign of an image, or with `failure`. */
  readonly contents: T | undefined;
  readonly failure: BoxctlError | undefined;
}

export interface Work {
  readonly plan: Plan;
  /** `$ID` of the plan, where it has one. */
  readonly id?: string;
  /** The archive's descriptor. The caller closes it. */
  readonly input?: number;
  /** The descriptor for extracted files. The caller closes it. */
  readonly output?: number;
  readonly onRead?: OnRead;
  readonly signal?: AbortSignal;
}

/** An error in the archive that the imager has reported. */
export class BadArchive extends Error {
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

/** Runs the imager, reads its reports, and returns the last one. Throws BadArchive, or BoxctlError `E_IMAGE_WORK`. */
export async function run({ plan, id, input, output, onRead, signal }: Work): Promise<Report> {
  const nothing = openSync('/dev/null', constants.O_RDWR);
  const [report, reportEnd] = pipe();
  let worker;
  try {
    const stdio: [number, number, number] = [nothing, nothing, nothing];
    stdio[IMAGER_FD.archive] = input ?? nothing;
    stdio[IMAGER_FD.output] = output ?? nothing;
    stdio[IMAGER_FD.report] = reportEnd;
    worker = launch(plan, { stdio, interpreter: 'imager', ...(id === undefined ? {} : { id }) });
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
  const what = `The work on files failed (${plan.name})`;
  if (end.failed !== undefined) {
    const { index, errno } = end.failed;
    const name = errno > 0 ? errnoName(errno) : 'no errno';
    const step = plan.steps[index];
    const at = step === undefined ? 'a step' : `${step.call.name} (step ${step.id})`;
    // No lease: another process has the archive open for writing, or its file system has no leases.
    const code = step?.call.name === 'fcntl' ? 'E_IMAGE_BUSY' : 'E_IMAGE_WORK';
    const hint = step === undefined ? undefined : hintOf(step, name, end.failed.detail);
    return new BoxctlError(code, `${what}: ${at} failed with ${name}`, hint === undefined ? {} : { hint });
  }
  const how = end.kind === 'signaled' ? `ended by signal ${end.signal}` : `ended with status ${end.status}`;
  return new BoxctlError('E_IMAGE_WORK', `${what}: the worker ${how}`);
}

export const LIMIT_HINT =
  'raise `image.max_size` or `image.max_entries` (of an import, --max-size or --max-entries) if it is to be trusted';

/** Turns BadArchive into an error for the user. Other errors are returned unchanged. */
function explain(error: unknown, name: string, archive?: Pick<Archived, 'fd' | 'part'>): unknown {
  return error instanceof BadArchive ? explained(error, name, archive) : error;
}

function explained(error: BadArchive, name: string, archive?: Pick<Archived, 'fd' | 'part'>): BoxctlError {
  // An entry's name may be hostile. JSON.stringify escapes its control characters, which must not reach a terminal.
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

/** A place for work whose files belong to the caller. An ordinary user's worker needs a user namespace to be confined. */
export function ownPlace(folder: string, host: HostFacts): WorkPlace {
  const alone = (id: number) => [{ container: 0, host: id, size: 1 }];
  const ownership = host.privileged ? undefined : { uidMap: alone(host.euid), gidMap: alone(host.egid) };
  return { folder, ownership, host };
}

/** An archive to work on. `onRead` is called with the progress; `name` is for messages. */
export interface Archived {
  readonly fd: number;
  readonly name: string;
  readonly part: Part;
  readonly onRead?: OnRead;
  readonly signal?: AbortSignal;
}

function work({ fd, onRead, signal }: Archived, plan: Plan, output?: number): Promise<Report> {
  return run({
    plan,
    input: fd,
    ...(output === undefined ? {} : { output }),
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

/**
 * `lowest`: no layer is below, in which it could delete files. `complete`: the tar begins with what it needs of lower
 * layers, such as the files that its hard links point to.
 */
export type LayerKind = 'lowest' | 'layer' | 'complete';
const FLAGS = {
  rootfs: 0,
  lowest: IMAGE.LAYER | IMAGE.LOWEST,
  layer: IMAGE.LAYER,
  complete: IMAGE.LAYER | IMAGE.COMPLETE,
};

/**
 * Unpacks a root file system. `isDigested`: false leaves the digests empty. `stopsAtImage`: nothing is unpacked if the
 * first entry looks like that of an image in layers.
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

/** Decompresses the archive into a new file `name` of the folder; '' writes no file. */
export async function ingest(
  archive: Archived,
  place: WorkPlace,
  name: string,
  maxBytes: number,
): Promise<Pick<Digests, 'sha256'>> {
  return digests(await runOn(archive, planIngest(place, archive.part, name, 0, maxBytes)));
}

/** The digests of a layer as it is stored, and of its tar. Writes no file. */
export async function digestLayer(archive: Archived, place: WorkPlace, maxBytes: number): Promise<Digests> {
  return digests(await runOn(archive, planIngest(place, archive.part, '', IMAGE.LAYER, maxBytes)));
}

/**
 * Writes the index of a root file system's tar as the file `index`. `stored`: the tar is decompressed into the file `data`;
 * otherwise it stays where it is. Undefined: the tar has more than an index can hold. The digests are empty if not all of
 * it was read.
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

/** Writes the index of a layer's tar, which stays where it is. Undefined: it has more than an index can hold. */
export async function indexTar(
  archive: Archived,
  place: WorkPlace,
  kind: LayerKind,
  limits: WorkLimits,
): Promise<Contents | undefined> {
  const report = await unlessTooLarge(runOn(archive, planIndex(place, archive.part, '', FLAGS[kind], limits)));
  return report === undefined ? undefined : contents(report);
}

/** Writes the index of a layer, and decompresses it into the file `data`. Undefined: it has more than an index can hold. */
export async function storeTar(
  archive: Archived,
  place: WorkPlace,
  kind: LayerKind,
  limits: WorkLimits,
): Promise<(Contents & Digests) | undefined> {
  const report = await unlessTooLarge(runOn(archive, planIndex(place, archive.part, 'data', FLAGS[kind], limits)));
  return report === undefined ? undefined : { ...contents(report), ...digests(report) };
}

/** Whether an archive has more than an index can hold. It can be unpacked all the same. */
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

/** A regular file of an archive, or a link to `target`. */
export interface Member {
  readonly offset: number;
  readonly size: number;
  readonly target: string | undefined;
}

export async function scanTar(archive: Archived, place: WorkPlace): Promise<ReadonlyMap<string, Member>> {
  const report = await runOn(archive, planScan(place));
  return new Map(
    list(report, 'members').map((line) => {
      // The members that are looked up have no ` -> ` in their names.
      const [, offset, size, path = '', target] = /^(\d+) (\d+) (.*?)(?: -> (.*))?$/su.exec(line) ?? [];
      return [path, { offset: Number(offset), size: Number(size), target }];
    }),
  );
}

/** The status of a path in an image: `mode uid gid seconds nanoseconds`, the mode in octal; '' if there is nothing. */
export type PathStatus = string;

/**
 * Reads files of an image ('' for one that cannot be read), and the status of paths. It mounts the image: if the kernel
 * cannot mount it, this throws, so that the error is not left to the start.
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
 * Writes the files and folders at `paths` of an image to a descriptor, as a tar without the end marker. Its files have at
 * most `maxBytes` together. Returns the number of entries. `name` is for messages.
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

/** A layer as it was written to a descriptor. */
export interface Compressed {
  /** sha256 of what was written, 64 hex digits, and its size in bytes. */
  readonly sha256: string;
  readonly size: number;
  /** The same of the tar. */
  readonly plainSha256: string;
  readonly plainSize: number;
  /** The newest entry of the tar, seconds since 1970, and the machine of its programs (e_machine; 0: it has none). Where it was asked for. */
  readonly newest: string;
  readonly machine: number;
}

export interface CompressOptions {
  readonly compression: Compression;
  /** 0: the usual one. */
  readonly level: number;
  readonly isDescribed?: boolean;
}

/** Writes a tar to a descriptor, compressed. The same tar and the same options give the same bytes, on every machine. */
export async function compressTar(
  archive: Archived,
  output: number,
  { compression, level, isDescribed = false }: CompressOptions,
  place: WorkPlace,
): Promise<Compressed> {
  const plan = planCompress(place, archive.part, compression, level, isDescribed);
  try {
    const report = await work(archive, plan, output);
    return {
      sha256: text(report, 'sha256'),
      size: number(report, 'size'),
      plainSha256: text(report, 'plain_sha256'),
      plainSize: number(report, 'plain_size'),
      newest: text(report, 'newest'),
      machine: number(report, 'machine'),
    };
  } catch (error) {
    throw explain(error, archive.name);
  }
}

/** Writes an unpacked layer, the folder `rootfs` of the place, as a tar to a descriptor. `name` is for messages. */
export async function packTree(
  place: WorkPlace,
  marks: TreeMarks,
  output: number,
  { name, signal }: Pick<Archived, 'name' | 'signal'>,
): Promise<void> {
  try {
    await run({ plan: planPack(place, marks), output, ...(signal === undefined ? {} : { signal }) });
  } catch (error) {
    throw explain(error, name);
  }
}

/** Copies an image into the empty folder `to`. Returns how many device nodes were left out. Throws `E_IMAGE_COPY`. */
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

/** Removes the folder `name` and everything in it, even if its files belong to ids of `ownership`. */
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
