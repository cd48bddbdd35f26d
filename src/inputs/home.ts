/** The caller's home folder, for paths that begin with `~`. */
import type { Environment } from './environment.ts';
import { readText, realUser } from './outside.ts';

export function homeOf(env: Environment): string {
  const home = env['HOME'];
  if (home?.startsWith('/') === true) return home;
  const uid = String(realUser());
  const line = readText('/etc/passwd')
    .split('\n')
    .find((entry) => entry.split(':')[2] === uid);
  return line?.split(':')[5] ?? '/';
}
