/** A folder of the host that no container may change, and a way to see whether one did. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempFolder } from '../../support/temp.ts';

export interface Canary {
  readonly folder: string;
  /** Everything in it: names, kinds, modes, owners, times, contents. */
  state(): string;
}

export function makeCanary(): Canary {
  const folder = join(tempFolder({ open: true }), 'canary');
  mkdirSync(join(folder, 'etc'), { recursive: true });
  writeFileSync(join(folder, 'passwd'), 'canary:x:0:0::/:/bin/canary\n');
  writeFileSync(join(folder, 'etc/secret'), 'of the host\n');
  const script = 'find . -printf "%p %y %m %U %G %T@ %C@ %s %l\\n" | sort; cat passwd etc/secret';
  return { folder, state: () => execFileSync('sh', ['-c', script], { cwd: folder, encoding: 'utf8' }) };
}
