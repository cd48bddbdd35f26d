/** The addon beside what Node itself has for the same. */
import { createHash, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { sha256 } from '../../src/native.ts';

test.each([0, 1, 55, 56, 64, 1000, 100_001])('the digest of %d bytes is that of node:crypto', (size) => {
  const bytes = randomBytes(size);
  expect(sha256(bytes)).toBe(createHash('sha256').update(bytes).digest('hex'));
});

test('the digest of a text is that of its UTF-8', () => {
  const text = 'ein Käse für 3 €, 🧀';
  expect(sha256(text)).toBe(createHash('sha256').update(text).digest('hex'));
});
