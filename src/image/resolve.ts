/** From what a specification names as its image to what the planner needs of it. */
import { closeSync, createWriteStream, existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { reasonOf } from '../kernel/errno.ts';
import type { HostFacts } from '../host/facts.ts';
import { readInRoot, statInRoot } from '../native.ts';
import { realPath } from '../files/read.ts';
import type { ImageSource } from '../spec/spec.ts';
import { didYouMean } from '../spec/suggest.ts';
import { isCompressed, openArchive } from './archive.ts';
import { collectTools } from './collect.ts';
import { digestOf, identityOf, isUnread, recall, remember } from './identity.ts';
import { treeOwnership, UNKNOWN_IMAGE, type ImageFacts, type Layer, type Ownership } from '../model/image.ts';
import { importArchive, importLayout } from './import.ts';
import { isInPlace, layerInPlace, seenDigest } from './import-source.ts';
import type { ImportOptions, ImportProgress } from './import-job.ts';
import { withLock } from '../files/locks.ts';
import { removeImageQuietly, removeLeftoversQuietly } from './maintain.ts';
import { allNames, findDigest, fullName } from './names.ts';
import { packCollection } from './pack.ts';
import { allRecords, layerOf, readFacts, recordPath, type ImageRecord, type RecordedLayer } from './records.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { isStore, ownershipKey, prepareStore, shortHash } from './store.ts';
import { SHELLS } from './shells.ts';
import { openWorkspace } from './workspace.ts';

export interface ResolveOptions {
  readonly onProgress?: (progress: ImportProgress) => void;
  /** Another process is importing the same image, and is waited for. */
  readonly onWait?: () => void;
  /** An image has come into the store that it did not have. */
  readonly onImported?: (record: ImageRecord) => void;
  /** Gives the import up: then nothing of it stays in the store, and `E_IMAGE_WORK` is thrown. */
  readonly signal?: AbortSignal;
  /** The store gets a copy of the user's archive, which may then change: for `image import`. */
  readonly copy?: boolean;
}

/** The name that a source is remembered under. Where the tools are found depends on PATH. */
function nameOf(source: ImageSource): string {
  if (source.kind === 'host_tools')
    return JSON.stringify(['host_tools', toolPath(), ...new Set(source.tools.toSorted())]);
  if (source.kind === 'tar' && source.wanted !== undefined) return JSON.stringify([source.path, source.wanted]);
  return source.kind === 'reference' ? source.name : source.path;
}

const toolPath = (): string => process.env['PATH'] ?? '';

/** The digest that is known without reading the archive; undefined also when it is not the one that is pinned. */
function knownDigest(source: ImageSource, store: string): string | undefined {
  if (source.kind === 'reference') return findDigest(store, source.name);
  const digest = digestOf(store, nameOf(source));
  const pin = source.kind === 'tar' ? source.sha256 : undefined;
  // An image in layers has another digest than its archive, so what was pinned is remembered beside it.
  return pin === undefined || pin === digest || pin === recall(store, nameOf(source))?.pinned ? digest : undefined;
}

/**
 * The image, if the store has it and its source has not changed since. Reads two small files and looks at the source's
 * times: well below a millisecond.
 */
export function findImage(
  source: ImageSource,
  ownership: Ownership | undefined,
  host: HostFacts,
): ImageFacts | undefined {
  if (source.kind === 'folder') return isStore(host.dirs.store) ? folderImage(source.path, ownership) : undefined;
  const digest = knownDigest(source, host.dirs.store);
  const limits = source.kind === 'tar' || source.kind === 'reference' ? limitsOf(source) : undefined;
  return digest === undefined ? undefined : readFacts(digest, ownership, host, limits);
}

/** The largest /etc/passwd that is read, bytes. */
const MAX_TEXT = 1 << 20;

/** A folder that is a root file system: used as it is, under the container's own layer. */
function folderImage(path: string, ownership: Ownership | undefined): ImageFacts {
  const text = (file: string): string => {
    try {
      return readInRoot(path, file, MAX_TEXT)?.toString('utf8') ?? '';
    } catch (error) {
      if (error instanceof Error && 'syscall' in error) return '';
      throw error;
    }
  };
  const layers: readonly Layer[] = [{ kind: 'tree', path, named: true }];
  const shell = SHELLS.find((candidate) => statInRoot(path, candidate) !== undefined) ?? '';
  return {
    ...UNKNOWN_IMAGE,
    layers,
    ownership: treeOwnership(ownership),
    passwd: text('etc/passwd'),
    group: text('etc/group'),
    shell,
  };
}

/**
 * The image, imported when the store does not have it. Several callers at once, in this or in other processes, import
 * it once.
 *
 * Throws BoxctlError: `E_IMAGE_NOT_FOUND`, `E_IMAGE_UNREADABLE`, `E_IMAGE_BAD_ARCHIVE`, `E_IMAGE_TOO_LARGE`,
 * `E_IMAGE_DIGEST` (not the pinned file), `E_IMAGE_CHANGED` (written to meanwhile), `E_IMAGE_AMBIGUOUS` (one of several),
 * `E_IMAGE_STORE`, `E_IMAGE_WORK`, and for host tools `E_TOOL_NOT_FOUND` and `E_TOOL_UNREADABLE`.
 */
export async function ensureImage(
  source: ImageSource,
  ownership: Ownership | undefined,
  host: HostFacts,
  options: ResolveOptions = {},
): Promise<ImageFacts> {
  const { store } = host.dirs;
  const found = findImage(source, ownership, host);
  if (found !== undefined && suffices(found, options)) return found;
  prepareStore(store);
  try {
    return await importOnce(source, ownership, host, options);
  } catch (cause) {
    await removeLeftoversQuietly(host);
    // For example, the disk is full, and one of the small files beside the image could not be written.
    if (cause instanceof BoxctlError || !(cause instanceof Error) || !('syscall' in cause)) throw cause;
    throw new BoxctlError('E_IMAGE_STORE', `The image store ${store} cannot be used: ${reasonOf(cause)}`, { cause });
  }
}

function suffices(image: ImageFacts, { copy }: ResolveOptions): boolean {
  return copy !== true || (!isInPlace(image) && !isUnread(image.digest));
}

async function importOnce(
  source: ImageSource,
  ownership: Ownership | undefined,
  host: HostFacts,
  options: ResolveOptions,
): Promise<ImageFacts> {
  const { store } = host.dirs;
  const lock = join(store, 'locks', shortHash(`${ownershipKey(ownership)} ${nameOf(source)}`));
  const work = async (): Promise<ImageFacts> => {
    // Someone else may have imported it while this waited.
    const present = findImage(source, ownership, host);
    if (present !== undefined && suffices(present, options)) return present;
    switch (source.kind) {
      case 'tar':
        return ensureArchive(source, ownership, host, options);
      case 'host_tools':
        return ensureTools(source, ownership, host, options);
      case 'reference':
        return ensureStored(source.name, ownership, host, options);
      case 'folder':
        return folderImage(source.path, ownership);
    }
  };
  return withLock(lock, work, options.onWait);
}

export type TarSource = ImageSource & { readonly kind: 'tar' };

function limitsOf({ maxSize, maxEntries }: Pick<TarSource, 'maxSize' | 'maxEntries'>) {
  return {
    maxBytes: maxSize ?? DEFAULT_LIMITS.maxBytes,
    maxEntries: maxEntries ?? DEFAULT_LIMITS.maxEntries,
  };
}

/** What an import is told. */
export function importOptions(
  source: Partial<Omit<TarSource, 'kind' | 'path'>>,
  ownership: Ownership | undefined,
  { onProgress, onImported, signal, copy }: ResolveOptions,
): ImportOptions {
  const tree = treeOwnership(ownership);
  const limits = { ...limitsOf(source), owners: tree === undefined ? ownership : undefined };
  const { sha256: pin, wanted } = source;
  return { ownership: tree, limits, pin, wanted, inPlace: copy !== true, onProgress, onImported, signal };
}

async function ensureArchive(
  source: TarSource,
  ownership: Ownership | undefined,
  host: HostFacts,
  options: ResolveOptions,
): Promise<ImageFacts> {
  const { path } = source;
  const { store } = host.dirs;
  const wants = importOptions(source, ownership, options);
  // A layout's files are named by what they hold, so that to read it again costs little.
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
    return (await importLayout(path, host, wants)).image;
  }
  const name = nameOf(source);
  const before = recall(store, name)?.digest;
  const { image, identity } = await importArchive(path, host, wants);
  const pinned = source.sha256 === undefined ? {} : { pinned: source.sha256 };
  remember(store, name, { digest: image.digest, files: { [path]: identity }, links: {}, ...pinned });
  // The old name was for the archive as it was before.
  if (before !== undefined && isUnread(before) && before !== image.digest) await removeImageQuietly(before, host);
  return image;
}

