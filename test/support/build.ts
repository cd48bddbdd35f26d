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
  if (isVirtual) return () => undefined;
  for (const script of ['native/build.mjs', 'src/build.mjs']) {
    execFileSync(process.execPath, [join(PROJECT, script)], { stdio: 'inherit' });
  }
  const installed = mkdtempSync('/var/tmp/boxctl-test-installed-');
  chmodSync(installed, 0o755);
  for (const folder of ['dist', 'examples']) {
    cpSync(join(PROJECT, folder), join(installed, folder), { recursive: true, preserveTimestamps: true });
  }
  writeFileSync(join(installed, 'registries.conf'), BLOCKED);
  execFileSync('chmod', ['-R', 'a+rX', installed]);
  // The processes that run the tests inherit it.
  process.env[INSTALLED_VARIABLE] = installed;
  process.env[REGISTRIES_VARIABLE] = join(installed, 'registries.conf');
  return () => rmSync(installed, { recursive: true, force: true });
}
