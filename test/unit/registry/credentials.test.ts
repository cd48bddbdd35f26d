/** Where credentials come from, which of them are taken, and that none is ever in a message. */
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { BoxctlError } from '../../../src/errors.ts';
import { authFiles, canonicalKey, keysFor, parseAuthFile } from '../../../src/registry/auth-file.ts';
import { findCredentials, type CredentialOptions } from '../../../src/registry/credentials.ts';
import { eraseByHelper, fetchFromHelper, listOfHelper, storeByHelper } from '../../../src/registry/helper.ts';
import { tempFolder } from '../../support/temp.ts';
import { isRoot } from '../../support/user.ts';

const MARKER = 'S3CRETmarker';
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const entry = (name: string, password = MARKER): object => ({ auth: base64(`${name}:${password}`) });

interface Setting extends CredentialOptions {
  readonly notes: string[];
}

/** A home with files, and helpers as programs: `files` by path in it, `programs` by name. */
function setting(
  files: Readonly<Record<string, unknown>>,
  programs: Readonly<Record<string, string>> = {},
  env: Readonly<Record<string, string>> = {},
): Setting {
  const home = tempFolder();
  for (const [name, content] of Object.entries(files)) {
    const path = join(home, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content), { mode: 0o600 });
  }
  mkdirSync(join(home, 'bin'));
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(home, 'bin', `docker-credential-${name}`), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  const notes: string[] = [];
  return {
    home,
    env: { PATH: `${join(home, 'bin')}:/usr/bin:/bin`, XDG_RUNTIME_DIR: join(home, 'run'), ...env },
    helpers: ['containers-auth.json'],
    note: (message) => notes.push(message),
    notes,
  };
}

/** `NAME from FILE`, by the name in the home. */
async function found(options: Setting, host: string, repository = 'x'): Promise<string | undefined> {
  const result = await findCredentials(host, repository, options);
  if (result === undefined) return undefined;
  const { credentials, source } = result;
  const who = 'username' in credentials ? credentials.username : `token ${credentials.identityToken}`;
  return `${who} from ${source.replace(`${options.home}/`, '')}`;
}

const failure = async (promise: Promise<unknown>): Promise<BoxctlError> => {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof BoxctlError) return error;
  throw new Error(`no BoxctlError, but ${inspect(error)}`);
};

/** Prints what it got, as a name; the password is the marker. */
const ANSWER = `read -r server; printf '{"ServerURL":"%s","Username":"%s","Secret":"${MARKER}"}' "$server" "$1:$server" | sed 's/get:/me@/'`;
const NOTHING = 'echo "credentials not found in native keychain"; exit 1';

