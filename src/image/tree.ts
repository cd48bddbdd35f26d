/** What is known of an unpacked tree without opening it: written beside it once, when it was imported. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageHooks } from './hooks.ts';
import type { ImageFacts, Ownership } from './image.ts';
import { isRecord } from './json.ts';
import { treeFolder } from './store.ts';

const VERSION = 1;
const MAX_TEXT = 1 << 20;

/** Reads what the planner needs of a new tree, and writes it down. `folder` holds `rootfs`. */
export function writeFacts(folder: string, hooks: ImageHooks): void {
  const rootfs = join(folder, 'rootfs');
  const [passwd, group] = ['etc/passwd', 'etc/group'].map((path) => hooks.readText(rootfs, path, MAX_TEXT));
  writeFileSync(join(folder, 'facts.json'), JSON.stringify({ version: VERSION, passwd, group }), { mode: 0o600 });
}

/** The image of a digest, if the store has it complete. */
export function readFacts(store: string, digest: string, ownership: Ownership | undefined): ImageFacts | undefined {
  const folder = treeFolder(store, digest, ownership);
  try {
    const value: unknown = JSON.parse(readFileSync(join(folder, 'facts.json'), 'utf8'));
    if (!isRecord(value) || value['version'] !== VERSION) return undefined;
    const { passwd, group } = value;
    if (typeof passwd !== 'string' || typeof group !== 'string') return undefined;
    return { digest, rootfs: join(folder, 'rootfs'), ownership, passwd, group, defaults: {} };
  } catch {
    return undefined;
  }
}
