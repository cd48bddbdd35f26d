/** The caller's home folder, for paths that begin with `~`. */
import { readFileSync } from 'node:fs';
import type { Invocation } from './command.ts';

export function homeOf(env: Invocation['env']): string {
  const home = env['HOME'];
  if (home?.startsWith('/') === true) return home;
  const uid = String(process.getuid?.() ?? 0);
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.split(':')[2] === uid);
  return line?.split(':')[5] ?? '/';
}
