/** Folders that a test may fill and that are gone after it. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A new folder, removed when the running test ends. With `open`, other users may walk through it. */
export function tempFolder(options: { readonly open?: boolean } = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'boxctl-test-'));
  if (options.open === true) chmodSync(folder, 0o755);
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