async function ensureTools(
  source: ImageSource & { readonly kind: 'host_tools' },
  ownership: Ownership | undefined,
  host: HostFacts,
  options: ResolveOptions,
): Promise<ImageFacts> {
  const collection = collectTools(source.tools, toolPath());
  const workspace = await openWorkspace(treeOwnership(ownership), host);
  try {
    const path = join(realPath(workspace.folder), 'tools.tar');
    await packCollection(collection, createWriteStream(path, { mode: 0o600 }));
    // The archive goes, so the store must have what is in it.
    const from = { inPlace: false, source: source.tools.join(' ') };
    const { image } = await importArchive(path, host, { ...importOptions({}, ownership, options), ...from });
    remember(host.dirs.store, nameOf(source), { digest: image.digest, ...collection.seen });
    return image;
  } finally {
    await workspace.close();
  }
}

/** An image that the store has under other maps is imported anew from where it came from. */
async function ensureStored(
  name: string,
  ownership: Ownership | undefined,
  host: HostFacts,
  options: ResolveOptions,
): Promise<ImageFacts> {
  const { store } = host.dirs;
  const digest = findDigest(store, name);
  const source =
    digest === undefined ? undefined : allRecords(store).find(({ record }) => record.digest === digest)?.record.source;
  if (digest === undefined || source === undefined) throw noSuchImage(store, name);
  // What came through a pipe, or was packed, cannot be had again.
  if (existsSync(source)) {
    const image = await ensureArchive({ kind: 'tar', path: realPath(source) }, ownership, host, options);
    if (image.digest === digest) return image;
  }
  throw new BoxctlError(
    'E_IMAGE_CHANGED',
    `The image ${name} is not in the store under these ids, and ${source} has changed or is gone`,
    {
      hint: `boxctl image import FILE ${name}`,
    },
  );
}