describe('credentials are found', () => {
  test('in the files in their order, the first that has the registry', async () => {
    const auths = (name: string): object => ({ auths: { 'r.test': entry(name), [`${name}.test`]: entry(name) } });
    const options = setting({
      'run/containers/auth.json': auths('run'),
      '.config/containers/auth.json': auths('config'),
      '.docker/config.json': auths('docker'),
      '.dockercfg': { 'r.test': entry('legacy'), 'legacy.test': entry('legacy') },
    });
    expect(await found(options, 'r.test')).toBe('run from run/containers/auth.json');
    expect(await found(options, 'config.test')).toBe('config from .config/containers/auth.json');
    expect(await found(options, 'docker.test')).toBe('docker from .docker/config.json');
    expect(await found(options, 'legacy.test')).toBe('legacy from .dockercfg');
    expect(await found(options, 'other.test')).toBeUndefined();
    expect(options.notes).toEqual([]);
  });

  test('in the file and the folders that the environment names', async () => {
    const one = setting({
      'x.json': { auths: { 'r.test': entry('named') } },
      'run/containers/auth.json': { auths: { 'r.test': entry('run'), 'run.test': entry('run') } },
      'd/config.json': { auths: { 'd.test': entry('docker') } },
      'c/containers/auth.json': { auths: { 'c.test': entry('config') } },
    });
    const named = { ...one, env: { ...one.env, REGISTRY_AUTH_FILE: join(one.home, 'x.json') } };
    expect(await found(named, 'r.test')).toBe('named from x.json');
    expect(await found(named, 'run.test')).toBeUndefined();
    const folders = {
      ...one,
      env: { ...one.env, DOCKER_CONFIG: join(one.home, 'd'), XDG_CONFIG_HOME: join(one.home, 'c') },
    };
    expect(await found(folders, 'd.test')).toBe('docker from d/config.json');
    expect(await found(folders, 'c.test')).toBe('config from c/containers/auth.json');
    const gone = { ...one, env: { ...one.env, REGISTRY_AUTH_FILE: join(one.home, 'gone.json') } };
    expect((await failure(found(gone, 'r.test'))).message).toContain('is not there');
    const relative = { ...one, env: { ...one.env, REGISTRY_AUTH_FILE: 'x.json' } };
    expect((await failure(found(relative, 'r.test'))).message).toContain('relative path');
  });

  test('by the most specific key', async () => {
    const options = setting({
      'run/containers/auth.json': {
        auths: {
          'r.test/a/b': entry('ab'),
          'r.test/a': entry('a'),
          'r.test': entry('all'),
          'p.test/a': entry('p'),
          'r.test/e': {},
        },
      },
    });
    expect(await found(options, 'r.test', 'a/b')).toMatch(/^ab /u);
    expect(await found(options, 'r.test', 'a/b/c')).toMatch(/^ab /u);
    expect(await found(options, 'r.test', 'a/bc')).toMatch(/^a /u);
    expect(await found(options, 'r.test', 'other')).toMatch(/^all /u);
    expect(await found(options, 'r.test', '')).toMatch(/^all /u);
    expect(await found(options, 'r.test', 'e/x')).toMatch(/^all /u);
    expect(await found(options, 'p.test', 'b')).toBeUndefined();
    expect(keysFor('quay.io', 'a/b')).toEqual(['quay.io/a/b', 'quay.io/a', 'quay.io']);
  });

  test('for exactly the host and port that they are stored for', async () => {
    const options = setting({
      'run/containers/auth.json': {
        auths: { 'r.test:5000': entry('port'), 'https://s.test/v2/': entry('url'), 'sub.r.test': entry('sub') },
      },
    });
    expect(await found(options, 'r.test:5000')).toMatch(/^port /u);
    expect(await found(options, 's.test')).toMatch(/^url /u);
    for (const host of [
      'r.test',
      'r.test:443',
      'r.test:50',
      's.test:5000',
      'test',
      'xs.test',
      'a.sub.r.test',
      's.test.evil.test',
    ]) {
      expect(await found(options, host), host).toBeUndefined();
    }
  });

  test('for Docker Hub under all names that it has had', async () => {
    for (const key of [
      'docker.io',
      'index.docker.io',
      'https://index.docker.io/v1/',
      'index.docker.io/v1/',
      'registry-1.docker.io',
    ]) {
      expect(canonicalKey(key)).toBe('docker.io');
      const options = setting({ '.docker/config.json': { auths: { [key]: entry('hub') } } });
      expect(await found(options, 'docker.io', 'library/alpine'), key).toMatch(/^hub /u);
    }
    const both = setting({
      '.docker/config.json': { auths: { 'https://index.docker.io/v1/': entry('old'), 'docker.io': entry('new') } },
    });
    expect(await found(both, 'docker.io')).toMatch(/^new /u);
  });

  test('in every form of an entry', async () => {
    const options = setting({
      '.docker/config.json': {
        auths: {
          'token.test': { auth: base64('me:'), identitytoken: 'tok' },
          'plain.test': { username: 'me', password: 'a:b' },
          'nul.test': { auth: base64('me:pw\0\0') },
          'colon.test': { auth: base64('me:a:b') },
          'empty.test': {},
          'none.test': { auth: '' },
        },
      },
    });
    expect(await found(options, 'token.test')).toMatch(/^token tok /u);
    const of = async (host: string): Promise<unknown> => (await findCredentials(host, 'x', options))?.credentials;
    expect(await of('plain.test')).toEqual({ username: 'me', password: 'a:b' });
    expect(await of('nul.test')).toEqual({ username: 'me', password: 'pw' });
    expect(await of('colon.test')).toEqual({ username: 'me', password: 'a:b' });
    expect(await of('empty.test')).toBeUndefined();
    expect(await of('none.test')).toBeUndefined();
  });

  test('by helpers: of the registry, of all registries, and of registries.conf', async () => {
    const options = setting(
      {
        'run/containers/auth.json': { credHelpers: { 'r.test': 'one' }, auths: { 'r.test': entry('file') } },
        '.docker/config.json': {
          credsStore: 'two',
          credHelpers: { 's.test': '' },
          auths: { 'two.test': {}, 's.test': entry('inline') },
        },
      },
      { one: ANSWER, two: ANSWER, nothing: NOTHING },
    );
    expect(await found(options, 'r.test')).toBe('me@r.test from docker-credential-one');
    expect(await found(options, 'two.test')).toBe('me@two.test from docker-credential-two');
    expect(await found(options, 'docker.io')).toBe('me@https://index.docker.io/v1/ from docker-credential-two');
    const global = { ...options, helpers: ['nothing', 'one', 'containers-auth.json'] };
    expect(await found(global, 'z.test')).toBe('me@z.test from docker-credential-one');
  });

  test('in a file where its helper for all registries has nothing, or is gone, which is told', async () => {
    const config = (store: string): Readonly<Record<string, unknown>> => ({
      '.docker/config.json': { credsStore: store, auths: { 'r.test': entry('inline') } },
    });
    expect(await found(setting(config('nothing'), { nothing: NOTHING }), 'r.test')).toMatch(/^inline /u);
    const gone = setting(config('gone'));
    expect(await found(gone, 'r.test')).toMatch(/^inline /u);
    expect(await found(gone, 'public.test')).toBeUndefined();
    expect(gone.notes[0]).toContain('docker-credential-gone is not installed');
  });

  test('as an identity token where a helper has one', async () => {
    const options = setting(
      { '.docker/config.json': { credsStore: 't' } },
      { t: `echo '{"Username":"<token>","Secret":"tok"}'` },
    );
    expect(await found(options, 'r.test')).toBe('token tok from docker-credential-t');
  });
});

