/** registries.conf: what a file says, which files are read, and where a reference is asked for. */
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BoxctlError } from '../../../src/errors.ts';
import { parseRegistriesFile } from '../../../src/registry/config-file.ts';
import {
  locationsOf,
  mergeRegistries,
  pushLocationOf,
  readRegistries,
  type RegistriesConfig,
} from '../../../src/registry/config.ts';
import { referenceOf } from '../../../src/registry/reference.ts';
import { tempFolder } from '../../support/temp.ts';
import { isRoot } from '../../support/user.ts';

const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;
const config = (...texts: readonly string[]): RegistriesConfig =>
  mergeRegistries(
    texts.map((text, index) => ({ path: `/${index}.conf`, said: parseRegistriesFile(text, `/${index}.conf`) })),
  );
/** The hosts and repositories, with `!` for insecure and `~` for a mirror. */
const locations = (text: string, found: RegistriesConfig): readonly string[] =>
  locationsOf(referenceOf(text), found).map(
    ({ host, repository, insecure, isMirror }) => `${isMirror ? '~' : ''}${insecure ? '!' : ''}${host}/${repository}`,
  );
/** `LINE: message` of each mistake. */
function mistakes(text: string): readonly string[] {
  try {
    parseRegistriesFile(text, '/etc/x.conf');
    return [];
  } catch (error) {
    if (!(error instanceof BoxctlError)) throw error;
    expect(error.code).toBe('E_REGISTRY_CONFIG');
    expect(error.diagnostics.every(({ at }) => at?.file === '/etc/x.conf')).toBe(true);
    return error.diagnostics.map(({ message, at }) => `${at?.line}: ${message}`);
  }
}