/** In place of a digest that only reading would tell. */
const UNKNOWN_DIGEST = '0'.repeat(64);

/**
 * What `ensureImage` would return, without importing: what is in the image is then not known, so `passwd`, `group` and
 * `shell` are empty, and it counts as a single layer. Changes nothing. Throws `E_IMAGE_NOT_FOUND`, `E_IMAGE_UNREADABLE`.
 */
export function previewImage(source: ImageSource, ownership: Ownership | undefined, host: HostFacts): ImageFacts {
  const found = findImage(source, ownership, host);
  if (found !== undefined) return found;
  if (source.kind === 'folder') return folderImage(source.path, ownership);
  if (source.kind === 'reference') throw noSuchImage(host.dirs.store, source.name);
  const { digest, layer } = previewLayer(source, host.erofs.usable && treeOwnership(ownership) === undefined);
  return preview(digest, [layerOf(host.dirs.store, layer, ownership)], ownership, host);
}

/** The same for an image that must not even be opened. */
export function unseenImage(source: ImageSource, ownership: Ownership | undefined, host: HostFacts): ImageFacts {
  const { store } = host.dirs;
  const form = host.erofs.usable && treeOwnership(ownership) === undefined ? 'erofs' : 'tree';
  const layer: Layer =
    source.kind === 'folder'
      ? { kind: 'tree', path: source.path, named: true }
      : layerOf(store, { digest: UNKNOWN_DIGEST, form }, ownership);
  return preview(UNKNOWN_DIGEST, [layer], ownership, host);
}

function preview(
  digest: string,
  layers: readonly Layer[],
  ownership: Ownership | undefined,
  host: HostFacts,
): ImageFacts {
  return {
    digest,
    record: recordPath(host.dirs.store, digest, ownership),
    layers,
    ownership: treeOwnership(ownership),
    passwd: '',
    group: '',
    shell: '',
    defaults: {},
  };
}

function previewLayer(source: ImageSource, mounts: boolean): { digest: string; layer: RecordedLayer } {
  if (source.kind !== 'tar' || statSync(source.path, { throwIfNoEntry: false })?.isDirectory() === true) {
    return { digest: UNKNOWN_DIGEST, layer: { digest: UNKNOWN_DIGEST, form: mounts ? 'erofs' : 'tree' } };
  }
  const archive = openArchive(source.path);
  try {
    const inPlace = mounts && !isCompressed(archive);
    const unread = inPlace ? seenDigest(identityOf(archive.stat)) : UNKNOWN_DIGEST;
    const digest = source.sha256 ?? unread;
    const layer: RecordedLayer = inPlace ? layerInPlace(archive, digest) : { digest, form: mounts ? 'erofs' : 'tree' };
    return { digest, layer };
  } finally {
    closeSync(archive.fd);
  }
}

/** `E_IMAGE_NOT_FOUND`, with the name that was probably meant, and else with what can be done. */
export function noSuchImage(
  store: string,
  name: string,
  hint = `import it: boxctl image import FILE ${name}`,
): BoxctlError {
  const meant = similarName(store, fullName(name));
  return new BoxctlError('E_IMAGE_NOT_FOUND', `the store has no image "${name}"`, {
    hint: meant === undefined ? hint : `did you mean \`${meant}\`? Otherwise, ${hint}`,
  });
}

/** Another tag of the same image, or the same of one with nearly the same name. */
function similarName(store: string, wanted: string): string | undefined {
  const base = (full: string): string => full.slice(0, full.lastIndexOf(':'));
  const names = allNames(store).map((entry) => entry.name);
  const bases = names.map(base);
  const similar = bases.includes(base(wanted)) ? base(wanted) : didYouMean(base(wanted), bases);
  const sameTag = `${similar ?? ''}${wanted.slice(wanted.lastIndexOf(':'))}`;
  return names.includes(sameTag) ? sameTag : names.find((each) => base(each) === similar);
}
