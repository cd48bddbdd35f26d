/** Folders that a layer has files in and no entry of their own for. */
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sha256 } from '../native.ts';
import { WHOLE, type Archived } from '../worker/work.ts';
import type { Job } from './import-job.ts';
import { formOf, placeOf, publishLayer, readMade, type Made } from './layer-record.ts';
import { extractFrom, indexLayer, unpackLayerInto } from './make-layer.ts';
import type { Named } from './members.ts';
import type { RecordedLayer } from './records.ts';

/**
 * A tar can have `a/b` without an entry for `a`. The folder `a` must then keep the owner and mode that the layers below give
 * it. So a layer of these folders alone is put above. The layer itself stays as it is, for other images to share. Returns no
 * layer if there are no such folders.
 */
export async function impliedFolders(
  image: Named,
  { implied }: Made,
  layer: RecordedLayer,
  below: readonly RecordedLayer[],
  job: Job,
): Promise<readonly RecordedLayer[]> {
  // The root's owner and mode are those of the container's writable layer.
  const folders = implied.filter((path) => path !== '');
  if (folders.length === 0 || below.length === 0) return [];
  const { workspace } = job;
  const part = `above-${layer.digest.slice(0, 16)}`;
  const name = `${image.name} (folders that a layer implies)`;
  const folder = workspace.makePart(part);
  const beside = workspace.makePart(`${part}-tar`);
  const fd = openSync(join(beside, 'data'), 'wx+', 0o600);
  try {
    if ((await extractFrom(below, folders.map(asFolder), fd, name, job)) === 0) return [];
    const named = ancestorsOf(folders);
    if (named.length > 0) await extractFrom([...below, layer], named.map(asFolder), fd, name, job);
    const tar = readFileSync(join(beside, 'data'));
    const digest = sha256(tar);
    const above: RecordedLayer = { digest: `${digest}.folders`, form: formOf(job) };
    if (readMade(placeOf(above, job)) !== undefined) return [above];
    if (above.form === 'erofs') writeFileSync(join(folder, 'data'), tar, { mode: 0o600 });
    const archive: Archived = { fd, name, part: WHOLE };
    const made =
      above.form === 'erofs'
        ? await indexLayer(name, part, 'complete', job)
        : await unpackLayerInto(archive, part, 'complete', job);
    publishLayer(part, above, { ...made, packed: '' }, job);
    return [above];
  } finally {
    closeSync(fd);
    await workspace.removePart(part);
    await workspace.removePart(`${part}-tar`);
  }
}

const asFolder = (path: string): string => `${path}/`;

/** The parents of the folders, without the folders themselves. */
function ancestorsOf(folders: readonly string[]): readonly string[] {
  const all = new Set(folders);
  const found = new Set<string>();
  for (const folder of folders) {
    for (let path = dirname(folder); path !== '.'; path = dirname(path)) if (!all.has(path)) found.add(path);
  }
  return [...found];
}
