/** A layer of the store: where it lies, and what is written down of it (`layer.json`). */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRecord, isTextList } from '../text/json.ts';
import type { Contents } from '../worker/work.ts';
import type { Job } from './import-job.ts';
import { folderOf, type RecordedLayer } from './records.ts';
import { ownershipKey } from './store.ts';

export type Counts = Pick<Contents, 'entries' | 'bytes' | 'squashed' | 'skipped'>;
export const COUNTS = ['entries', 'bytes', 'squashed', 'skipped'] as const;

/** What is written down of a layer in the store. */
export interface Made extends Counts {
  readonly implied: readonly string[];
  readonly opaqueRoot: boolean;
  /** sha256 of the member of the archive, as it was compressed. If another archive has the same bytes, they need not be decompressed to be recognised. */
  readonly packed: string;
  /** Where the layer's own tar begins in the file `data`, bytes: behind what it was completed with from the layers below. */
  readonly ownAt?: number;
}

/** How layers of this import are kept. */
export const formOf = (job: Job): RecordedLayer['form'] => (job.mounts ? 'erofs' : 'tree');
/** The layer's folder in the store. */
export function placeOf(layer: RecordedLayer, job: Job): string {
  return folderOf(job.host.dirs.store, layer, ownershipKey(job.options.ownership));
}

/** Undefined: the store does not have the layer. */
export function readMade(folder: string): Made | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(join(folder, 'layer.json'), 'utf8'));
    if (!isRecord(value) || !isTextList(value['implied'])) return undefined;
    const count = (key: (typeof COUNTS)[number]): number => Number(value[key] ?? 0);
    return {
      entries: count('entries'),
      bytes: count('bytes'),
      squashed: count('squashed'),
      skipped: count('skipped'),
      implied: value['implied'],
      opaqueRoot: value['opaqueRoot'] === true,
      packed: String(value['packed'] ?? ''),
      ...(typeof value['ownAt'] === 'number' ? { ownAt: value['ownAt'] } : {}),
    };
  } catch {
    return undefined;
  }
}

/** Moves a layer from the workspace to its place in the store. */
export function publishLayer(part: string, layer: RecordedLayer, made: Made, job: Job): void {
  const { workspace } = job;
  const { entries, bytes, squashed, skipped, implied, opaqueRoot, packed, ownAt } = made;
  const counts = { entries, bytes, squashed, skipped };
  const kept: Made = { ...counts, implied, opaqueRoot, packed, ...(ownAt === undefined ? {} : { ownAt }) };
  writeFileSync(join(workspace.folder, part, 'layer.json'), JSON.stringify(kept), { mode: 0o600 });
  workspace.movePart(part, placeOf(layer, job));
}
