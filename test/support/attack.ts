/** The program that attacks from inside, and callers of an odd kind. */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { PROJECT, type Ended } from './boxctl.ts';
import { specFolder, type Caller } from './container.ts';

const SOURCES = join(PROJECT, 'test/conformance/attacks');
const FOLDER = `/var/tmp/boxctl-test-${userInfo().uid}`;

/** Compiled once for each state of its source; static, for containers that have no libraries. */
export function attacker(name = 'privileges'): string {
  const source = join(SOURCES, `${name}.c`);
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16);
  const path = join(FOLDER, `attack-${hash}`);
  if (existsSync(path)) return path;
  mkdirSync(FOLDER, { recursive: true, mode: 0o755 });
  const work = `${path}.${process.pid}`;
  execFileSync('cc', ['-static', '-O1', '-o', work, source]);
  chmodSync(work, 0o755);
  renameSync(work, path);
  return path;
}

/** Puts it where a container finds it. */
export function putAttacker(program: string, folder: string, name: string = program): void {
  copyFileSync(attacker(program), join(folder, name));
  chmodSync(join(folder, name), 0o755);
}

export const hasCompiler = existsSync('/usr/bin/cc');

/** Somebody who shares a folder, and exchanges two names in it as fast as he can until the test is over. */
export async function startSwapping(folder: string, one: string, other: string): Promise<void> {
  const swapper = spawn(attacker('swap'), [one, other], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void swapper.kill('SIGKILL'));
  await once(swapper.stdout, 'data');
}

/** A folder with a container.yaml that runs `/w/attack WHAT`, of the program of this name. */
export function attackFolder(
  what: string,
  spec: Readonly<Record<string, unknown>>,
  caller: Caller,
  name = 'privileges',
): string {
  const folder = specFolder({ command: ['/w/attack', what], volumes: ['./:/w:ro'], ...spec }, caller);
  putAttacker(name, folder, 'attack');
  return folder;
}

/** What each attempt came to: an errno, 0 for success. */
export function attempts({ status, stdout, stderr }: Ended): Readonly<Record<string, number>> {
  if (status !== 0) throw new Error(`status ${status}: ${stderr}`);
  const lines = stdout.trim().split(/\r?\n/u);
  return Object.fromEntries(lines.map((line) => line.split(' ')).map(([name, errno]) => [name ?? '', Number(errno)]));
}
