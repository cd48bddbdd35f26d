/** References to images, and what a name without a registry means. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BoxctlError } from '../../../src/errors.ts';
import { parseReference, referenceOf, writeReference } from '../../../src/registry/reference.ts';
import { candidatesOf, PLAIN_SHORT_NAMES, type ShortNames } from '../../../src/registry/short-names.ts';
import { isImageName } from '../../../src/spec/image-name.ts';
import { isProblem, parseRegistry } from '../../../src/text/image-name.ts';

const HEX = '0123456789abcdef'.repeat(4);
const DIGEST = `sha256:${HEX}`;

/** What a text is in full, or what is wrong with it. */
function full(text: string): string {
  const found = parseReference(text);
  return isProblem(found) ? found.problem : writeReference(found);
}

describe('a reference is read as docker and podman read it', () => {
  test.each([
    ['alpine', 'docker.io/library/alpine:latest'],
    ['alpine:3.20', 'docker.io/library/alpine:3.20'],
    ['bitnami/redis', 'docker.io/bitnami/redis:latest'],
    ['library/alpine', 'docker.io/library/alpine:latest'],
    ['docker.io/alpine', 'docker.io/library/alpine:latest'],
    ['docker.io/library/alpine', 'docker.io/library/alpine:latest'],
    ['index.docker.io/alpine:1', 'docker.io/library/alpine:1'],
    ['registry-1.docker.io/library/alpine', 'docker.io/library/alpine:latest'],
    ['Docker.IO/alpine', 'docker.io/library/alpine:latest'],
    ['ghcr.io/org/app:1', 'ghcr.io/org/app:1'],
    ['GHCR.io/org/app', 'ghcr.io/org/app:latest'],
    ['ghcr.io:443/org/app', 'ghcr.io/org/app:latest'],
    ['docker.io:443/alpine', 'docker.io/library/alpine:latest'],
    ['localhost:443/x', 'localhost:443/x:latest'],
    ['127.0.0.1:443/x', '127.0.0.1:443/x:latest'],
    ['localhost/x', 'localhost/x:latest'],
    ['localhost:5000/x', 'localhost:5000/x:latest'],
    ['host:5000/a/b/c:T_1.x-y', 'host:5000/a/b/c:T_1.x-y'],
    ['127.0.0.1:5000/x', '127.0.0.1:5000/x:latest'],
    ['[::1]:5000/x:1', '[::1]:5000/x:1'],
    ['[0:0::1]/x', '[::1]/x:latest'],
    ['[2001:DB8::1]:5000/x', '[2001:db8::1]:5000/x:latest'],
    ['xn--bcher-kva.example/x', 'xn--bcher-kva.example/x:latest'],
    [`alpine@${DIGEST}`, `docker.io/library/alpine@${DIGEST}`],
    [`alpine:3@${DIGEST}`, `docker.io/library/alpine:3@${DIGEST}`],
    [`localhost:5000/x@${DIGEST}`, `localhost:5000/x@${DIGEST}`],
    ['a__b/c-d/e--f/g.h', 'docker.io/a__b/c-d/e--f/g.h:latest'],
    ['foo/bar:Tag', 'docker.io/foo/bar:Tag'],
    ['cafe', 'docker.io/library/cafe:latest'],
    ['alpine:_x', 'docker.io/library/alpine:_x'],
    [`a/${'b'.repeat(253)}`, `docker.io/a/${'b'.repeat(253)}:latest`],
    [`x:${'t'.repeat(128)}`, `docker.io/library/x:${'t'.repeat(128)}`],
  ])('%s is %s', (text, expected) => {
    expect(full(text)).toBe(expected);
    expect(isImageName(text)).toBe(true);
  });

  test.each([
    ['', 'it is empty'],
    ['Alpine', 'its name has upper-case letters'],
    ['Foo/bar', 'its name has upper-case letters'],
    ['ghcr.io/Org/App', 'its name has upper-case letters'],
    ['ghcr.io/', 'there is no name of an image in it'],
    ['docker.io/', 'there is no name of an image in it'],
    ['/alpine', 'its name is not well formed'],
    ['alpine/', 'its name is not well formed'],
    ['a//b', 'its name is not well formed'],
    ['a..b', 'its name is not well formed'],
    ['a._b', 'its name is not well formed'],
    ['a___b', 'its name is not well formed'],
    ['-a', 'its name is not well formed'],
    ['a-', 'its name is not well formed'],
    ['ghcr.io/../x', 'its name is not well formed'],
    ['localhost:5000/%2e%2e/x', 'its name is not well formed'],
    ['localhost:5000/x?y=z', 'its name is not well formed'],
    ['localhost:5000/x#y', 'its name is not well formed'],
    ['localhost:5000/x\\y', 'its name is not well formed'],
    ['user:pw@ghcr.io/x', 'what comes after the @ is no digest'],
    ['alpine:', 'there is no tag after the colon'],
    ['alpine:a:b', 'its tag is not well formed'],
    ['alpine:.x', 'its tag is not well formed'],
    ['alpine:ä', 'it has a space, or a character beyond ASCII'],
    ['аlpine', 'it has a space, or a character beyond ASCII'],
    ['alpine 3', 'it has a space, or a character beyond ASCII'],
    ['alpine\n', 'it has a space, or a character beyond ASCII'],
    ['al\0pine', 'it has a space, or a character beyond ASCII'],
    [`x:${'t'.repeat(129)}`, 'its tag is longer than 128 characters'],
    [`a/${'b'.repeat(254)}`, 'its name is longer than 255 characters'],
    [`docker.io/${'b'.repeat(248)}`, 'its name is longer than 255 characters'],
    ['a/'.repeat(5000), 'it is longer than 1024 characters'],
    ['alpine@', 'there is no digest after the @'],
    ['alpine@sha256:1234', 'what comes after the @ is no digest'],
    ['alpine@latest', 'what comes after the @ is no digest'],
    [`alpine@${DIGEST}@${DIGEST}`, 'what comes after the @ is no digest'],
    [`alpine@${DIGEST}:tag`, 'what comes after the @ is no digest'],
    [`alpine@sha256:${HEX.toUpperCase()}`, 'its digest has upper-case letters'],
    [`alpine@sha512:${HEX}${HEX}`, 'its digest is of another kind than sha256'],
    [DIGEST, 'it is a digest alone'],
    ['sha256:abcd', 'it is a digest alone'],
    [HEX, 'it is a digest alone'],
    ['docker://alpine', 'it begins with a scheme'],
    ['https://ghcr.io/x', 'it begins with a scheme'],
    ['a_b.c/x', 'the registry is no name of a host'],
    ['.com/x', 'the registry is no name of a host'],
    ['ghcr.io./x', 'the registry is no name of a host'],
    ['-a.b/x', 'the registry is no name of a host'],
    [`${'a'.repeat(64)}.de/x`, 'the registry is no name of a host'],
    [':5000/x', 'the registry is no name of a host'],
    ['./x', 'the registry is no name of a host'],
    ['../x', 'the registry is no name of a host'],
    ['localhost:/x', 'the port of the registry is no number from 1 to 65535'],
    ['localhost:0/x', 'the port of the registry is no number from 1 to 65535'],
    ['localhost:05000/x', 'the port of the registry is no number from 1 to 65535'],
    ['localhost:65536/x', 'the port of the registry is no number from 1 to 65535'],
    ['localhost:1:2/x', 'the port of the registry is no number from 1 to 65535'],
    ['foo:bar/baz', 'the port of the registry is no number from 1 to 65535'],
    ['[::1/x', 'the registry is no host with an optional port'],
    ['[::1]x/y', 'the registry is no host with an optional port'],
    ['[fe80::1%eth0]:1/x', 'the registry in brackets is no IPv6 address'],
    ['[127.0.0.1]/x', 'the registry in brackets is no IPv6 address'],
    ['[]:5000/x', 'the registry in brackets is no IPv6 address'],
    ['127.1/x', 'the registry looks like an IPv4 address, and is none'],
    ['0x7f.1/x', 'the registry looks like an IPv4 address, and is none'],
    ['127.0.0.01/x', 'the registry looks like an IPv4 address, and is none'],
    ['2130706433:5000/x', 'the registry looks like an IPv4 address, and is none'],
    ['256.0.0.1/x', 'the registry looks like an IPv4 address, and is none'],
  ])('%j is none: %s', (text, problem) => {
    expect(full(text)).toBe(problem);
    const isDigits = /^sha256:[0-9a-f]{4,64}$/u.test(text);
    expect(isImageName(text)).toBe(isDigits);
  });

  test('what is no reference is told by an error that quotes it, cuts it, and says what would be one', () => {
    const told = (text: string): BoxctlError => {
      try {
        referenceOf(text);
      } catch (error) {
        if (error instanceof BoxctlError) return error;
      }
      throw new Error(`${text} is taken`);
    };
    expect(told('Alpine').message).toBe('"Alpine" is no reference to an image: its name has upper-case letters');
    expect(told('Alpine').code).toBe('E_IMAGE_NAME');
    expect(told('X'.repeat(5000)).message.length).toBeLessThan(200);
    // Somebody writes it so, and the message is kept in a log.
    for (const text of [
      'me:s3cret@ghcr.io/x',
      'me:s3cret/more@ghcr.io/x',
      'https://me:s3cret@ghcr.io/x',
      's3cret@ghcr.io/x',
    ]) {
      expect(told(text).message).not.toContain('s3cret');
      expect(told(text).message).toContain('@ghcr.io/x');
    }
  });
});

