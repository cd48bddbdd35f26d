/**
 * The tests look at what is built, so it is built first; nothing is done where nothing has changed. A copy is put where
 * other users can run it, wherever the project itself lies.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { INSTALLED_VARIABLE, isVirtual, PROJECT } from './boxctl.ts';
import { BLOCKED, REGISTRIES_VARIABLE } from './no-registries.ts';

/** Gives what is to be done at the end. */
export default function build(): () => void {
  if (isVirtual) return blockRegistries(mkdtempSync('/var/tmp/boxctl-test-registries-'));
  for (const script of ['native/build.mjs', 'src/build.mjs']) {
    execFileSync(process.execPath, [join(PROJECT, script)], { stdio: 'inherit' });
  }
  const installed = mkdtempSync('/var/tmp/boxctl-test-installed-');
  chmodSync(installed, 0o755);
  for (const folder of ['dist', 'examples']) {
    cpSync(join(PROJECT, folder), join(installed, folder), { recursive: true, preserveTimestamps: true });
  }
  // The library is found by its name, too.
  cpSync(join(PROJECT, 'package.json'), join(installed, 'package.json'));
  const remove = blockRegistries(installed);
  execFileSync('chmod', ['-R', 'a+rX', installed]);
  // The processes that run the tests inherit it.
  process.env[INSTALLED_VARIABLE] = installed;
  return remove;
}

/** Writes the configuration into a folder, for the processes that run the tests and what they start. Gives what removes it. */
function blockRegistries(folder: string): () => void {
  chmodSync(folder, 0o755);
  writeFileSync(join(folder, 'registries.conf'), BLOCKED, { mode: 0o644 });
  process.env[REGISTRIES_VARIABLE] = join(folder, 'registries.conf');
  return () => rmSync(folder, { recursive: true, force: true });
}
