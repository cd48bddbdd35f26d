/** Paths of a configuration are typed: what is wrong here is found by the compiler, before any test runs. */
import { expect, test } from 'vitest';
import type { ConfigPath, ResourcePath } from '../../../src/oci/config-path.ts';

test('paths of values, of items of lists, and of keys of maps are accepted, and a mistyped one is a type error', () => {
  const paths: readonly ConfigPath[] = [
    'process.args',
    'process.rlimits.3',
    'linux.sysctl.net.ipv4.ip_forward',
    'linux.resources.blockIO.throttleReadBpsDevice.0',
    'root.writable',
    // @ts-expect-error a list has numbers, not names
    'process.rlimits.first',
    // @ts-expect-error the key is maskedPaths
    'linux.maskedPath',
    // @ts-expect-error mounts and devices are the model's own
    'mounts.3',
    // @ts-expect-error a number has no parts
    'linux.resources.memory.limit.bytes',
  ];
  const resources: readonly ResourcePath[] = [
    'cpu.quota',
    // @ts-expect-error the limit is at pids.limit
    'pids.max',
  ];
  expect(paths.length + resources.length).toBe(11);
});