const part = fc.stringMatching(/^[a-z0-9]{1,8}(?:(?:[._]|__|-{1,3})[a-z0-9]{1,4}){0,2}$/);
const host = fc.oneof(
  fc.domain().map((name) => name.toLowerCase()),
  fc.constantFrom('localhost', 'a:5000', '127.0.0.1:80', '[::1]:443', 'docker.io'),
  fc.ipV4(),
);
const reference = fc
  .tuple(
    fc.option(host, { nil: undefined }),
    fc.array(part, { minLength: 1, maxLength: 4 }),
    fc.option(fc.stringMatching(/^\w[\w.-]{0,20}$/), { nil: undefined }),
    fc.boolean(),
  )
  .map(([registry, parts, tag, pinned]) =>
    [
      registry === undefined ? '' : `${registry}/`,
      parts.join('/'),
      tag === undefined ? '' : `:${tag}`,
      pinned ? `@${DIGEST}` : '',
    ].join(''),
  );

describe('whatever the text', () => {
  test('a well-formed reference is taken, and its full form is read as the same', () => {
    fc.assert(
      fc.property(reference, (text) => {
        // The first part of a path is a registry where it has a dot.
        const found = parseReference(text);
        if (isProblem(found)) return /^[^/]*\.[^/]*\//u.test(text) && /registry/u.test(found.problem);
        expect(parseReference(writeReference(found))).toEqual(found);
        return true;
      }),
      { numRuns: 2000 },
    );
  });

  test('what is taken has a host, a path, a tag and a digest of the characters that they may have', () => {
    const text = fc.oneof(
      fc.string({ maxLength: 60 }),
      fc.string({ unit: fc.constantFrom(...'aB0._-:/@[]%\\?#'), maxLength: 40 }),
      fc
        .tuple(reference, fc.nat(80), fc.string({ unit: 'binary', maxLength: 2 }))
        .map(([whole, at, more]) => whole.slice(0, at) + more + whole.slice(at)),
    );
    fc.assert(
      fc.property(text, (given) => {
        const found = parseReference(given);
        if (isProblem(found)) return;
        expect(found.registry).toMatch(/^(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[1-9]\d{0,4})?$/u);
        expect(found.repository).toMatch(/^[a-z0-9]+(?:[._/-]+[a-z0-9]+)*$/u);
        expect(found.repository.split('/')).not.toContain('..');
        expect(found.tag ?? 'x').toMatch(/^\w[\w.-]{0,127}$/u);
        expect(found.digest ?? DIGEST).toMatch(/^sha256:[0-9a-f]{64}$/u);
        const url = new URL(
          `https://${found.registry}/v2/${found.repository}/manifests/${found.digest ?? found.tag ?? ''}`,
        );
        expect(url.host).toBe(found.registry.replace(/:443$/u, ''));
        expect(url.pathname).toBe(`/v2/${found.repository}/manifests/${found.digest ?? found.tag ?? ''}`);
      }),
      { numRuns: 20_000 },
    );
  });

  test('reading takes no longer for a text that almost fits', () => {
    for (const text of [
      'a-'.repeat(500),
      'a.'.repeat(500),
      'a_'.repeat(500),
      `${'a'.repeat(1023)}!`,
      '-'.repeat(1024),
    ]) {
      parseReference(text);
      parseRegistry(text);
    }
  });
});

