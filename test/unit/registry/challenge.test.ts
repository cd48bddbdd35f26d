/** WWW-Authenticate, as registries and others write it (RFC 9110, 11.6.1). */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseChallenges } from '../../../src/registry/challenge.ts';

const read = (header: string): unknown =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

describe('challenges', () => {
  test('of Docker Hub has a realm, a service and a scope with commas in it', () => {
    const header =
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:samalba/my-app:pull,push"';
    expect(read(header)).toEqual([
      [
        'bearer',
        {
          realm: 'https://auth.docker.io/token',
          service: 'registry.docker.io',
          scope: 'repository:samalba/my-app:pull,push',
        },
      ],
    ]);
  });

  test.each<[string, unknown]>([
    ['Basic realm="x"', [['basic', { realm: 'x' }]]],
    ['BASIC realm=x', [['basic', { realm: 'x' }]]],
    ['Basic', [['basic', {}]]],
    ['', []],
    [' , ,', []],
    [
      'Basic realm="a", Bearer realm="b", service="c"',
      [
        ['basic', { realm: 'a' }],
        ['bearer', { realm: 'b', service: 'c' }],
      ],
    ],
    [
      'Negotiate, Basic realm="a"',
      [
        ['negotiate', {}],
        ['basic', { realm: 'a' }],
      ],
    ],
    [
      'Negotiate YWJj==, Basic realm="a"',
      [
        ['negotiate', {}],
        ['basic', { realm: 'a' }],
      ],
    ],
    [
      'NTLM TlRMTVNTUAAB, Basic realm="a"',
      [
        ['ntlm', {}],
        ['basic', { realm: 'a' }],
      ],
    ],
    ['Bearer realm = "a" , service = b', [['bearer', { realm: 'a', service: 'b' }]]],
    [
      String.raw`Bearer realm="a \"quoted\", Basic realm=\"x\" \\ text",service=b`,
      [['bearer', { realm: String.raw`a "quoted", Basic realm="x" \ text`, service: 'b' }]],
    ],
    ['Bearer Realm="a",REALM="b"', [['bearer', { realm: 'a' }]]],
    ['Bearer realm="https://x/t?a=b,c",,scope=""', [['bearer', { realm: 'https://x/t?a=b,c', scope: '' }]]],
    // Not closed, or no challenge at all: what came before it counts.
    [
      'Basic realm="a", Bearer realm="b',
      [
        ['basic', { realm: 'a' }],
        ['bearer', {}],
      ],
    ],
    ['realm="a"', []],
    ['Bearer realm="a" "b"', [['bearer', { realm: 'a' }]]],
    ['@@@', []],
  ])('%s', (header, expected) => {
    expect(read(header)).toEqual(expected);
  });

  test('of any text are read in a moment, and without an error', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('"', '\\', ',', '=', ' ', 'a', 'Basic', 'realm') }), (text) => {
        parseChallenges(text);
      }),
    );
    parseChallenges(`Bearer ${'a="b",'.repeat(100_000)}`);
    parseChallenges(`Bearer realm="${'\\"'.repeat(300_000)}`);
    parseChallenges(`${'a '.repeat(300_000)}`);
    parseChallenges('='.repeat(600_000));
  });

  test('that were written with quotes are read as they were meant', () => {
    const value = fc.string().filter((text) => !/[\r\n\0]/u.test(text));
    fc.assert(
      fc.property(value, value, (realm, service) => {
        const quoted = (text: string): string => `"${text.replaceAll(/["\\]/gu, String.raw`\$&`)}"`;
        const header = `Basic realm="x", Bearer realm=${quoted(realm)}, service=${quoted(service)}`;
        expect(read(header)).toEqual([
          ['basic', { realm: 'x' }],
          ['bearer', { realm, service }],
        ]);
      }),
    );
  });
});
