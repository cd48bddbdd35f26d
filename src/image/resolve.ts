/** From what a specification names as its image to what the planner needs of it. */
import { closeSync, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { environment } from '../inputs/environment.ts';
import { existsSync, statSync } from '../inputs/outside.ts';
import { noteGap } from '../inputs/record.ts';
import { readInRoot, statInRoot } from '../native.ts';
import { realPath } from '../files/read.ts';
import type { RegistryAccess } from '../registry/access.ts';
import type { ImageSource } from '../spec/spec.ts';
import { isDigestStart } from '../text/image-name.ts';
import { isImageName } from '../spec/image-name.ts';
import { didYouMean } from '../spec/suggest.ts';
import { isCompressed, openArchive } from './archive.ts';
import { collectTools } from './collect.ts';
import { digestOf, identityOf, isUnread, recall, remember } from './identity.ts';
import { treeOwnership, UNKNOWN_IMAGE, type ImageFacts, type Layer, type Ownership } from '../model/image.ts';
import { importArchive, importLayout, isCode } from './import.ts';
import { isInPlace, layerInPlace, seenDigest } from './import-source.ts';
import type { ImportOptions, ImportProgress } from './import-job.ts';
import { withLock } from '../files/locks.ts';
import { removeImageQuietly, removeLeftoversQuietly } from './maintain.ts';
import { allNames, findDigest, findReference, fullName, type Named } from './names.ts';
import { fitOf, parsePlatform } from './platform.ts';
import { pullImage, PullInterrupted, type PulledImage, type PullOptions, type PullSource } from './pull.ts';
import { packCollection } from './pack.ts';
import { isPassing } from './passing.ts';
import { allRecords, layerOf, readFacts, recordPath, type ImageRecord, type RecordedLayer } from './records.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { isStore, ownershipKey, prepareStore, shortHash, unusableStore } from './store.ts';
import { SHELLS } from './shells.ts';
import { isAccepted, isAcceptedByDigest, unverified } from './signed.ts';
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
  /** A registry is asked once more after so many milliseconds. */
  readonly onRetry?: (why: string, delay: number) => void;
  /** What registries are asked through; by default what the person's configuration says. */
  readonly registries?: RegistryAccess;
  /** Something is other than asked for, and the image is used nevertheless. */
  readonly onWarning?: (message: string) => void;
}

/** The name that a source is remembered under. Where the tools are found depends on PATH. */
function nameOf(source: ImageSource): string {
  if (source.kind === 'host_tools')
    return JSON.stringify(['host_tools', toolPath(), ...new Set(source.tools.toSorted())]);
  if (source.kind === 'tar' && source.wanted !== undefined) return JSON.stringify([source.path, source.wanted]);
  return source.kind === 'reference' ? source.name : source.path;
}

const toolPath = (): string => environment['PATH'] ?? '';

/** The digest that is known without reading the archive; undefined also when it is not the one that is pinned. */
function knownDigest(source: ImageSource, store: string): string | undefined {
  if (source.kind === 'reference') return referenceDigest(source, store);
  const digest = digestOf(store, nameOf(source));
  const pin = source.kind === 'tar' ? source.sha256 : undefined;
  // An image in layers has another digest than its archive, so what was pinned is remembered beside it.
  return pin === undefined || pin === digest || pin === recall(store, nameOf(source))?.pinned ? digest : undefined;
}

/** What the store has for a reference. */
interface InStore {
  readonly digest: string;
  /** Undefined: the reference is the first digits of the digest. */
  readonly named: Named | undefined;
  /** It is signed as it must be. */
  readonly isAccepted: boolean;
}

/** Undefined: there is none, or none for the platform. Throws as `demandsOn` of signed.ts does. */
function lookUpReference({ name, platform, verify }: PullSource, store: string): InStore | undefined {
  // A name such as `cafe` must not mean the image whose digest begins so.
  if (isDigestStart(name)) {
    const digest = findDigest(store, name);
    return digest === undefined
      ? undefined
      : { digest, named: undefined, isAccepted: isAcceptedByDigest(store, digest, verify) };
  }
  const named = findReference(store, name, platform, verify !== undefined);
  if (named === undefined) return undefined;
  const { digest, pulled } = named;
  if (platform !== undefined && pulled?.platform !== platform && !isFor(platform, digest, store)) return undefined;
  return { digest, named, isAccepted: isAccepted(named, verify) };
}

