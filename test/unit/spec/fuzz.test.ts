/** Whatever the text: it is a specification, or all that is wrong with it is told with a place. */
import { array, assert, constantFrom, nat, property, string, tuple } from 'fast-check';
import { expect, test } from 'vitest';
import { formatDiagnostics } from '../../../src/yaml/frame.ts';
import { problemsOf } from '../../support/spec.ts';

const FILE = `# yaml-language-server: $schema=x
x-a: &a {memory: 64m, pids: 5}
name: builder
image: {host_tools: [sh]}
namespaces: {net: host, pid: private}
user: "1000:1000"
uid_map: ["0:100000:65536"]
limits: {<<: *a, cpus: 1.5}
environment: {CI: "\${CI:-1}"}
working_dir: /src
command: [sh, -c, "echo $$HOME"]
volumes: ["./:/src:ro", {type: tmpfs, target: /t, tmpfs: {size: 1m}}]
read_only: true
`;
const COMPOSE = `name: app
services:
  web:
    image: {host_tools: [sh]}
    mem_limit: 64m
    memswap_limit: "\${CI:-96m}m"
    cpu_quota: 50000
    cpu_period: 100ms
    network_mode: host
    security_opt: [no-new-privileges:true, "seccomp:unconfined", label=disable, "systempaths=unconfined"]
    deploy: {mode: replicated, replicas: 1, resources: {limits: {memory: 64m, pids: 5}, reservations: {}}}
    restart: "no"
volumes: {data: {driver: local}}
`;
const PIECES = [
  '&a ',
  '*a',
  '<<: ',
  '!x ',
  '!!binary ',
  '"',
  "'",
  '[',
  ']',
  '{',
  '}',
  ': ',
  '\n',
  '- ',
  '? ',
  '|\n',
  '\0',
];
PIECES.push(
  '${',
  '}',
  '$',
  '0755',
  '1e999',
  '9007199254740993',
  '---\n',
  '#',
  '\t',
  '\r',
  '\ufeff',
  '\ud800',
  '~',
  '%',
);

function check(text: string): void {
  const problems = problemsOf(text, { env: { CI: 'x' } });
  const lines = text.replace(/^\ufeff/u, '').split('\n');
  for (const { at, severity, message } of problems) {
    expect(message).not.toBe('');
    if (at === undefined) continue;
    expect(['error', 'warning']).toContain(severity);
    expect(at.line).toBeLessThanOrEqual(lines.length);
    expect(at.column + at.length).toBeLessThanOrEqual((lines[at.line - 1]?.length ?? 0) + 2);
  }
  formatDiagnostics(problems, text, { color: true });
}

test('any text is read without an exception, and each problem has a place within it', () => {
  assert(property(string({ unit: 'binary', maxLength: 200 }), check), { numRuns: 500 });
});

test('any sequence of pieces of YAML is read without an exception, and each problem has a place within it', () => {
  assert(
    property(array(constantFrom(...PIECES), { maxLength: 40 }), (parts) => check(parts.join(''))),
    {
      numRuns: 2000,
    },
  );
});

test.each([
  ['a good file', FILE],
  ['a Compose file', COMPOSE],
])(
  '%s with pieces inserted and removed is read without an exception, and each problem has a place within it',
  (_name, file) => {
    const edits = array(tuple(nat(file.length), nat(12), constantFrom('', ...PIECES)), { maxLength: 6 });
    assert(
      property(edits, (changes) => {
        let text = file;
        for (const [at, length, piece] of changes) text = text.slice(0, at) + piece + text.slice(at + length);
        check(text);
      }),
      { numRuns: 2000 },
    );
    expect(problemsOf(file, { env: { CI: '96' } })).toEqual([]);
  },
);
