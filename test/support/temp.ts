/** Folders that a test may fill and that are gone after it. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

const made: string[] = [];

/** A new folder, removed when the running test ends. With `open`, other users may walk through it. */
export function tempFolder(options: { readonly open?: boolean } = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'boxctl-test-'));
  made.push(folder);
  if (options.open === true) chmodSync(folder, 0o755);
  onTestFinished(() => removeFolder(folder));
  return folder;
}

/** What an ordinary user's containers have left in it can belong to his subordinate ids. */
function removeFolder(folder: string): void {
  try {
    // A launcher that ends may still remove or write something there.
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  } catch (error) {
    if (process.geteuid?.() === 0) throw error;
    execFileSync('unshare', ['--user', '--map-root-user', '--map-auto', '--', 'rm', '-rf', folder]);
  }
}

/** Whether the path is, or was, one of this test file's folders or beneath one. */
export function isInTempFolder(path: string): boolean {
  return made.some((folder) => path === folder || path === `${folder} (deleted)` || path.startsWith(`${folder}/`));
}
