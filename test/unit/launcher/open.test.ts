/** Paths of a root are opened while the rest of the host goes on renaming. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tempFolder } from '../../support/temp.ts';
import { build } from '../image/worker.ts';

test('a path with ".." is opened although files are renamed elsewhere meanwhile', () => {
  const files = join(import.meta.dirname, '../../../native/launcher/files.cc');
  const program = build(join(import.meta.dirname, 'open-main.cc'), ['-pthread'], [files]);
  expect(execFileSync(program, [tempFolder()], { encoding: 'utf8' })).toBe('0\n');
});
