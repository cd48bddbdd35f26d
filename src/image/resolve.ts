/** From what a specification names as its image to a tree in the store. */
import { closeSync, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import type { ImageSource } from '../spec/spec.ts';
import { hashArchive, openArchive } from './archive.ts';
import type { ImageHooks } from './hooks.ts';
import { digestOf, remember } from './identity.ts';
import type { ImageFacts, Ownership } from './image.ts';
import { importArchive, wrongDigest } from './import.ts';
import { withLock } from './locks.ts';
import { collectTools } from './collect.ts';
import { packCollection } from './pack.ts';
import { ownershipKey, prepareStore, shortHash, treeFolder } from './store.ts';
import { readFacts } from './tree.ts';
import { openWorkspace } from './workspace.ts';

/** The name that a source is remembered under. Where the tools are found depends on PATH. */
function nameOf(source: ImageSource): string {
  if (source.kind === 'tar') return source.path;
  return JSON.stringify(['host_tools', toolPath(), ...new Set(source.tools.toSorted())]);
}

const toolPath = (): string => process.env['PATH'] ?? '';

/** The digest that is known without reading the archive; undefined also when it is not the one that is pinned. */
function knownDigest(source: ImageSource, store: string): string | undefined {
  const digest = digestOf(store, nameOf(source));
  const pin = source.kind === 'tar' ? source.sha256 : undefined;
  return pin === undefined || pin === digest ? digest : undefined;
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
  const digest = knownDigest(source, host.dirs.store);
  return digest === undefined ? undefined : readFacts(host.dirs.store, digest, ownership);
}

/**
 * The image, imported when the store does not have it. Several callers at once, in this or in other processes, import
 * it once.
 *
 * Throws BoxctlError: `E_IMAGE_NOT_FOUND`, `E_IMAGE_UNREADABLE`, `E_IMAGE_COMPRESSION`, `E_IMAGE_BAD_ARCHIVE`,
 * `E_IMAGE_DIGEST` (not the pinned file), `E_IMAGE_CHANGED` (written to meanwhile), `E_IMAGE_STORE`, `E_IMAGE_UNPACK`,
 * and for host tools `E_TOOL_NOT_FOUND` and `E_TOOL_UNREADABLE`.
 */
export async function ensureImage(
  source: ImageSource,
  ownership: Ownership | undefined,
  host: HostFacts,
  hooks: ImageHooks,
): Promise<ImageFacts> {
  const found = findImage(source, ownership, host);
  if (found !== undefined) return found;
  const { store } = host.dirs;
  prepareStore(store);
  try {
    return await importOnce(source, ownership, host, hooks);
  } catch (cause) {
    // A full disk, say, met by one of the small files around the tree.
    if (cause instanceof BoxctlError || !(cause instanceof Error) || !('syscall' in cause)) throw cause;
    throw new BoxctlError('E_IMAGE_STORE', `The image store ${store} cannot be used: ${cause.message}`, { cause });
  }
}

async function importOnce(
  source: ImageSource,
  ownership: Ownership | undefined,
  host: HostFacts,
  hooks: ImageHooks,
): Promise<ImageFacts> {
  const { store } = host.dirs;
  const lock = join(store, 'locks', shortHash(`${ownershipKey(ownership)} ${nameOf(source)}`));
  return withLock(lock, hooks, async () => {
    // Someone else may have imported it while this waited.
    const present = findImage(source, ownership, host);
    if (present !== undefined) return present;
    return source.kind === 'tar'
      ? ensureArchive(source.path, source.sha256, ownership, store, hooks)
      : ensureTools(source, ownership, store, hooks);
  });
}

async function ensureArchive(
  path: string,
  pin: string | undefined,
  ownership: Ownership | undefined,
  store: string,
  hooks: ImageHooks,
): Promise<ImageFacts> {
  const { image, identity } = await importArchive({ store, path, pin, ownership }, hooks);
  remember(store, path, { digest: image.digest, files: { [path]: identity }, links: {} });
  return image;
}

async function ensureTools(
  source: ImageSource & { readonly kind: 'host_tools' },
  ownership: Ownership | undefined,
  store: string,
  hooks: ImageHooks,
): Promise<ImageFacts> {
  const collection = collectTools(source.tools, toolPath());
  const workspace = await openWorkspace(store, ownership, hooks);
  try {
    const path = join(workspace.folder, 'tools.tar');
    await packCollection(collection, createWriteStream(path, { mode: 0o600 }));
    const { image } = await importArchive({ store, path, pin: undefined, ownership }, hooks);
    remember(store, nameOf(source), { digest: image.digest, ...collection.seen });
    return image;
  } finally {
    await workspace.close();
  }
}

/** In place of a digest that only packing the tools would tell. */
const UNKNOWN_DIGEST = '0'.repeat(64);

/**
 * What `ensureImage` would return, without importing: the tree need not exist yet, and the users of the image are then
 * not known (empty `passwd` and `group`). Changes nothing. Throws `E_IMAGE_NOT_FOUND`, `E_IMAGE_UNREADABLE`,
 * `E_IMAGE_DIGEST`.
 */
export function previewImage(source: ImageSource, ownership: Ownership | undefined, host: HostFacts): ImageFacts {
  const { store } = host.dirs;
  const digest = knownDigest(source, store) ?? (source.kind === 'tar' ? readDigest(source) : UNKNOWN_DIGEST);
  const present = readFacts(store, digest, ownership);
  if (present !== undefined) return present;
  const rootfs = join(treeFolder(store, digest, ownership), 'rootfs');
  return { digest, rootfs, ownership, passwd: '', group: '', defaults: {} };
}

function readDigest(source: ImageSource & { readonly kind: 'tar' }): string {
  const archive = openArchive(source.path);
  try {
    const digest = hashArchive(archive);
    if (source.sha256 !== undefined && source.sha256 !== digest) throw wrongDigest(source.path, source.sha256, digest);
    return digest;
  } finally {
    closeSync(archive.fd);
  }
}
