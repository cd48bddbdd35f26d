/** The harnesses of test/conformance without libFuzzer: archives of every kind, mutated, through a parser. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { archive } from '../unit/image/archive-fixture.ts';
import { sanitized } from '../unit/image/worker.ts';
import { PROJECT } from './boxctl.ts';

/** Writes archives to start from into the folder; returns their paths. */
function makeSeeds(folder: string): string[] {
  const pax = {
    path: 'long/'.repeat(30),
    mtime: '-1.5',
    uid: '4000000000',
    'SCHILY.xattr.user.name': 'value',
    'GNU.sparse.size': '100',
    'GNU.sparse.map': '0,5,50,5',
  };
  const own = join(folder, 'own.tar');
  writeFileSync(
    own,
    archive(
      { name: 'd', type: '5' },
      { name: 'l', type: 'L', data: `${'name/'.repeat(40)}\0` },
      { name: 'short', data: 'data' },
      { name: 'g', type: 'g', data: '11 mtime=1\n' },
      { name: 'x', data: '0123456789', pax },
      { name: 'h', type: '1', link: 'short' },
      { name: 'c', type: '3', major: 1, minor: 3 },
      { name: 'd/.wh.short' },
      { name: 'd/.wh..wh..opq' },
      { name: 'd/s', type: '2', link: 't'.repeat(99) },
    ),
  );
  const tree = join(folder, 'tree');
  mkdirSync(tree);
  writeFileSync(join(tree, 'file'), 'text');
  writeFileSync(join(tree, 'sparse'), 'start');
  truncateSync(join(tree, 'sparse'), 1 << 20);
  const formats = [['--format=gnu'], ['--format=posix'], ['--format=posix', '--sparse-version=0.0']];
  return [
    own,
    ...formats.map((options) => {
      const path = join(folder, `${options.join('')}.tar`);
      execFileSync('tar', [...options, '--sparse', '-C', tree, '-cf', path, '.']);
      return path;
    }),
  ];
}

/** What the harness said, and how it ended, after some rounds with each seed. */
export function runMutants(
  harness: string,
  sources: readonly string[],
  folder: string,
  rounds: number,
  env: Readonly<Record<string, string>> = {},
  seeds: readonly string[] = makeSeeds(folder),
): { readonly status: number | null; readonly signal: string | null; readonly stderr: string } {
  const main = join(PROJECT, 'test/conformance', `${harness}.cc`);
  const program = sanitized(main, sources, ['-DSTANDALONE']);
  const options = { encoding: 'utf8', env: { ...process.env, ...env } } as const;
  const { status, signal, stderr } = spawnSync(program, [String(rounds), ...seeds], options);
  return { status, signal, stderr };
}