describe('where a reference is asked for', () => {
  const EXAMPLE = `
[[registry]]
prefix = "example.com/foo"
insecure = false
blocked = false
location = "internal-registry-for-example.com/bar"

[[registry.mirror]]
location = "example-mirror-0.local/mirror-for-foo"

[[registry.mirror]]
location = "example-mirror-1.local/mirrors/foo"
insecure = true

[[registry]]
location = "registry.com"

[[registry.mirror]]
location = "mirror.registry.com"
`;

  test('is the manual page’s example', () => {
    const found = config(EXAMPLE);
    expect(locations('example.com/foo/image:latest', found)).toEqual([
      '~example-mirror-0.local/mirror-for-foo/image',
      '~!example-mirror-1.local/mirrors/foo/image',
      'internal-registry-for-example.com/bar/image',
    ]);
    expect(locations('registry.com/image', found)).toEqual(['~mirror.registry.com/image', 'registry.com/image']);
    expect(locations('example.com/foo', found)).toEqual([
      '~example-mirror-0.local/mirror-for-foo',
      '~!example-mirror-1.local/mirrors/foo',
      'internal-registry-for-example.com/bar',
    ]);
    expect(locations('example.com/food', found)).toEqual(['example.com/food']);
    expect(locations('example.com/other/foo', found)).toEqual(['example.com/other/foo']);
    expect(locations('a.registry.com/image', found)).toEqual(['a.registry.com/image']);
  });

  test('is decided by the longest prefix alone, whatever the order', () => {
    const table = (prefix: string, location: string): string =>
      `[[registry]]\nprefix = "${prefix}"\nlocation = "${location}"\n`;
    const tables = [
      table('*.example.com', 'any.test'),
      table('*.b.example.com', 'b.test'),
      table('a.b.example.com', 'host.test'),
      table('a.b.example.com/x', 'path.test'),
      table('a.b.example.com/x/y', 'deep.test'),
      table('a.b.example.com/x/y:tag', 'tag.test'),
      table(`a.b.example.com/x/y@${DIGEST}`, 'digest.test'),
    ];
    for (const found of [config(tables.join('')), config(tables.toReversed().join('')), config(...tables)]) {
      expect(locations('z.example.com/x', found)).toEqual(['any.test/x']);
      expect(locations('z.y.example.com/x', found)).toEqual(['any.test/x']);
      expect(locations('z.b.example.com/x', found)).toEqual(['b.test/x']);
      expect(locations('a.b.example.com/z', found)).toEqual(['host.test/z']);
      expect(locations('a.b.example.com/x/z', found)).toEqual(['path.test/z']);
      expect(locations('a.b.example.com/x/y/z', found)).toEqual(['deep.test/z']);
      expect(locations('example.com/x', found)).toEqual(['example.com/x']);
      expect(locations('notexample.com/x', found)).toEqual(['notexample.com/x']);
    }
  });

  test('is by its tag or digest where a prefix has one', () => {
    const found = config(
      `[[registry]]\nprefix = "a.test/x:old"\nlocation = "attic.test/x"\n[[registry]]\nprefix = "a.test/x@${DIGEST}"\nlocation = "gone.test/y"\nblocked = true\n`,
    );
    expect(locations('a.test/x:old', found)).toEqual(['attic.test/x']);
    expect(locations('a.test/x:new', found)).toEqual(['a.test/x']);
    expect(locations('a.test/x/y:old', found)).toEqual(['a.test/x/y']);
    expect(() => locations(`a.test/x:old@${DIGEST}`, found)).toThrow(/blocks it/u);
  });

  test('leaves a wildcard without a location as it is, and applies the rest', () => {
    const found = config(
      '[[registry]]\nprefix = "*.example.com"\ninsecure = true\n[[registry.mirror]]\nlocation = "m.test/all"\n',
    );
    expect(locations('a.b.example.com:5000/foo/bar', found)).toEqual([
      '~m.test/all/foo/bar',
      '!a.b.example.com:5000/foo/bar',
    ]);
  });

  test('has the library of docker.io only where the prefix has it', () => {
    const found = config(`
[[registry]]
prefix = "docker.io/library"
location = "hub.test/library"
[[registry]]
prefix = "docker.io/alpine"
location = "wrong.test"
[[registry]]
prefix = "mine.test"
location = "docker.io"
`);
    expect(locations('alpine', found)).toEqual(['hub.test/library/alpine']);
    expect(locations('docker.io/org/app', found)).toEqual(['docker.io/org/app']);
    expect(locations('docker.io/alpine/git', found)).toEqual(['wrong.test/git']);
    expect(locations('mine.test/alpine', found)).toEqual(['docker.io/library/alpine']);
  });

  test('asks a mirror for tags or digests alone where the configuration says so', () => {
    const found = config(`
[[registry]]
location = "a.test"
[[registry.mirror]]
location = "all.test"
pull-from-mirror = "all"
[[registry.mirror]]
location = "digest.test"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "tag.test"
pull-from-mirror = "tag-only"
[[registry]]
location = "b.test"
mirror-by-digest-only = true
[[registry.mirror]]
location = "m.test"
`);
    expect(locations('a.test/x:1', found)).toEqual(['~all.test/x', '~tag.test/x', 'a.test/x']);
    expect(locations(`a.test/x:1@${DIGEST}`, found)).toEqual(['~all.test/x', '~digest.test/x', 'a.test/x']);
    expect(locations('b.test/x:1', found)).toEqual(['b.test/x']);
    expect(locations(`b.test/x@${DIGEST}`, found)).toEqual(['~m.test/x', 'b.test/x']);
  });

  test('is nowhere where it is blocked, also on another port, and also for a push', () => {
    const found = config('[[registry]]\nlocation = "a.test"\nblocked = true\n[[registry]]\nlocation = "a.test:5000"\n');
    for (const name of ['a.test/x', 'A.test/x', 'a.test:443/x']) {
      expect(() => locations(name, found)).toThrow(expect.objectContaining({ code: 'E_REGISTRY_BLOCKED' }));
      expect(() => pushLocationOf(referenceOf(name), found)).toThrow(/blocks it/u);
    }
    expect(locations('a.test:5000/x', found)).toEqual(['a.test:5000/x']);
    expect(locations('a.test.example/x', found)).toEqual(['a.test.example/x']);
  });

  test('is told by its name alone where a login to it is blocked', () => {
    const found = config('[[registry]]\nlocation = "a.test"\nblocked = true\n');
    const whole = { registry: 'a.test', repository: '', tag: undefined, digest: undefined };
    expect(() => pushLocationOf(whole, found)).toThrow(/^a\.test is not asked for: /u);
  });

  test('is secure on another port than the one that is insecure', () => {
    const found = config('[[registry]]\nlocation = "a.test"\ninsecure = true\n');
    expect(locations('a.test/x', found)).toEqual(['!a.test/x']);
    expect(locations('a.test:5000/x', found)).toEqual(['a.test:5000/x']);
  });

  test('is itself for a push, whatever mirrors and locations there are', () => {
    const found = config(
      '[[registry]]\nprefix = "a.test"\nlocation = "b.test"\ninsecure = true\n[[registry.mirror]]\nlocation = "m.test"\n',
    );
    expect(pushLocationOf(referenceOf('a.test/x'), found)).toEqual({
      host: 'a.test',
      repository: 'x',
      insecure: true,
      isMirror: false,
    });
  });

  test('is found for IPv6 and for hosts in upper case', () => {
    const found = config('[[registry]]\nprefix = "[0::1]:5000"\nlocation = "Mirror.TEST:5000/a"\ninsecure = true\n');
    expect(locations('[::1]:5000/x', found)).toEqual(['!mirror.test:5000/a/x']);
  });
});