describe('a helper', () => {
  const env = (
    programs: Readonly<Record<string, string>>,
  ): { readonly env: Readonly<Record<string, string | undefined>> } => ({
    env: setting({}, programs).env,
  });

  test('is a name, and never a path', async () => {
    const options = env({ x: ANSWER });
    for (const name of ['../bin/docker-credential-x', '/x', 'a/b', '', '.', '-x', 'x y', 'x\n']) {
      expect((await failure(fetchFromHelper(name, 'r.test', options))).code).toBe('E_REGISTRY_HELPER');
      const file = { credsStore: name };
      if (name !== '') expect(() => parseAuthFile(JSON.stringify(file), '/a.json')).toThrow(/is no name/u);
    }
  });

  test('is not looked for in relative folders of PATH', async () => {
    const options = setting({}, { x: ANSWER });
    const relative = { env: { PATH: '.:bin' } };
    const before = process.cwd();
    process.chdir(options.home);
    try {
      expect((await failure(fetchFromHelper('x', 'r.test', relative))).message).toContain('is not installed');
    } finally {
      process.chdir(before);
    }
  });

  test('is stopped when it takes too long, or its answer has no end', async () => {
    const options = env({
      slow: 'sleep 60 & sleep 60',
      endless: 'while :; do echo 0123456789012345678901234567890123456789; done',
    });
    expect((await failure(fetchFromHelper('slow', 'r.test', { ...options, within: 200 }))).message).toContain(
      'no answer within',
    );
    expect((await failure(fetchFromHelper('endless', 'r.test', options))).message).toContain('without end');
  });

  test('gets what it is to keep on its standard input, and nothing by its arguments or environment', async () => {
    const options = setting({}, { keep: `echo "$@" > "$HOME/args"; env > "$HOME/env"; cat > "$HOME/input"` });
    const own = { env: { ...options.env, HOME: options.home } };
    await storeByHelper('keep', 'r.test', { username: 'me', password: MARKER }, own);
    const { readFileSync } = await import('node:fs');
    expect(JSON.parse(readFileSync(join(options.home, 'input'), 'utf8'))).toEqual({
      ServerURL: 'r.test',
      Username: 'me',
      Secret: MARKER,
    });
    expect(readFileSync(join(options.home, 'args'), 'utf8')).toBe('store\n');
    expect(readFileSync(join(options.home, 'env'), 'utf8')).not.toContain(MARKER);
  });

  test('erases and lists', async () => {
    const options = env({
      x: `case $1 in list) echo '{"r.test":"me"}';; get) echo '{"Username":"me","Secret":"s"}';; esac`,
      nothing: NOTHING,
    });
    expect(await listOfHelper('x', options)).toEqual(['r.test']);
    expect(await eraseByHelper('x', 'r.test', options)).toBe(true);
    expect(await eraseByHelper('nothing', 'r.test', options)).toBe(false);
  });

  test('that fails is told with its own words, safe and short', async () => {
    const long = 'x'.repeat(5000);
    const options = env({
      words: `printf 'the keyring is \\033[31mlocked\\n${long}'; exit 3`,
      long: `echo ${long}; exit 1`,
      killed: 'kill -9 $$',
    });
    expect((await failure(fetchFromHelper('words', 'r.test', options))).message).toBe(
      'docker-credential-words get failed with status 3: the keyring is \ufffd[31mlocked',
    );
    expect((await failure(fetchFromHelper('long', 'r.test', options))).message.length).toBeLessThan(300);
    expect((await failure(fetchFromHelper('killed', 'r.test', options))).message).toContain('was killed');
  });
});

