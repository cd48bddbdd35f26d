/**
 * Brings an archive into the store: all of it, or nothing that could be taken for an image.
 *
 * There are two roads. Where the kernel can, the archive is mounted as it is under an index of its own making (EROFS);
 * otherwise it is unpacked. An archive in layers goes either road layer by layer.
 */
import type { ImportOptions, Job } from './import-job.ts';
import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '../native.ts';
import type { ErrorCode } from '../error-codes.ts';
import { BoxctlError } from '../errors.ts';
import { OVERLAY, TMPFS, type HostFacts } from '../host/facts.ts';
import { checkUnchanged, isCompressed, openArchive, settled, type Archive } from './archive.ts';
import { identityOf, isUnread, recall, type Identity } from './identity.ts';
import type { ImageFacts, Layer, Ownership } from '../model/image.ts';
import { importLayers } from './import-layers.ts';
import { checkNoImage, readImage, type LayeredImage } from './manifest.ts';
import { folderMembers, tarMembers, type Members } from './members.ts';
import {
  folderOf,
  layerOf,
  ownersOf,
  readFacts,
  writeRecord,
  type ImageRecord,
  type RecordedLayer,
} from './records.ts';
import {
  indexRootfs,
  ingest,
  inspect,
  isTooLargeForIndex,
  ownPlace,
  scanTar,
  unpackRootfs,
  WHOLE,
  type Archived,
  type Contents,
  type WorkPlace,
} from '../worker/work.ts';
import { ownershipKey } from './store.ts';
import { SHELLS } from './shells.ts';
import { noteOwner } from '../worker/owner.ts';
import { openWorkspace } from './workspace.ts';

export interface Imported {
  readonly image: ImageFacts;
  /** What the archive was when it was read. */
  readonly identity: Identity;
  /** Names that the archive gives to its image. */
  readonly names: readonly string[];
}

const FILES = ['/etc/passwd', '/etc/group'];

/**
 * Imports the archive at an absolute path without links (`realPath`). The caller holds the lock of the source.
 */
