/** The kernel's record of a process that a filter killed: who, for what, and when. */
import { expect, test } from 'vitest';
import { callOf } from '../../../src/launcher/kill-record.ts';

const NOW = 1_795_579_287_832;
const record = (changes: Readonly<Record<string, string>> = {}): string => {
  const fields = {
    pid: '3347',
    comm: '"mkdir"',
    exe: '"/usr/bin/mkdir"',
    sig: '31',
    arch: 'c000003e',
    syscall: '83',
    ...changes,
  };
  const text = Object.entries(fields).map(([name, value]) => `${name}=${value}`);
  const before = 'auid=4294967295 uid=524288 gid=524288 ses=4294967295 subj=docker-default (enforce)';
  return `5,1203,12451927485,-;audit: type=1326 audit(1795579287.832:176): ${before} ${text.join(' ')} compat=0 ip=0x7f09 code=0x80000000\n`;
};

test.each<[string, string, string | undefined]>([
  ['of a call of this machine', record(), 'mkdir'],
  ['of arm64', record({ arch: 'c00000b7', syscall: '34' }), 'mkdirat'],
  ['of a 32-bit program', record({ arch: '40000003', syscall: '39' }), 'mkdir'],
  ['of a 32-bit program on arm', record({ arch: '40000028', syscall: '983045' }), 'set_tls'],
  ['of a call that has no name', record({ syscall: '9999' }), '9999'],
  ['of an unknown machine', record({ arch: 'c00000f3' }), '83'],
  [
    'of a program whose name the kernel writes in hexadecimal',
    record({ comm: '2070696431', exe: '2F6120622F63' }),
    'mkdir',
  ],
  ['of another process', record({ pid: '33471' }), undefined],
  ['of a process that was not killed', record({ sig: '0' }), undefined],
  ['that the kernel did not write', record().replace('5,', '13,'), undefined],
  ['that another text quotes', `6,1204,12451927499,-;said: ${record()}`, undefined],
  ['of another type', record().replace('type=1326', 'type=1327'), undefined],
])('a record %s is read as expected', (_title, text, expected) => {
  expect(callOf(text, 3347, NOW)).toBe(expected);
});

test('a record of an earlier process with the same number is ignored', () => {
  expect(callOf(record(), 3347, NOW - 5000)).toBe('mkdir');
  expect(callOf(record(), 3347, NOW + 5000)).toBeUndefined();
});