describe('a short name', () => {
  const rules = (given: Partial<ShortNames>): ShortNames => ({ ...PLAIN_SHORT_NAMES, ...given });
  const meant = (text: string, given: Partial<ShortNames>): readonly string[] => {
    const { by, references } = candidatesOf(text, rules(given));
    return [by, ...references.map(writeReference)];
  };
  const aliases = new Map([
    ['fedora', 'registry.fedoraproject.org/fedora'],
    ['org/app', 'ghcr.io/org/app'],
  ]);

  test('is one of docker.io where nothing else is said', () => {
    expect(meant('alpine', {})).toEqual(['default', 'docker.io/library/alpine:latest']);
    expect(meant(`org/app:1@${DIGEST}`, {})).toEqual(['default', `docker.io/org/app:1@${DIGEST}`]);
  });

  test('is what its alias says, with its own tag and digest, and no registry is searched then', () => {
    expect(meant('fedora', { aliases, search: ['a.example'] })).toEqual([
      'alias',
      'registry.fedoraproject.org/fedora:latest',
    ]);
    expect(meant('fedora:40', { aliases })).toEqual(['alias', 'registry.fedoraproject.org/fedora:40']);
    expect(meant(`org/app@${DIGEST}`, { aliases })).toEqual(['alias', `ghcr.io/org/app@${DIGEST}`]);
    expect(meant('app', { aliases })).toEqual(['default', 'docker.io/library/app:latest']);
  });

  test('is searched in the registries of the list, in their order', () => {
    expect(meant('app:1', { search: ['a.example', 'docker.io', 'localhost:5000/mirror'] })).toEqual([
      'search',
      'a.example/app:1',
      'docker.io/library/app:1',
      'localhost:5000/mirror/app:1',
    ]);
  });

  test('of several registries is refused where the mode is enforcing, and of one is not', () => {
    expect(meant('app', { search: ['a.example'], mode: 'enforcing' })).toEqual(['search', 'a.example/app:latest']);
    expect(() => meant('app', { search: ['a.example', 'b.example'], mode: 'enforcing' })).toThrow(
      /could be of any of a\.example, b\.example/u,
    );
    expect(meant('fedora', { aliases, search: ['a.example', 'b.example'], mode: 'enforcing' })[0]).toBe('alias');
  });

  test('is refused where the list of registries is empty', () => {
    expect(() => meant('app', { search: [] })).toThrow(/names no registry/u);
  });

  test('rules leave a name with a registry alone', () => {
    const all = new Map([
      ['x', 'evil.example/x'],
      ['localhost/x', 'evil.example/x'],
      ['ghcr.io/x', 'evil.example/x'],
    ]);
    for (const text of ['ghcr.io/x', 'localhost/x', '127.0.0.1:5000/x', 'docker.io/x']) {
      expect(meant(text, { aliases: all, search: ['evil.example'] })[0]).toBe('registry');
    }
  });
});
