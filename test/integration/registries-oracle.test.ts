/** References and registries.conf, compared with skopeo and podman on this machine. Neither sends anything. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BoxctlError } from '../../src/errors.ts';
import { parseRegistriesFile } from '../../src/registry/config-file.ts';
import { writePrefix } from '../../src/registry/prefix.ts';
import { parseReference, writeReference } from '../../src/registry/reference.ts';
import { isProblem } from '../../src/text/image-name.ts';
import { run } from '../support/boxctl.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot } from '../support/user.ts';

const DIGITS = '0123456789abcdef'.repeat(4);

describe.skipIf(!existsSync('/usr/bin/skopeo'))('skopeo (needs skopeo)', () => {
  /** How skopeo reads a reference. The archive that it is to write cannot be opened, which comes after that. */
  async function bySkopeo(text: string): Promise<string | undefined> {
    const { stderr } = await run(['skopeo', 'copy', 'oci:/nonexistent', `docker-archive:/nonexistent/x:${text}`]);
    return /initializing destination docker-archive:\/nonexistent\/x:(\S+): /u.exec(stderr)?.[1];
  }
  const own = (text: string): string | undefined => {
    const found = parseReference(text);
    return isProblem(found) ? undefined : writeReference(found);
  };

  test('takes the references that boxctl takes, and means the same, and refuses those that boxctl refuses', async () => {
    const long = (length: number): string => `x:${'t'.repeat(length)}`;
    const taken =
      'alpine alpine:3.20 org/app a/b/c/d docker.io/alpine index.docker.io/alpine ghcr.io/org/app:1 localhost/x';
    const more = 'localhost:5000/x:T 127.0.0.1:5000/x a__b e/a.b-c_d/e--f x:_1 cafe library/x';
    const refused = 'Alpine foo/Bar a..b a//b a___b -a a- a/ /a x: x:.a x:a:b ä ghcr.io/ .com/x ghcr.io./x -a.b/x';
    const odd = 'https://ghcr.io/x docker://x foo:bar/baz x%2e ../x ./x';
    const words = [taken, more, refused, odd].flatMap((list) => list.split(' '));
    const texts = [...words, 'a b', DIGITS, long(128), long(129)];
    for (const text of texts) expect([text, own(text)]).toEqual([text, await bySkopeo(text)]);
  }, 120_000);

  test('also takes hosts that programs read differently, and refuses IPv6 where this version is too old for it', async () => {
    for (const text of ['0x7f.1/x', '127.1/x', 'localhost:05000/x', 'localhost:65536/x', 'a_b.c/x']) {
      expect(own(text), text).toBeUndefined();
      expect(await bySkopeo(text), text).toBeDefined();
    }
    expect(own('GHCR.io/x')).toBe('ghcr.io/x:latest');
    expect(await bySkopeo('GHCR.io/x')).toBe('GHCR.io/x:latest');
    expect(own('[::1]:5000/x')).toBe('[::1]:5000/x:latest');
  });
});

describe.skipIf(!isRoot || !existsSync('/usr/bin/podman'))('podman (needs root and podman)', () => {
  test.each<[string, string]>([
    [
      'the manual page’s example',
      '[[registry]]\nprefix = "example.com/foo"\nlocation = "in.test/bar"\n[[registry.mirror]]\nlocation = "m.test/x"\ninsecure = true\n',
    ],
    ['a wildcard', '[[registry]]\nprefix = "*.example.com"\ninsecure = true\n'],
    ['slashes at the end', '[[registry]]\nlocation = "a.test/x//"\n'],
    ['a prefix with a tag', '[[registry]]\nprefix = "a.test/x:1"\nlocation = "a.test/x:1"\nblocked = true\n'],
    [
      'mirrors by digest',
      '[[registry]]\nlocation = "a.test"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "m.test"\n',
    ],
    [
      'a list, a mode, a helper and an alias',
      'unqualified-search-registries = ["a.test"]\nshort-name-mode = "enforcing"\ncredential-helpers = ["x"]\n[aliases]\nx = "a.test/x"\n',
    ],
    ['an empty alias', '[aliases]\nx = ""\n'],
    ['an unknown key', 'something = 1\n'],
    ['no location', '[[registry]]\nblocked = true\n'],
    ['a prefix without a location', '[[registry]]\nprefix = "a.test"\n'],
    ['a scheme', '[[registry]]\nlocation = "https://a.test"\n'],
    ['a mirror without a location', '[[registry]]\nlocation = "a.test"\n[[registry.mirror]]\ninsecure = true\n'],
    [
      'contradicting mirrors',
      '[[registry]]\nlocation = "a.test"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "m.test"\npull-from-mirror = "all"\n',
    ],
    [
      'an unknown value',
      '[[registry]]\nlocation = "a.test"\n[[registry.mirror]]\nlocation = "m.test"\npull-from-mirror = "x"\n',
    ],
    ['an unknown mode', 'short-name-mode = "strict"\n'],
    [
      'a contradiction',
      '[[registry]]\nprefix = "a.test/x"\nlocation = "a.test"\n[[registry]]\nprefix = "a.test/y"\nlocation = "a.test"\nblocked = true\n',
    ],
    ['an alias of a tag', '[aliases]\n"x:1" = "a.test/x"\n'],
    ['a short alias', '[aliases]\nx = "y"\n'],
    ['both versions', 'unqualified-search-registries = ["a.test"]\n[registries.search]\nregistries = ["b.test"]\n'],
    ['a wildcard with a path', '[[registry]]\nprefix = "*.a.test"\nlocation = "b.test/x"\n'],
    ['a text for a truth', '[[registry]]\nlocation = "a.test"\nblocked = "yes"\n'],
    ['no TOML', '[[registry]\n'],
  ])('takes a file with %s exactly where boxctl does, with the same tables', async (_name, text) => {
    const folder = tempFolder();
    const file = join(folder, 'registries.conf');
    writeFileSync(file, text);
    mkdirSync(join(folder, 'home'));
    const command = [
      'podman',
      '--root',
      join(folder, 'root'),
      '--runroot',
      join(folder, 'run'),
      '--storage-driver=vfs',
      'info',
      '--format',
      'json',
    ];
    const { stdout } = await run(command, { env: { HOME: join(folder, 'home'), CONTAINERS_REGISTRIES_CONF: file } });
    const { registries } = (stdout.startsWith('{') ? JSON.parse(stdout) : {}) as {
      registries?: Readonly<Record<string, unknown>>;
    };
    let own: readonly string[] | undefined;
    try {
      own = parseRegistriesFile(text, file).rules.map(({ prefix }) => writePrefix(prefix));
    } catch (error) {
      if (!(error instanceof BoxctlError)) throw error;
    }
    const theirs = registries === undefined ? undefined : Object.keys(registries).filter((key) => key !== 'search');
    expect(own?.toSorted()).toEqual(theirs?.toSorted());
  });
});
