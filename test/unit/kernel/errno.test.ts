import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { expect, it } from 'vitest';
import { ERRNO } from '../../../src/kernel/constants.ts';
import { errnoName, reasonOf } from '../../../src/kernel/errno.ts';

it('every error that this system has a name for has the same name and number here', () => {
  const known = Object.entries(constants.errno).filter(([name]) => !['EWOULDBLOCK', 'ENOTSUP'].includes(name));
  expect(known.length).toBeGreaterThan(60);
  for (const [name, number] of known) expect([name, ERRNO[name]]).toEqual([name, number]);
  expect(errnoName(116)).toBe('ESTALE');
  expect(errnoName(999)).toBe('error 999');
});

it('a failure is told with its path, unless that is a descriptor of boxctl’s own', () => {
  const failure = (path: string): unknown => {
    try {
      return readFileSync(path);
    } catch (error) {
      return error;
    }
  };
  expect(reasonOf(failure('/no/such/file'))).toBe('no such file or directory (ENOENT): /no/such/file');
  expect(reasonOf(failure('/proc/self/fd/99999'))).toBe('no such file or directory (ENOENT)');
  expect(reasonOf(new Error('of another kind'))).toBe('of another kind');
});