describe('a file of registries.conf', () => {
  test.each([
    ['a = [', ['1: this is no TOML: ']],
    ['x = 1\nx = 2\n', ['2: this is no TOML: ']],
    ['unqualified-search-registries = "docker.io"', ['1: `unqualified-search-registries` must be a list of texts']],
    [
      '\nunqualified-search-registries = ["https://docker.io"]',
      ['2: "https://docker.io" is no registry: a registry is given without a scheme'],
    ],
    [
      'unqualified-search-registries = ["docker.io/library"]',
      ['1: "docker.io/library" is no registry: the registry is no name of a host'],
    ],
    ['short-name-mode = "strict"', ['1: `short-name-mode` must be one of "enforcing", "permissive", "disabled"']],
    ['credential-helpers = ["../x"]', ['1: "../x" is no name of a credential helper']],
    [
      '[registries.search]\nregistries = ["docker.io"]',
      ['1: [registries.search] is the first version of this format, which is not read'],
    ],
    [
      '# old\n[registries.block]\nregistries = ["x.test"]\n[[registry]]\nlocation="y.test"',
      ['2: [registries.block] is the first version'],
    ],
    ['[[registry]]\nblocked = true', ['1: a `[[registry]]` needs `location`']],
    [
      '[[registry]]\nprefix = "a.test"\nblocked = true',
      ['2: a `prefix` that does not begin with `*.` needs a `location`'],
    ],
    ['[[registry]]\nlocation = "a.test"\nblocked = "true"', ['3: `blocked` must be true or false, without quotes']],
    [
      '[[registry]]\nlocation = "a.test"\n\n[[registry]]\nlocation = "http://b.test"',
      ['5: `location` "http://b.test" is no beginning of a reference'],
    ],
    [
      '[[registry]]\nprefix = "a.*.test"\nlocation = "b.test"',
      ['2: `prefix` "a.*.test" is no beginning of a reference'],
    ],
    [
      '[[registry]]\nprefix = "*.test/foo"\nlocation = "b.test"',
      ['2: `prefix` "*.test/foo" is no beginning of a reference'],
    ],
    [
      '[[registry]]\nprefix = "*.a.test:5000"\nlocation = "b.test"',
      ['2: `prefix` "*.a.test:5000" is no beginning of a reference'],
    ],
    [
      '[[registry]]\nprefix = "a.test"\nlocation = "*.b.test"',
      ['3: a `location` is a place, and cannot begin with `*.`'],
    ],
    [
      '[[registry]]\nprefix = "a.test"\nlocation = "b.test/x:1"',
      ['3: a `location` cannot change the tag or the digest'],
    ],
    [
      '[[registry]]\nlocation = "a.test"\npull-from-mirror = "all"',
      ['3: `pull-from-mirror` is a key of `[[registry.mirror]]`'],
    ],
    ['[[registry]]\nlocation = "a.test"\n[[registry.mirror]]\ninsecure = true', ['3: a mirror needs a `location`']],
    [
      '[[registry]]\nlocation = "a.test"\n[[registry.mirror]]\nlocation = "m.test"\npull-from-mirror = "some"',
      ['5: `pull-from-mirror` must be one of'],
    ],
    [
      '[[registry]]\nlocation = "a.test"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "m.test"\npull-from-mirror = "all"',
      ['6: `pull-from-mirror` and `mirror-by-digest-only`'],
    ],
    [
      '[[registry]]\nlocation = "a.test"\n[[registry]]\nprefix = "a.test"\nlocation = "b.test"',
      ['4: "a.test" has another [[registry]] in line 1'],
    ],
    [
      '[[registry]]\nlocation = "a.test"\n[[registry]]\nprefix = "a.test/x"\nlocation = "a.test"\nblocked = true',
      ['6: `blocked` is another for the same `location` in line 1'],
    ],
    ['[registry]\nlocation = "a.test"', ['1: `registry` must be tables']],
    ['aliases = 1', ['1: `aliases` must be a table']],
    ['[aliases]\nfedora = 1', ['2: the alias "fedora" must be a text']],
    ['[aliases]\n"fedora:40" = "r.test/fedora"', ['2: "fedora:40" is no short name']],
    ['[aliases]\n"localhost/fedora" = "r.test/fedora"', ['2: "localhost/fedora" is no short name']],
    ['[aliases]\n"fedora" = "fedora"', ['2: "fedora" is no repository that an alias can mean']],
    ['[aliases]\n"fedora" = "r.test/fedora:1"', ['2: "r.test/fedora:1" is no repository that an alias can mean']],
    ['short-name-mode = 1\n[[registry]]\nlocation = "a b"\n', ['1: `short-name-mode`', '3: `location` "a b"']],
  ])('%j is refused with the line of each mistake', (text, expected) => {
    const found = mistakes(text);
    expect(found).toHaveLength(expected.length);
    expected.forEach((beginning, index) => expect(found[index]).toContain(beginning));
  });

  test('is taken with keys that are not known, which are told with their lines', () => {
    const { unknown, rules } = config('new-key = 1\n[[registry]]\nlocation = "a.test"\nblockd = true\n');
    expect(unknown).toEqual([
      '/0.conf:1: `new-key` is not known and has no effect',
      '/0.conf:4: `blockd` is not known and has no effect; did you mean `blocked`?',
    ]);
    expect(rules).toHaveLength(1);
  });

  test('of the first version is taken where all its lists are empty', () => {
    expect(mistakes('[registries.search]\nregistries = []\n[registries.insecure]\nregistries = []\n')).toEqual([]);
  });

  test('cannot reach the prototype of objects, nor nest without end', () => {
    expect(mistakes(`x = ${'['.repeat(5000)}`)).toHaveLength(1);
    config('[aliases]\n"constructor" = "a.test/x"\n"tostring" = "a.test/y"\n');
    expect(({} as Record<string, unknown>)['blocked']).toBeUndefined();
    mistakes('[__proto__]\nblocked = true\n');
    expect(({} as Record<string, unknown>)['blocked']).toBeUndefined();
  });

  test('is overwritten by later files, key by key, table by table, and alias by alias', () => {
    const found = config(
      'unqualified-search-registries = ["a.test"]\ncredential-helpers = ["pass"]\n[[registry]]\nlocation = "x.test"\nblocked = true\n[aliases]\none = "a.test/one"\ntwo = "a.test/two"\n',
      'short-name-mode = "enforcing"\nunqualified-search-registries = ["b.test", "c.test"]\n[[registry]]\nlocation = "x.test"\n[[registry]]\nlocation = "y.test"\n[aliases]\none = "b.test/one"\ntwo = ""\n',
    );
    expect(found.shortNames.search).toEqual(['b.test', 'c.test']);
    expect(found.shortNames.mode).toBe('enforcing');
    expect([...found.shortNames.aliases]).toEqual([['one', 'b.test/one']]);
    expect(found.credentialHelpers).toEqual(['pass']);
    expect(locations('x.test/x', found)).toEqual(['x.test/x']);
    expect(config('', '').credentialHelpers).toEqual(['containers-auth.json']);
    expect(config('credential-helpers = []').credentialHelpers).toEqual(['containers-auth.json']);
    expect(
      config('unqualified-search-registries = ["a.test"]', 'unqualified-search-registries = []').shortNames.search,
    ).toEqual([]);
  });
});

