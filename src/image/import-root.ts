/** An archive that is a root file system: mounted under an index of its own, or unpacked. */
import { join } from 'node:path';
import type { Layer } from '../model/image.ts';
import { noteOwner } from '../worker/owner.ts';
import { indexRootfs, isTooLargeForIndex, ownPlace, unpackRootfs } from '../worker/work.ts';
import { checkUnchanged, isCompressed, type Archive } from './archive.ts';
import { describeImage } from './describe-image.ts';
import { identityOf } from './identity.ts';
import type { Job } from './import-job.ts';
import { layeredArchive, layeredFile, type Brought } from './import-layered.ts';
import { archived, layerInPlace, nameOf, seenDigest, wrongDigest } from './import-source.ts';
import { folderOf, ownersOf, type RecordedLayer } from './records.ts';
import { ownershipKey } from './store.ts';

/** Imports the archive as an index. Undefined if an index cannot hold all that the archive has. */
export async function mountArchive(
  archive: Archive,
  known: string | undefined,
  job: Job,
): Promise<Brought | undefined> {
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
    const record = await describeImage(
      { digest, layers: [layer], recorded: [recorded], contents, source: nameOf(archive, options) },
      job,
    );
    workspace.movePart('erofs', folderOf(host.dirs.store, recorded, ''));
    return { record, names: [] };
  } finally {
    await workspace.removePart('erofs');
  }
}

/** Unpacks the archive as a root file system. With `stopsAtImage`, it stops at the first member that an image in layers would have, and tries the archive as such. */
export async function unpackArchive(
  archive: Archive,
  known: string | undefined,
  job: Job,
  stopsAtImage = true,
): Promise<Brought> {
  const { host, options, workspace } = job;
  const { ownership } = options;
  const folder = workspace.makePart('tree');
  noteOwner(folder, ownership);
  // Otherwise the digest is computed while the container runs (background-digest.ts), as for an archive that is mounted.
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
    return unpackArchive(archive, known, job, false);
  }
  checkUnchanged(archive);
  const digest = isDigested ? contents.sha256 : seenDigest(identityOf(archive.stat));
  if (known !== undefined && digest !== known) throw wrongDigest(nameOf(archive, options), known, digest);
  const recorded: RecordedLayer = { digest, form: 'tree', ...ownersOf(contents, options.limits.owners) };
  const layers: readonly Layer[] = [{ kind: 'tree', path: join(folder, 'rootfs') }];
  const record = await describeImage(
    { digest, layers, recorded: [recorded], contents, source: nameOf(archive, options) },
    job,
  );
  workspace.movePart('tree', folderOf(host.dirs.store, recorded, ownershipKey(ownership)));
  return { record, names: [] };
}
