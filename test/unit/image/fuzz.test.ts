/** What reads archives under mutation, with the sanitizers: whatever the bytes are, it answers. */
import { expect, test } from 'vitest';
import { INDEX_SOURCES } from '../../support/erofs.ts';
import { runMutants } from '../../support/mutants.ts';
import { tempFolder } from '../../support/temp.ts';
import { TAR_SOURCES } from './worker.ts';

const good = { status: 0, signal: null, stderr: '' };

test('mutated archives neither crash the reader nor confuse it', { timeout: 120_000 }, () => {
  expect(runMutants('fuzz-tar', TAR_SOURCES, tempFolder(), 15_000)).toEqual(good);
});

test('of mutated archives no index is made that breaks the rules of EROFS', { timeout: 120_000 }, () => {
  expect(runMutants('fuzz-erofs', INDEX_SOURCES, tempFolder(), 6_000)).toEqual(good);
});