describe('a file with credentials', () => {
  const file = { '.docker/config.json': { auths: { 'r.test': entry('me') } } };

  test('that others can read is used, and told', async () => {
    const options = setting(file);
    const path = join(options.home, '.docker/config.json');
    chmodSync(path, 0o644);
    expect(await found(options, 'r.test')).toMatch(/^me /u);
    expect(options.notes).toEqual([`other users can read the credentials in ${path}: chmod 600 ${path}`]);
  });

  test('that others can write is not used, and told', async () => {
    const options = setting(file);
    chmodSync(join(options.home, '.docker/config.json'), 0o602);
    expect(await found(options, 'r.test')).toBeUndefined();
    expect(options.notes[0]).toContain('are not used: others may write to it');
  });

  test.runIf(isRoot)('of somebody else is not read', async () => {
    const options = setting(file);
    chownSync(join(options.home, '.docker/config.json'), 65_533, 65_533);
    expect(await found(options, 'r.test')).toBeUndefined();
    expect(options.notes[0]).toContain('are not used: it belongs to the user 65533');
  });

  test('that is no file is not waited for', async () => {
    const options = setting({});
    mkdirSync(join(options.home, '.docker'));
    symlinkSync('/dev/zero', join(options.home, '.docker/config.json'));
    const error = await findCredentials('r.test', 'x', options).catch((reason: unknown) => reason);
    expect(error ?? options.notes[0]).toBeDefined();
  });

  test('is looked for in the folder of the person where there is no session', () => {
    const paths = authFiles({ env: {}, home: '/home/me' }).map(({ path }) => path);
    expect(paths).toContain('/home/me/.config/containers/auth.json');
    expect(paths).toEqual([...new Set(paths)]);
  });
});

describe('no message has a secret', () => {
  const says = [MARKER, base64(MARKER).slice(0, 12), base64(`me:${MARKER}`)];
  const check = (error: unknown, notes: readonly string[] = []): void => {
    const shown = [
      inspect(error, { depth: 10, showHidden: true }),
      JSON.stringify(error),
      String(error),
      ...notes,
    ].join('\n');
    for (const secret of says) expect(shown).not.toContain(secret);
  };

  test.each<[string, unknown]>([
    ['JSON that is cut short', `{"auths":{"r.test":{"auth":"${base64(`me:${MARKER}`)}"`],
    ['JSON with a word too many', `{"auths":{"r.test":{"auth":"x"}}} ${MARKER}`],
    ['a password in place of JSON', MARKER],
    ['a password alone as JSON', JSON.stringify(MARKER)],
    ['a list', [MARKER]],
    ['auths that are a text', { auths: MARKER }],
    ['an entry that is a text', { auths: { 'r.test': MARKER } }],
    ['an auth without base64', { auths: { 'r.test': { auth: `me:${MARKER}` } } }],
    ['an auth without a colon', { auths: { 'r.test': { auth: base64(MARKER) } } }],
    ['a name with a line feed', { auths: { 'r.test': { auth: base64(`me\n:${MARKER}`) } } }],
    ['a password with a line feed', { auths: { 'r.test': { auth: base64(`me:${MARKER}\r\nX: y`) } } }],
    ['helpers that are a text', { credHelpers: MARKER }],
    ['a helper that is a path', { credHelpers: { 'r.test': `/${MARKER}` } }],
    ['a store that is a path', { credsStore: `../${MARKER}` }],
  ])('of a file with %s', async (_name, content) => {
    const options = setting({ 'run/containers/auth.json': content });
    const error = await failure(findCredentials('r.test', 'x', options));
    expect(error.code).toBe('E_REGISTRY_CREDENTIALS');
    expect(error.message).toContain('run/containers/auth.json');
    check(error, options.notes);
  });

  test.each<[string, string]>([
    ['an answer that is no JSON', `echo 'Secret=${MARKER}'`],
    ['an answer that is cut short', `echo '{"Username":"me","Secret":"${MARKER}"'`],
    ['an answer, and then a failure', `echo '{"Username":"me","Secret":"${MARKER}"}'; exit 1`],
    ['an answer of another kind', `echo '["${MARKER}"]'`],
    ['an answer without end', `while :; do echo '${MARKER}${MARKER}${MARKER}${MARKER}'; done`],
    ['a word on standard error', `echo ${MARKER} >&2; exit 1`],
  ])('of a helper with %s', async (_name, script) => {
    const options = setting({ 'run/containers/auth.json': { credHelpers: { 'r.test': 'x' } } }, { x: script });
    check(await failure(findCredentials('r.test', 'x', options)), options.notes);
  });

  test('of a helper that repeats what it was to keep', async () => {
    const { env } = setting(
      {},
      { x: 'cat; exit 1', y: `sed 's/.*Secret":"//; s/".*//'; exit 1`, z: `echo ${base64(`me:${MARKER}`)}; exit 1` },
    );
    for (const name of ['x', 'y', 'z']) {
      check(await failure(storeByHelper(name, 'r.test', { username: 'me', password: MARKER }, { env })));
    }
  });
});
