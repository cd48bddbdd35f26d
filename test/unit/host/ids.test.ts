import { expect, test } from 'vitest';
import {
  allRanges,
  hasHostPrivileges,
  isInitialUserNamespace,
  ownRanges,
  parseStatus,
  subordinateRanges,
  userName,
  within,
} from '../../../src/host/ids.ts';

const SUBUID = `# made by useradd
alice:100000:65536
bob:165536:65536
1000:300000:10
alice:400000:0
broken line
alice:-5:10
`;

test('a range belongs to its user by name or by number', () => {
  expect(subordinateRanges(SUBUID, new Set(['alice', '1000']))).toEqual([
    { start: 100_000, size: 65_536 },
    { start: 300_000, size: 10 },
  ]);
});

test('lines that are no range, and empty ranges, are passed over', () => {
  expect(allRanges(SUBUID).map(({ owner }) => owner)).toEqual(['alice', 'bob', '1000']);
  expect(allRanges(undefined)).toEqual([]);
});

test('the initial user namespace is the one that maps everything to itself', () => {
  expect(isInitialUserNamespace('         0          0 4294967295\n')).toBe(true);
  expect(isInitialUserNamespace('         0          0      65536\n')).toBe(false);
  expect(isInitialUserNamespace('         0       1000          1\n         1     100000      65536\n')).toBe(false);
  expect(isInitialUserNamespace(undefined)).toBe(false);
});

test('own ids are the inner side of the map', () => {
  expect(ownRanges('         0       1000          1\n         1     100000      65536\n')).toEqual([
    { start: 0, size: 1 },
    { start: 1, size: 65_536 },
  ]);
});

test('subordinate ids that the own user namespace does not have are none', () => {
  const own = [{ start: 0, size: 65_536 }];
  const inside = { start: 1000, size: 64_536 };
  expect(within(own, [{ start: 100_000, size: 65_536 }, inside, { start: 65_000, size: 1000 }])).toEqual([inside]);
});

test('of a process’s status, the effective ids and capabilities', () => {
  const text =
    'Name:\tnode\nUid:\t1000\t1001\t1002\t1003\nGid:\t1\t2\t3\t4\nGroups:\t4 24 27 \nCapEff:\t000001ffffffffff\n';
  const status = parseStatus(text);
  expect(status).toEqual({
    euid: 1001,
    egid: 2,
    groups: [4, 24, 27],
    capabilities: 0x1ffffffffffn,
    noNewPrivileges: false,
  });
  expect(parseStatus('NoNewPrivs:\t1\n').noNewPrivileges).toBe(true);
  expect(parseStatus('Groups:\t\nCapEff:\t0000000000000000\n')).toMatchObject({ groups: [], capabilities: 0n });
});

test('uid 0 without CAP_SYS_ADMIN is not privileged', () => {
  expect(hasHostPrivileges(0x1ffffffffffn)).toBe(true);
  expect(hasHostPrivileges(0x1ffffffffffn & ~(1n << 21n))).toBe(false);
});

test('a user’s name comes from his own line', () => {
  expect(userName('root:x:0:0::/:/bin/sh\nten:x:10:0::/:/bin/sh\n', 10)).toBe('ten');
  expect(userName('root:x:0:0::/:/bin/sh\n', 10)).toBeUndefined();
});