export async function importArchive(path: string, host: HostFacts, options: ImportOptions): Promise<Imported> {
  const opened = openArchive(path);
  try {
    const archive = await settled(opened);
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

/** Whether the store has no copy of the image's archive. */
export const isInPlace = ({ layers }: ImageFacts): boolean =>
  layers.some((layer) => layer.kind === 'erofs' && layer.identity !== undefined);

/** As the importer's caller has said it: what the files are unpacked under, or which owners they can have. */
const ownershipOf = ({ ownership, limits }: ImportOptions): Ownership | undefined => ownership ?? limits.owners;

/** What a person calls it. */
const nameOf = (archive: Archive, { source }: ImportOptions): string => source ?? archive.path;

function archived(archive: Archive, options: ImportOptions): Archived {
  const total = Number(archive.stat.size);
  const { onProgress, signal } = options;
  return {
    fd: archive.fd,
    name: nameOf(archive, options),
    part: WHOLE,
    ...(onProgress === undefined ? {} : { onRead: (done) => onProgress({ ...done, total }) }),
    ...(signal === undefined ? {} : { signal }),
  };
}

/** Where workers that write nothing are confined to. */
const emptyPlace = (host: HostFacts): WorkPlace => ownPlace(join(host.dirs.store, 'mnt'), host);

/** The archive's digest, where it is worth reading the archive for that alone. */
async function knownDigest(archive: Archive, host: HostFacts, options: ImportOptions): Promise<string | undefined> {
  const { pin } = options;
  // Reading twice costs less than unpacking for nothing, when the archive looks like one that is already here (it was
  // copied or touched). To mount it costs less than to read it.
  const old = recall(host.dirs.store, archive.path);
  const identity = old?.files[archive.path];
  // It is the one that it was, under other maps.
  if (pin === undefined && old !== undefined && identity === identityOf(archive.stat)) {
    return isUnread(old.digest) ? undefined : old.digest;
  }
  const looksKnown = identity?.split(' ')[2] === String(archive.stat.size);
  if (pin === undefined && (!looksKnown || (mayMount(host, options) && !isCompressed(archive)))) return undefined;
  const found = await ingest(archived(archive, options), emptyPlace(host), '', Number.MAX_SAFE_INTEGER);
  if (pin !== undefined && found.sha256 !== pin) throw wrongDigest(nameOf(archive, options), pin, found.sha256);
  return found.sha256;
}

export const wrongDigest = (path: string, pin: string, digest: string): BoxctlError =>
  new BoxctlError('E_IMAGE_DIGEST', `The image ${path} is not the one that was asked for`, {
    hint: `asked for sha256 ${pin}, the file has ${digest}`,
  });

/** An index on these cannot be mounted, and not every kernel takes the attempt well. */
const STACKED: ReadonlySet<number | undefined> = new Set([TMPFS, OVERLAY]);

/** Owners are shifted by mounts wherever an index can be mounted. */
export const mayMount = (host: HostFacts, { ownership }: ImportOptions): boolean =>
  host.erofs.usable && ownership === undefined && !STACKED.has(host.storeType);

interface Brought {
  readonly record: ImageRecord;
  readonly names: readonly string[];
}

async function bringIn(archive: Archive, known: string | undefined, job: Job): Promise<Brought> {
  if (job.mounts) {
    try {
      const mounted = await mountInPlaceOrCopy(archive, known, job);
      if (mounted !== undefined) return mounted;
    } catch (error) {
      // A kernel without EROFS, a store on a file system that it does not mount from: unpacking always works.
      if (!isCode(error, 'E_IMAGE_WORK')) throw error;
      job.options.signal?.throwIfAborted();
    }
  }
  return unpack(archive, known, { ...job, mounts: false });
}

const isCode = (error: unknown, code: ErrorCode): boolean => error instanceof BoxctlError && error.code === code;

async function mountInPlaceOrCopy(archive: Archive, known: string | undefined, job: Job): Promise<Brought | undefined> {
  try {
    return await mount(archive, known, job);
  } catch (error) {
    if (!job.options.inPlace || !isCode(error, 'E_IMAGE_BUSY')) throw error;
    return mount(archive, known, { ...job, options: { ...job.options, inPlace: false } });
  }
}

/** Stands for the digest of an archive that has not been read as a whole. */
export const seenDigest = (identity: Identity): string => `seen-${sha256(identity).slice(0, 32)}`;

/** An archive where it lies: its index in the store, once it is made, and what it must be to be mounted. */
export function layerInPlace(archive: Archive, digest: string): RecordedLayer {
  return { digest, form: 'erofs', inPlace: { path: archive.path, identity: identityOf(archive.stat) } };
}

/** Undefined: an index cannot hold what the archive does. */
async function mount(archive: Archive, known: string | undefined, job: Job): Promise<Brought | undefined> {
  const { host, options, workspace } = job;
  const folder = workspace.makePart('erofs');
  const place = ownPlace(folder, host);
  const copies = !options.inPlace || isCompressed(archive);
  const identity = identityOf(archive.stat);
  const tar = archived(archive, options);
  try {
    const made = await indexRootfs(tar, place, copies, options.limits);
    checkUnchanged(archive);
    if (made === undefined) return undefined;
    const { contents } = made;
    if (made.mayBeImage) {
      const isKept = copies && contents !== undefined;
      const image = await (isKept ? layeredFile(join(folder, 'data'), archive, job) : layeredArchive(archive, job));
      if (image !== undefined) return image;
    }
    if (isTooLargeForIndex(made.failure)) return undefined;
    if (contents === undefined) throw made.failure;
    const digest = contents.sha256 === '' ? (known ?? seenDigest(identity)) : contents.sha256;
    if (known !== undefined && digest !== known) throw wrongDigest(nameOf(archive, options), known, digest);
    const index = join(folder, 'index');
    const layer: Layer = copies
      ? { kind: 'erofs', index, data: join(folder, 'data') }
      : { kind: 'erofs', index, data: archive.path, identity };
    const own: RecordedLayer = copies ? { digest, form: 'erofs' } : layerInPlace(archive, digest);
    const recorded = { ...own, ...ownersOf(contents, options.limits.owners) };
    const record = await describe(
      { digest, layers: [layer], recorded: [recorded], contents, source: nameOf(archive, options) },
      job,
    );
    workspace.movePart('erofs', folderOf(host.dirs.store, recorded, ''));
    return { record, names: [] };
  } finally {
    await workspace.removePart('erofs');
  }
}

/** An archive is tried as a root file system first; one that looks like an image at once is that most often. */
async function unpack(archive: Archive, known: string | undefined, job: Job, stopsAtImage = true): Promise<Brought> {
  const { host, options, workspace } = job;
  const { ownership } = options;
  const folder = workspace.makePart('tree');
  noteOwner(folder, ownership);
  // As for an archive that is mounted, it is found beside the container, where nothing hangs on it.
  const isDigested = known !== undefined || !options.inPlace;
  const how = { isDigested, stopsAtImage };
  const made = await unpackRootfs(archived(archive, options), { folder, ownership, host }, options.limits, how);
  const { contents } = made;
  if (made.mayBeImage) {
    const image = await layeredArchive(archive, job);
    if (image !== undefined) return image;
  }
  if (made.failure !== undefined) throw made.failure;
  if (contents === undefined) {
    await workspace.removePart('tree');
    return unpack(archive, known, job, false);
  }
  checkUnchanged(archive);
  const digest = isDigested ? contents.sha256 : seenDigest(identityOf(archive.stat));
  if (known !== undefined && digest !== known) throw wrongDigest(nameOf(archive, options), known, digest);
  const recorded: RecordedLayer = { digest, form: 'tree', ...ownersOf(contents, options.limits.owners) };
  const layers: readonly Layer[] = [{ kind: 'tree', path: join(folder, 'rootfs') }];
  const record = await describe(
    { digest, layers, recorded: [recorded], contents, source: nameOf(archive, options) },
    job,
  );
  workspace.movePart('tree', folderOf(host.dirs.store, recorded, ownershipKey(ownership)));
  return { record, names: [] };
}

/**
 * The image that the archive holds in layers; undefined where it holds none. One that is compressed as a whole is
 * decompressed first, because its parts lie in no known order.
 */
async function layeredArchive(archive: Archive, job: Job): Promise<Brought | undefined> {
  const { host, options, workspace } = job;
  if (!isCompressed(archive)) return layered(archived(archive, options), archive, job);
  const folder = join(workspace.folder, 'outer');
  mkdirSync(folder);
  try {
    await ingest(archived(archive, options), ownPlace(folder, host), 'data', options.limits.maxBytes);
    return await layeredFile(join(folder, 'data'), archive, job);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** `path`: what the archive was decompressed into. */
async function layeredFile(path: string, archive: Archive, job: Job): Promise<Brought | undefined> {
  const fd = openSync(path, 'r');
  try {
    return await layered({ fd, name: nameOf(archive, job.options), part: WHOLE }, archive, job);
  } finally {
    closeSync(fd);
  }
}

async function layered(tar: Archived, archive: Archive, job: Job): Promise<Brought | undefined> {
  const found = await scanTar(tar, emptyPlace(job.host));
  const members = tarMembers(tar, found);
  const image = readImage(members, job.host, job.options.wanted);
  if (image === undefined) {
    checkNoImage(members, found.keys());
    return undefined;
  }
  const record = await describeLayered(members, image, nameOf(archive, job.options), job);
  checkUnchanged(archive);
  return { record, names: image.names };
}

async function describeLayered(members: Members, image: LayeredImage, source: string, job: Job): Promise<ImageRecord> {
  const { recorded, ...contents } = await importLayers(members, image, job);
  const { store } = job.host.dirs;
  const layers = recorded.map((layer) => layerOf(store, layer, job.options.ownership));
  const { id: digest, defaults, names } = image;
  return describe({ digest, layers, recorded, contents, source, defaults, names }, job);
}

/** An OCI image layout in a folder, by a path without links. The caller holds the lock of the source. */
export async function importLayout(folder: string, host: HostFacts, options: ImportOptions): Promise<Imported> {
  const members = folderMembers(folder);
  const image = readImage(members, host, options.wanted);
  if (image === undefined) throw new BoxctlError('E_IMAGE_BAD_ARCHIVE', `The folder ${folder} holds no image`);
  const workspace = await openWorkspace(options.ownership, host);
  try {
    const job = { host, options, workspace, mounts: mayMount(host, options) };
    const record = await describeLayered(members, image, folder, job);
    return { image: publish(record, job), identity: '', names: image.names };
  } finally {
    await workspace.close();
  }
}

interface Description {
  readonly digest: string;
  /** Where they are now, and what is written down of them. */
  readonly layers: readonly Layer[];
  readonly recorded: readonly RecordedLayer[];
  readonly contents: Pick<Contents, 'entries' | 'bytes' | 'squashed' | 'skipped'>;
  readonly source: string;
  readonly defaults?: ImageFacts['defaults'];
  readonly names?: readonly string[];
}

/** What the planner needs to know of the image, read from the image itself. Throws where it cannot be mounted. */
async function describe(description: Description, { host, options }: Job): Promise<ImageRecord> {
  const { digest, layers, recorded, contents, source, defaults = {}, names = [] } = description;
  const { entries, bytes, squashed, skipped } = contents;
  const unknown = { record: '', passwd: '', group: '', shell: '' };
  const image = { ...unknown, digest, layers, ownership: options.ownership, defaults };
  const { files, paths } = await inspect(image, host, FILES, SHELLS);
  const [passwd = '', group = ''] = files;
  const shell = SHELLS.find((_, index) => (paths[index] ?? '') !== '') ?? '';
  const counts = { entries, bytes, squashed, skipped };
  const created = Date.now();
  return { digest, layers: recorded, passwd, group, shell, defaults, ...counts, source, created, archiveNames: names };
}

function publish(record: ImageRecord, { host, options }: Job): ImageFacts {
  const ownership = ownershipOf(options);
  writeRecord(host.dirs.store, record, ownership);
  const image = readFacts(record.digest, ownership, host);
  if (image !== undefined) {
    options.onImported?.(record);
    return image;
  }
  throw new BoxctlError('E_IMAGE_STORE', `The image store ${host.dirs.store} does not keep its files`);
}
