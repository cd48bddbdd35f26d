/** Every value knows where it was written, also when it came there by an alias, a merge or a variable. */
import { expect, test } from 'vitest';
import { pathOfFile } from '../../../src/spec/spec-path.ts';
import { load } from '../../support/spec.ts';

const place = (yaml: string, path: string, env: Readonly<Record<string, string>> = {}): string | undefined => {
  const at = load(yaml, { env }).where(pathOfFile(path));
  return at === undefined ? undefined : `${at.line}:${at.column}+${at.length}`;
};

const FILE = `# a comment first
x-small: &small
  memory: 64MiB
  pids: 5
image: {host_tools: [sh, ls]}
hostname: web # and after
limits:
  <<: *small
  pids: 7
environment:
  - A=1
  - "B=\${WHO}"
volumes:
  - ./:/src:ro
  - {type: tmpfs, target: "/über", tmpfs: {size: 1m}}
command: |
  sh -c
  'true'
`;
const env = { WHO: 'me' };

test.each([
  ['a plain value', 'hostname', '6:11+3'],
  ['a map, by its key', 'limits', '7:1+6'],
  ['a list, by its key', 'environment', '10:1+11'],
  ['a merged value, where it was written', 'limits.memory', '3:11+5'],
  ['a value that wins over the merged one', 'limits.pids', '9:9+1'],
  ['an item of a list', 'environment.0', '11:5+3'],
  ['a value with a variable, quotes and all', 'environment.1', '12:5+10'],
  ['an item that is a map', 'volumes.1', '15:5+49'],
  ['a value far inside', 'volumes.1.tmpfs.size', '15:50+2'],
  ['text over several lines, by its first', 'command', '16:10+1'],
  ['an item within brackets', 'image.host_tools.1', '5:26+2'],
  ['no key that the file lacks', 'read_only', undefined],
])('the place is found of %s', (_title, path, expected) => {
  expect(place(FILE, path, env)).toBe(expected);
});

test('columns count UTF-16 units, and a byte order mark is not one', () => {
  expect(place('\ufeffimage: {host_tools: ["𝄞", sh]}\n', 'image.host_tools.1')).toBe('1:28+2');
});

test('Windows line ends are line ends', () => {
  expect(place('image:\r\n  host_tools: [sh]\r\nhostname: a\r\n', 'hostname')).toBe('3:11+1');
});

test('a list of namespaces says which line asked for each', () => {
  const yaml = 'image: {host_tools: [sh]}\nnamespaces:\n  - mount\n  - pid\n';
  expect(place(yaml, 'namespaces.pid')).toBe('4:5+3');
  expect(place(yaml, 'namespaces.net')).toBeUndefined();
});
