/** The names of the store. */
import { expect, test } from 'vitest';
import { ownershipKey, shortHash } from '../../../src/image/store.ts';

test('the short hash is FNV-1a of 64 bits (its published values)', () => {
  expect(shortHash('')).toBe('cbf29ce484222325');
  expect(shortHash('a')).toBe('af63dc4c8601ec8c');
  expect(shortHash('foobar')).toBe('85944171f73967e8');
});

test('maps that differ have names that differ, and long ones fit into a name', () => {
  const map = (container: number, host: number, size: number) => ({ container, host, size });
  const key = (...maps: ReturnType<typeof map>[]) => ownershipKey({ uidMap: maps, gidMap: maps });
  expect(ownershipKey(undefined)).toBe('plain');
  expect(key(map(0, 1000, 1), map(1, 100000, 65536))).toBe('u0.1000.1+1.100000.65536-g0.1000.1+1.100000.65536');
  const many = Array.from({ length: 300 }, (_, index) => map(index, 100000 + index * 2, 1));
  const other = [...many.slice(1), map(0, 1, 1)];
  expect(key(...many)).toMatch(/^[0-9a-f]{64}$/);
  expect(key(...many)).not.toBe(key(...other));
  expect(ownershipKey({ uidMap: [map(0, 1, 1)], gidMap: [] })).not.toBe(
    ownershipKey({ uidMap: [], gidMap: [map(0, 1, 1)] }),
  );
});
