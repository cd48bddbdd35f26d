/** Paths of values in a container file are typed: what is wrong here is found by the compiler, before any test runs. */
import { expect, test } from 'vitest';
import { outward, type SpecPath } from '../../../src/spec/spec-path.ts';
import { load } from '../../support/spec.ts';

test('paths of keys, of items of lists, and of keys of maps are accepted, and a mistyped one is a type error', () => {
  const paths: readonly SpecPath[] = [
    'keep_id',
    'limits.memory',
    'volumes.3',
    'volumes.0.bind.idmap',
    'sysctls.net.ipv4.ip_forward',
    'environment.PATH',
    'ulimits.nofile.soft',
    'image.sha256',
    // @ts-expect-error the key is keep_id
    'keepId',
    // @ts-expect-error the key is memory
    'limits.memroy',
    // @ts-expect-error a list has numbers, not names
    'volumes.first',
    // @ts-expect-error there is no such limit of a process
    'ulimits.files',
  ];
  expect(paths.length).toBe(12);
});

test('a place in a container file is asked for by a path that is checked by the compiler', () => {
  const document = load('name: box\nimage: {host_tools: [sh]}\nkeep_id: true\n');
  expect(document.where('keep_id')?.line).toBe(3);
  // @ts-expect-error the key is keep_id
  expect(document.where('keepid')).toBeUndefined();
});

test('outward goes from a value to the map that it is in, and to the key of that', () => {
  expect([...outward('limits.blkio_config.weight')]).toEqual([
    'limits.blkio_config.weight',
    'limits.blkio_config',
    'limits',
  ]);
  expect([...outward('user')]).toEqual(['user']);
});