function referenceDigest(source: PullSource, store: string): string | undefined {
  const found = lookUpReference(source, store);
  return found?.isAccepted === true ? found.digest : undefined;
}

/** Whether an image that was not pulled for the platform is made for it. A root file system does not say what it is made for. */
function isFor(platform: string, digest: string, store: string): boolean {
  const record = allRecords(store).find((each) => each.record.digest === digest)?.record;
  const own = record?.platform;
  return own === undefined || fitOf(parsePlatform(own), parsePlatform(platform)) !== undefined;
}

/**
 * Whether a registry has to be asked before the image is used, although the store has it. Nothing is asked for a local name,
 * nor for a digest, which cannot lead to anything else.
 */
export function isDue(source: ImageSource, host: HostFacts): boolean {
  if (source.kind !== 'reference') return false;
  const { name, platform, pullPolicy = 'missing' } = source;
  if (pullPolicy === 'missing' || pullPolicy === 'never') return false;
  const named = findReference(host.dirs.store, name, platform);
  if (named?.pulled === undefined || named.name.includes('@')) return false;
  noteGap('whether a registry is asked again depends on the time');
  return pullPolicy === 'always' || Date.now() - named.pulled.checked >= pullPolicy.every;
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
 * `E_IMAGE_STORE`, `E_IMAGE_WORK`; for host tools `E_TOOL_NOT_FOUND` and `E_TOOL_UNREADABLE`; for an image that is pulled
 * `E_REGISTRY_…`, `E_PULL_FORMAT` and `E_IMAGE_PLATFORM`.
 */
export async function ensureImage(
  source: ImageSource,
  ownership: Ownership | undefined,
  host: HostFacts,
  options: ResolveOptions = {},
): Promise<ImageFacts> {
  const { store } = host.dirs;
  const found = findImage(source, ownership, host);
  if (found !== undefined && suffices(found, options) && !isDue(source, host)) return found;
  noteGap('the image was imported into the store');
  prepareStore(store);
  return inStore(host, () => importOnce(source, ownership, host, options), options.signal);
}

/** After a failure, nothing of the work stays in the store, but layers that a pull which was interrupted has completed. */
async function inStore<T>(host: HostFacts, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const isInterrupted = cause instanceof PullInterrupted || isPassing(cause);
    if (!isInterrupted) await removeLeftoversQuietly(host);
    if (signal?.aborted === true && !(cause instanceof BoxctlError && cause.code === 'E_IMAGE_WORK')) {
      throw new BoxctlError('E_IMAGE_WORK', 'The work on the image was given up', { cause });
    }
    // For example, the disk is full, and one of the small files beside the image could not be written.
    if (cause instanceof BoxctlError || !(cause instanceof Error) || !('syscall' in cause)) throw cause;
    throw unusableStore(host.dirs.store, cause);
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
    if (present !== undefined && suffices(present, options) && !isDue(source, host)) return present;
    switch (source.kind) {
      case 'tar':
        return ensureArchive(source, ownership, host, options);
      case 'host_tools':
        return ensureTools(source, ownership, host, options);
      case 'reference':
        return ensureReference(source, ownership, host, options);
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
  { onProgress, onImported, onWait, signal, copy }: ResolveOptions,
): ImportOptions {
  const tree = treeOwnership(ownership);
  const limits = { ...limitsOf(source), owners: tree === undefined ? ownership : undefined };
  const { sha256: pin, wanted } = source;
  return { ownership: tree, limits, pin, wanted, inPlace: copy !== true, onProgress, onImported, onWait, signal };
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

/** The image of a reference, pulled where the store does not have it, or where its policy says so. */
async function ensureReference(
  source: PullSource,
  ownership: Ownership | undefined,
  host: HostFacts,
  options: ResolveOptions,
): Promise<ImageFacts> {
  const { store } = host.dirs;
  const { name, pullPolicy } = source;
  const found = lookUpReference(source, store);
  if (found?.isAccepted === true && found.named?.pulled === undefined) {
    return ensureLocal(source, found.digest, ownership, host, options);
  }
  if (isDigestStart(name) || pullPolicy === 'never') {
    throw found === undefined ? notInStore(store, source) : unverified(name);
  }
  // The image is there, and is wanted under other maps, or its signature is: the same one, whatever its tag points to by now.
  const exactly = isDue(source, host) ? undefined : found?.named?.pulled;
  try {
    const { image } = await pullImage(source, pullOptions(source, ownership, host, options, exactly));
    return image;
  } catch (error) {
    const present = findImage(source, ownership, host);
    if (present === undefined || !isPeriodic(source) || !isCode(error, 'E_REGISTRY_UNREACHABLE')) {
      throw found === undefined ? withSimilarName(store, name, error) : error;
    }
    options.onWarning?.(`${name} is used as the store has it: ${error instanceof Error ? error.message : ''}`);
    return present;
  }
}

const isPeriodic = ({ pullPolicy }: PullSource): boolean => typeof pullPolicy === 'object';

function pullOptions(
  source: PullSource,
  ownership: Ownership | undefined,
  host: HostFacts,
  options: ResolveOptions,
  exactly: PullOptions['exactly'],
): PullOptions {
  const { maxSize, maxEntries } = source;
  const limits = { ...(maxSize === undefined ? {} : { maxSize }), ...(maxEntries === undefined ? {} : { maxEntries }) };
  return {
    wants: importOptions(limits, ownership, options),
    ownership,
    host,
    ...(exactly === undefined ? {} : { exactly }),
    ...(options.onRetry === undefined ? {} : { onRetry: options.onRetry }),
    ...(options.onWarning === undefined ? {} : { onWarning: options.onWarning }),
    ...(options.registries === undefined ? {} : { registries: options.registries }),
  };
}

/** Pulls the image of a reference whatever its policy, or sees that it is what the store has. */
export async function pullReference(
  source: PullSource,
  ownership: Ownership | undefined,
  host: HostFacts,
  options: ResolveOptions = {},
): Promise<PulledImage> {
  const { store } = host.dirs;
  prepareStore(store);
  const lock = join(store, 'locks', shortHash(`${ownershipKey(ownership)} ${nameOf(source)}`));
  const work = (): Promise<PulledImage> => pullImage(source, pullOptions(source, ownership, host, options, undefined));
  return inStore(host, () => withLock(lock, work, options.onWait), options.signal);
}

/** An image that the store has under other maps is imported anew from where it came from. */
async function ensureLocal(
  { name, pullPolicy }: PullSource,
  digest: string,
  ownership: Ownership | undefined,
  host: HostFacts,
  options: ResolveOptions,
): Promise<ImageFacts> {
  const { store } = host.dirs;
  const record = allRecords(store).find((each) => each.record.digest === digest)?.record;
  if (record === undefined) throw noSuchImage(store, name);
  const { source, manifest } = record;
  // What came through a pipe, or was packed, cannot be had again.
  if (source.startsWith('/') && existsSync(source)) {
    const image = await ensureArchive({ kind: 'tar', path: realPath(source) }, ownership, host, options);
    if (image.digest === digest) return image;
  }
  if (!source.startsWith('/') && manifest !== undefined && isImageName(source) && pullPolicy !== 'never') {
    // It was pulled, and was given a name of its own.
    const again: PullSource = { kind: 'reference', name: `${source.replace(/@.*$/u, '')}@sha256:${manifest}` };
    return (await pullImage(again, pullOptions(again, ownership, host, options, undefined))).image;
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
  if (source.kind === 'reference' && (isDigestStart(source.name) || source.pullPolicy === 'never')) {
    throw notInStore(host.dirs.store, source);
  }
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

/** The image of a reference that is not pulled. */
function notInStore(store: string, { name, pullPolicy }: PullSource): BoxctlError {
  if (pullPolicy !== 'never') return noSuchImage(store, name, 'see what there is: boxctl image ls');
  return noSuchImage(
    store,
    name,
    `\`pull_policy: never\` keeps it from being pulled; boxctl image pull ${name} does it once`,
  );
}

/** What a registry has said of a name, with the one of the store that was probably meant. */
function withSimilarName(store: string, name: string, error: unknown): unknown {
  const meant = similarName(store, fullName(name));
  if (!(error instanceof BoxctlError) || error.code.split('_')[1] !== 'REGISTRY' || meant === undefined) return error;
  const also = `did you mean \`${meant}\`, which the store has?`;
  const hint = error.hint === undefined ? also : `${error.hint}; ${also}`;
  return new BoxctlError(error.code, error.message, { hint, cause: error });
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
