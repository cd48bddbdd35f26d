/** The caller's home folder, for paths that begin with `~`. */
import { readText, realUser } from '../inputs/outside.ts';
import type { Invocation } from './command.ts';

export function homeOf(env: Invocation['env']): string {
  const home = env['HOME'];
  if (home?.startsWith('/') === true) return home;
  const uid = String(realUser());
  const line = readText('/etc/passwd')
    .split('\n')
    .find((entry) => entry.split(':')[2] === uid);
  return line?.split(':')[5] ?? '/';
}
