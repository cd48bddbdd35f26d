/** The tar of a layer, out of the store: as it was imported where the store has it, and else packed anew from its files. */
import { closeSync, lstatSync, openSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { isOwn, openOwnFile } from '../files/own.ts';
import type { HostFacts } from '../host/facts.ts';
import { readOwner } from '../worker/owner.ts';
import { packTree, WHOLE, type Archived } from '../worker/work.ts';
import { checkUnchanged, openArchive, type Archive } from './archive.ts';
import { identityOf } from './identity.ts';
import { readMade, type Made } from './layer-record.ts';
import { folderOf, type RecordedLayer } from './records.ts';
import { layerFolder } from './store.ts';
import type { Workspace } from './workspace.ts';

/** An open tar; `close` also checks that it was not changed meanwhile. */
export interface OpenTar extends Pick<Archived, 'fd' | 'part'> {
  close(): void;
}

/** Where a layer lies in the store, in one of the forms in which it may be there. */
export interface StoredLayer {
  readonly folder: string;
  /** The tar as it was imported, from `ownAt` on in the file `data`; the user's own archive; or files. */
  readonly kind: 'data' | 'archive' | 'tree';
  readonly ownAt: number;
  /** It is a layer, and not a root file system. Undefined for the latter. */
  readonly made: Made | undefined;
  readonly inPlace: RecordedLayer['inPlace'];
}

const ORDER: readonly StoredLayer['kind'][] = ['data', 'archive', 'tree'];

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

const isFolder = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

function storedAt(folder: string): StoredLayer | undefined {
  if (!isFolder(folder) || !isOwn(dirname(folder), 'folder')) return undefined;
  const made = readMade(folder);
  if (isFolder(join(folder, 'rootfs'))) return { folder, kind: 'tree', ownAt: 0, made, inPlace: undefined };
  if (!isOwn(folder, 'folder') || !isOwn(join(folder, 'data'), 'file')) return undefined;
  return { folder, kind: 'data', ownAt: made?.ownAt ?? 0, made, inPlace: undefined };
}

/**
 * The layer of an image by its diff id: it is kept as the lowest layer, as one above others, or as one that was completed with
 * files of those below, in as many forms as it was imported in. The best form comes first. Of a completed one it must be known
 * where its own tar begins.
 */
export function findStored(store: string, diffId: string): StoredLayer | undefined {
  const names = list(join(store, 'layers')).filter((name) => name === diffId || name.startsWith(`${diffId}.`));
  const found = names.flatMap((name) =>
    list(join(store, 'layers', name)).flatMap((form) => {
      const stored = storedAt(layerFolder(store, name, form));
      const isUsable = !name.includes('.over-') || stored?.kind !== 'data' || stored.made?.ownAt !== undefined;
      return stored === undefined || !isUsable ? [] : [stored];
    }),
  );
  return found.toSorted((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind))[0];
}

/** A layer of a record as it is, with what it was completed with. `ownership` is the name of the record. */
export function storedAs(store: string, layer: RecordedLayer, ownership: string): StoredLayer | undefined {
  const folder = folderOf(store, layer, ownership);
  if (layer.inPlace !== undefined)
    return { folder, kind: 'archive', ownAt: 0, made: undefined, inPlace: layer.inPlace };
  const stored = storedAt(folder);
  return stored === undefined ? undefined : { ...stored, ownAt: 0 };
}

/** Opens the tar of a layer. What has to be packed is written to a file of the workspace. `name` is for messages. */
export async function openTar(
  stored: StoredLayer,
  name: string,
  workspace: Workspace,
  host: HostFacts,
  signal?: AbortSignal,
): Promise<OpenTar> {
  if (stored.inPlace !== undefined) return openInPlace(stored.inPlace);
  if (stored.kind === 'data') {
    const fd = openOwnFile(join(stored.folder, 'data'));
    if (fd === undefined) throw gone(name);
    return { fd, part: { offset: stored.ownAt, size: 0 }, close: () => closeSync(fd) };
  }
  const fd = openSync(join(workspace.folder, `tar-${process.hrtime.bigint().toString(36)}`), 'wx+', 0o600);
  try {
    const { made } = stored;
    const place = { folder: stored.folder, ownership: readOwner(stored.folder), host };
    const marks = { isLayer: made !== undefined, opaqueRoot: made?.opaqueRoot === true, implied: made?.implied ?? [] };
    await packTree(place, marks, fd, signal === undefined ? { name } : { name, signal });
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return { fd, part: WHOLE, close: () => closeSync(fd) };
}

function openInPlace({ path, identity }: NonNullable<RecordedLayer['inPlace']>): OpenTar {
  const archive: Archive = openArchive(path);
  if (identityOf(archive.stat) !== identity) {
    closeSync(archive.fd);
    throw new BoxctlError('E_IMAGE_CHANGED', `The archive ${path} is not what it was when the image was made of it`, {
      hint: 'import it again: boxctl image import FILE NAME',
    });
  }
  const close = (): void => {
    try {
      checkUnchanged(archive);
    } finally {
      closeSync(archive.fd);
    }
  };
  return { fd: archive.fd, part: WHOLE, close };
}

export const gone = (name: string): BoxctlError =>
  new BoxctlError('E_IMAGE_STORE', `The store does not have all of ${name}: it was removed, or damaged`, {
    hint: 'import or pull the image again',
  });
