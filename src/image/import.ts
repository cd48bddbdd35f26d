/**
 * Imports an archive into the store. After a failure the store has no image of it.
 *
 * There are two ways. If the kernel can mount EROFS from the store, boxctl writes an index of the archive's files, and the
 * archive is mounted with it. Otherwise the archive is unpacked. The layers of an image are imported one by one, each in one of
 * these ways.
 */
import { closeSync } from 'node:fs';
import type { ErrorCode } from '../error-codes.ts';
import { BoxctlError } from '../errors.ts';
import { OVERLAY, TMPFS, type HostFacts } from '../host/facts.ts';
import type { ImageFacts, Ownership } from '../model/image.ts';
import { sha256 } from '../native.ts';
import { ingest } from '../worker/work.ts';
import { checkUnchanged, isCompressed, openArchive, afterClockTick, type Archive } from './archive.ts';
import { identityOf, isUnread, recall, type Identity } from './identity.ts';
import type { ImportOptions, Job } from './import-job.ts';
import { describeLayered, type Brought } from './import-layered.ts';
import { mountArchive, unpackArchive } from './import-root.ts';
import { archived, emptyPlace, isInPlace, nameOf, wrongDigest } from './import-source.ts';
import { memberLayers } from './layer-reader.ts';
import { readImage } from './manifest.ts';
import { folderMembers, readMember, type Members } from './members.ts';
import { readFacts, readRecord, writeRecord, type ImageRecord } from './records.ts';
import { openWorkspace } from './workspace.ts';

export interface Imported {
  readonly image: ImageFacts;
  /** What the archive was when it was read. */
  readonly identity: Identity;
  /** Names that the archive gives to its image. */
  readonly names: readonly string[];
}

/**
 * Imports the archive at an absolute path without links (`realPath`). The caller holds the lock of the source.
 */
export async function importArchive(path: string, host: HostFacts, options: ImportOptions): Promise<Imported> {
  const opened = openArchive(path);
  try {
    const archive = await afterClockTick(opened);
    const identity = identityOf(archive.stat);
    const known = await knownDigest(archive, host, options);
    const present = known === undefined ? undefined : readFacts(known, ownershipOf(options), host, options.limits);
    if (present !== undefined && (options.inPlace || !isInPlace(present))) {
      checkUnchanged(archive);
      return { image: present, identity, names: [] };
    }
    const workspace = await openWorkspace(options.ownership, host);
    try {
      const job = { host, options, workspace, mounts: mayMount(host, options) };
      const { record, names } = await bringIn(archive, known, job);
      return { image: publish(record, job), identity, names };
    } finally {
      await workspace.close();
    }
  } finally {
    closeSync(opened.fd);
  }
}

/** What the files are unpacked under, or else which owners they can have. */
function ownershipOf({ ownership, limits }: ImportOptions): Ownership | undefined {
  return ownership ?? limits.owners;
}

/** The archive's digest, if it is remembered, or if reading the whole archive for it can save an import. */
async function knownDigest(archive: Archive, host: HostFacts, options: ImportOptions): Promise<string | undefined> {
  const { pin } = options;
  // An archive of the same path and size is probably one that the store has: it was copied or touched. Then reading it once
  // more is cheaper than unpacking it again. Mounting it is cheaper still, and needs no digest.
  const old = recall(host.dirs.store, archive.path);
  const identity = old?.files[archive.path];
  // The archive is unchanged. It is wanted under other maps.
  if (pin === undefined && old !== undefined && identity === identityOf(archive.stat)) {
    return isUnread(old.digest) ? undefined : old.digest;
  }
  const looksKnown = identity?.split(' ')[2] === String(archive.stat.size);
  if (pin === undefined && (!looksKnown || (mayMount(host, options) && !isCompressed(archive)))) return undefined;
  const found = await ingest(archived(archive, options), emptyPlace(host), '', Number.MAX_SAFE_INTEGER);
  if (pin !== undefined && found.sha256 !== pin) throw wrongDigest(nameOf(archive, options), pin, found.sha256);
  return found.sha256;
}

/** EROFS cannot be mounted from files on these file systems. Some kernels misbehave when it is tried. */
const STACKED: ReadonlySet<number | undefined> = new Set([TMPFS, OVERLAY]);

/** Owners are shifted by mounts wherever an index can be mounted. */
export function mayMount(host: HostFacts, { ownership }: ImportOptions): boolean {
  return host.erofs.usable && ownership === undefined && !STACKED.has(host.storeType);
}

async function bringIn(archive: Archive, known: string | undefined, job: Job): Promise<Brought> {
  if (job.mounts) {
    try {
      const mounted = await mountInPlaceOrCopy(archive, known, job);
      if (mounted !== undefined) return mounted;
    } catch (error) {
      // The kernel has no EROFS, or cannot mount it from the store's file system. Unpacking always works.
      if (!isCode(error, 'E_IMAGE_WORK')) throw error;
      job.options.signal?.throwIfAborted();
    }
  }
  return unpackArchive(archive, known, { ...job, mounts: false });
}

export const isCode = (error: unknown, code: ErrorCode): boolean => error instanceof BoxctlError && error.code === code;

async function mountInPlaceOrCopy(archive: Archive, known: string | undefined, job: Job): Promise<Brought | undefined> {
  try {
    return await mountArchive(archive, known, job);
  } catch (error) {
    if (!job.options.inPlace || !isCode(error, 'E_IMAGE_BUSY')) throw error;
    return mountArchive(archive, known, { ...job, options: { ...job.options, inPlace: false } });
  }
}

/** An OCI image layout in a folder, by a path without links. The caller holds the lock of the source. */
export async function importLayout(folder: string, host: HostFacts, options: ImportOptions): Promise<Imported> {
  const members = folderMembers(folder);
  if (options.pin !== undefined) checkIndex(members, folder, options.pin);
  const image = readImage(members, host, { name: options.wanted });
  if (image === undefined) throw new BoxctlError('E_IMAGE_BAD_ARCHIVE', `The folder ${folder} holds no image`);
  const workspace = await openWorkspace(options.ownership, host);
  try {
    const job = { host, options, workspace, mounts: mayMount(host, options) };
    const record = await describeLayered(memberLayers(members), image, folder, job);
    return { image: publish(record, job), identity: '', names: image.names };
  } finally {
    await workspace.close();
  }
}

/** What an index.json names is named by its digest, so that the digest of this one file pins all of a layout. */
function checkIndex(members: Members, folder: string, pin: string): void {
  const digest = sha256(readMember(members, 'index.json') ?? '');
  if (digest !== pin) throw wrongDigest(`${folder}/index.json`, pin, digest);
}

export function publish(given: ImageRecord, { host, options }: Job): ImageFacts {
  const ownership = ownershipOf(options);
  // An archive of `docker save` has no manifest, and the store may know that of the same image: a push keeps it.
  const { manifest } = { ...readRecord(host.dirs.store, given.digest, ownership), ...given };
  const record = { ...given, ...(manifest === undefined ? {} : { manifest }) };
  writeRecord(host.dirs.store, record, ownership);
  const image = readFacts(record.digest, ownership, host);
  if (image !== undefined) {
    options.onImported?.(record);
    return image;
  }
  throw new BoxctlError('E_IMAGE_STORE', `The image store ${host.dirs.store} does not keep its files`);
}
