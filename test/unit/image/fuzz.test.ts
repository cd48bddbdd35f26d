/** The tar reader under mutation, with the sanitizers: whatever the bytes are, it answers. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { archive } from './archive-fixture.ts';
import { build, SANITIZE } from './worker.ts';

const root = join(import.meta.dirname, '../../..');
const ROUNDS = 15_000;

test('mutated archives neither crash the reader nor confuse it', { timeout: 120_000 }, () => {
  const base = mkdtempSync(join(tmpdir(), 'boxctl-fuzz-'));
  try {
    const seeds = [join(base, 'own.tar')];
    const pax = {
      path: 'long/'.repeat(30),
      mtime: '-1.5',
      uid: '4000000000',
      'SCHILY.xattr.user.name': 'value',
      'GNU.sparse.size': '100',
      'GNU.sparse.map': '0,5,50,5',
    };
    writeFileSync(
      join(base, 'own.tar'),
      archive(
        { name: 'd', type: '5' },
        { name: 'l', type: 'L', data: `${'name/'.repeat(40)}\0` },
        { name: 'short', data: 'data' },
        { name: 'g', type: 'g', data: '11 mtime=1\n' },
        { name: 'x', data: '0123456789', pax },
        { name: 'h', type: '1', link: 'short' },
        { name: 'c', type: '3', major: 1, minor: 3 },
      ),
    );
    const tree = join(base, 'tree');
    mkdirSync(tree);
    writeFileSync(join(tree, 'file'), 'text');
    writeFileSync(join(tree, 'sparse'), 'start');
    truncateSync(join(tree, 'sparse'), 1 << 20);
    for (const options of [['--format=gnu'], ['--format=posix'], ['--format=posix', '--sparse-version=0.0']]) {
      const path = join(base, `${options.join('')}.tar`);
      execFileSync('tar', [...options, '--sparse', '-C', tree, '-cf', path, '.']);
      seeds.push(path);
    }
    const fuzz = build(
      join(root, 'test/conformance/fuzz-tar.cc'),
      ['-DSTANDALONE', ...SANITIZE],
      [join(root, 'native/image/tar.cc')],
    );
    const { status, signal, stderr } = spawnSync(fuzz, [String(ROUNDS), ...seeds], { encoding: 'utf8' });
    expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
  } finally {
    rmSync(base, { recursive: true });
  }
});
