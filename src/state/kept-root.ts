/**
 * What the root of a container in the background was made of, kept as `root.json` in its folder: by this its files can be
 * mounted when it does not run, and what it has written can be told from what its image has.
 */
import type { ImageFacts } from '../model/image.ts';
import type { Model } from '../model/model.ts';
import type { Mount } from '../model/mount.ts';
import { readOwnJson } from '../files/own.ts';
import { PLAN_VERSION } from '../plan/plan.ts';
import { isRecord, isTextList } from '../text/json.ts';
import { join } from 'node:path';

export interface KeptRoot {
  readonly image: ImageFacts;
  /** Volumes, and files and folders of the host. */
  readonly mounts: readonly Mount[];
  /** Where anything is mounted, and the home of a user whom the image does not know: folders and empty files that boxctl has made. */
  readonly targets: readonly string[];
}

/** Accounts and defaults of the image are no part of it. */
export function packRoot({ mounts, ownFiles, home }: Model, image: ImageFacts): string {
  const { digest, record, layers, ownership } = image;
  const facts = { digest, record, layers, ownership, passwd: '', group: '', shell: '', defaults: {} };
  const targets = [
    ...mounts.map(({ target }) => target),
    ...ownFiles.map(({ path }) => path),
    ...(home === undefined ? [] : [home.path]),
  ];
  const kept = mounts.filter(({ kind }) => kind !== 'new');
  return JSON.stringify({ version: PLAN_VERSION, image: facts, mounts: kept, targets });
}

/** Undefined: it has no root of its own, or was started by another version of boxctl. Throws E_STORE_UNSAFE. */
export function readKeptRoot({ folder }: { readonly folder: string }): KeptRoot | undefined {
  const value = readOwnJson(join(folder, 'root.json'));
  if (!isRecord(value) || value['version'] !== PLAN_VERSION || !isRecord(value['image'])) return undefined;
  if (!isTextList(value['targets']) || !Array.isArray(value['mounts'])) return undefined;
  // Written by this program in a folder of the caller's own: it is as it was packed.
  return value as unknown as KeptRoot;
}
