/** The tests look at what is built, so it is built first; nothing is done where nothing has changed. */
import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROJECT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export default function build(): void {
  for (const script of ['native/build.mjs', 'src/build.mjs']) {
    execFileSync(process.execPath, [join(PROJECT, script)], { stdio: 'inherit' });
  }
}