describe('the files that are read', () => {
  /** A home with files in `.config/containers`, by name. */
  function homeWith(files: Readonly<Record<string, string>>): string {
    const home = tempFolder();
    for (const [name, text] of Object.entries(files)) {
      const file = join(home, '.config/containers', name);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text, { mode: 0o644 });
    }
    return home;
  }
  const alias = (name: string): string => `[aliases]\n${name} = "r.test/${name}"\n`;
  const inHome = (home: string, files: readonly string[]): readonly string[] =>
    files.filter((file) => file.startsWith(home)).map((file) => file.slice(home.length + 1));
  const plain = { CONTAINERS_REGISTRIES_CONF: undefined, CONTAINERS_REGISTRIES_CONF_DIR: undefined };

  test('of the person take the place of the system’s, and drop-in files come after them in order', () => {
    const home = homeWith({
      'registries.conf': alias('a'),
      'registries.conf.d/20-b.conf': alias('b'),
      'registries.conf.d/10-a.conf': '[aliases]\na = "first.test/a"\nb = "first.test/b"\n',
      'registries.conf.d/other.txt': 'no TOML',
    });
    const { files, shortNames } = readRegistries({ env: plain, home });
    expect(inHome(home, files)).toEqual([
      '.config/containers/registries.conf',
      '.config/containers/registries.conf.d/10-a.conf',
      '.config/containers/registries.conf.d/20-b.conf',
    ]);
    expect(files.filter((file) => file.startsWith('/etc'))).toEqual([]);
    expect(shortNames.aliases.get('a')).toBe('first.test/a');
    expect(shortNames.aliases.get('b')).toBe('r.test/b');
  });

  test('of the system count together with the person’s drop-in files', () => {
    const home = homeWith({ 'registries.conf.d/x.conf': alias('boxctl-test-only') });
    const { files, shortNames } = readRegistries({ env: plain, home });
    expect(inHome(home, files)).toEqual(['.config/containers/registries.conf.d/x.conf']);
    expect(shortNames.aliases.get('boxctl-test-only')).toBe('r.test/boxctl-test-only');
  });

  test('are those of $XDG_CONFIG_HOME and $XDG_CACHE_HOME', () => {
    const home = tempFolder();
    const folder = join(home, 'elsewhere/containers');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'registries.conf'), alias('x'));
    const { files } = readRegistries({ env: { ...plain, XDG_CONFIG_HOME: join(home, 'elsewhere') }, home });
    expect(inHome(home, files)).toEqual(['elsewhere/containers/registries.conf']);
  });

  test('are the file and the folder that the environment names', () => {
    const home = homeWith({ 'registries.conf': alias('a'), 'named.conf': alias('n'), 'named.d/x.conf': alias('x') });
    const folder = join(home, '.config/containers');
    const env = {
      CONTAINERS_REGISTRIES_CONF: join(folder, 'named.conf'),
      CONTAINERS_REGISTRIES_CONF_DIR: join(folder, 'named.d'),
    };
    const { files } = readRegistries({ env, home });
    expect(files.filter((file) => !file.startsWith('/var/cache'))).toEqual([
      join(folder, 'named.conf'),
      join(folder, 'named.d/x.conf'),
    ]);
    const gone = { ...env, CONTAINERS_REGISTRIES_CONF: join(folder, 'gone.conf') };
    expect(() => readRegistries({ env: gone, home })).toThrow(/\$CONTAINERS_REGISTRIES_CONF names it/u);
    expect(() => readRegistries({ env: { ...env, CONTAINERS_REGISTRIES_CONF: 'x.conf' }, home })).toThrow(
      /relative path/u,
    );
  });

  const unsafe = (home: string): void =>
    expect(() => readRegistries({ env: plain, home })).toThrow(
      expect.objectContaining({ code: 'E_REGISTRY_CONFIG_UNSAFE' }),
    );

  test('are refused where others may write to them, or to their folder', () => {
    const home = homeWith({ 'registries.conf': '' });
    const file = join(home, '.config/containers/registries.conf');
    chmodSync(file, 0o646);
    unsafe(home);
    chmodSync(file, 0o644);
    readRegistries({ env: plain, home });
    chmodSync(dirname(file), 0o777);
    unsafe(home);
  });

  test.runIf(isRoot)('are refused where they belong to somebody else', () => {
    const home = homeWith({ 'registries.conf': '' });
    const file = join(home, '.config/containers/registries.conf');
    chownSync(file, 65_533, 65_533);
    unsafe(home);
    chownSync(file, 0, 0);
    chownSync(dirname(file), 65_533, 65_533);
    unsafe(home);
  });

  test('may be links to files of the person’s own', () => {
    const home = homeWith({ 'registries.conf.d/x.conf': '', 'real.txt': alias('linked') });
    symlinkSync('real.txt', join(home, '.config/containers/registries.conf'));
    expect(readRegistries({ env: plain, home }).shortNames.aliases.get('linked')).toBe('r.test/linked');
  });

  test('are refused where they are no file, no text, or too large', () => {
    const home = homeWith({ 'x/y': '' });
    const file = join(home, '.config/containers/registries.conf');
    symlinkSync('/dev/zero', file);
    expect(() => readRegistries({ env: plain, home })).toThrow(/cannot be read: it is no file|is not used/u);
    const other = homeWith({ 'registries.conf': `# ${'x'.repeat(1024 * 1024)}` });
    expect(() => readRegistries({ env: plain, home: other })).toThrow(/larger than/u);
    const binary = homeWith({ 'registries.conf': '' });
    writeFileSync(join(binary, '.config/containers/registries.conf'), Buffer.from([0xff, 0xfe]));
    expect(() => readRegistries({ env: plain, home: binary })).toThrow(/UTF-8/u);
  });
});
