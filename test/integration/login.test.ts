/** `boxctl login` and `logout` at real registries: with passwords, with tokens, over TLS; and that no output has a password. */
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
  lstatSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openClient } from '../../src/registry/client.ts';
import { registryOptions } from '../../src/registry/person.ts';
import { referenceOf } from '../../src/registry/reference.ts';
import { boxctl, PROGRAM, run, type Ended } from '../support/boxctl.ts';
import { hasRegistry, startRegistry, type TestRegistry } from '../support/registry.ts';
import { tempFolder } from '../support/temp.ts';
import { testUser } from '../support/user.ts';

const PASSWORD = 'S3CRET:marker ü';
const MARKER = 'S3CRET';
const base64 = (text: string): string => Buffer.from(text).toString('base64');

interface Home {
  readonly folder: string;
  readonly auth: string;
  readonly env: Readonly<Record<string, string>>;
  boxctl(words: readonly string[], stdin?: string): Promise<Ended>;
  /** `auths` of the file that login writes. */
  auths(): unknown;
}

/** A person with an empty configuration: nothing of this machine's is read. */
function home(config = ''): Home {
  const folder = tempFolder({ open: true });
  mkdirSync(join(folder, 'run'));
  mkdirSync(join(folder, 'conf.d'));
  writeFileSync(join(folder, 'registries.conf'), config);
  const auth = join(folder, 'run/containers/auth.json');
  const env = {
    HOME: folder,
    XDG_RUNTIME_DIR: join(folder, 'run'),
    CONTAINERS_REGISTRIES_CONF: join(folder, 'registries.conf'),
    CONTAINERS_REGISTRIES_CONF_DIR: join(folder, 'conf.d'),
    PATH: `${join(folder, 'bin')}:${process.env['PATH'] ?? ''}`,
  };
  return {
    folder,
    auth,
    env,
    boxctl: async (words, stdin = PASSWORD) => {
      const ended = await boxctl(words, { env, stdin });
      expect(ended.stdout + ended.stderr).not.toContain(MARKER);
      expect(ended.stdout + ended.stderr).not.toContain(base64(`me:${PASSWORD}`).slice(4, 20));
      return ended;
    },
    auths: () => (JSON.parse(readFileSync(auth, 'utf8')) as { auths: unknown }).auths,
  };
}

const LOGIN = ['login', '-u', 'me', '--password-stdin'];

describe.skipIf(!hasRegistry)('at a registry (needs docker-registry and htpasswd)', () => {
  let plain: TestRegistry;
  let withPasswords: TestRegistry;
  let withTokens: TestRegistry;
  let withTls: TestRegistry;
  beforeAll(async () => {
    [plain, withPasswords, withTokens, withTls] = await Promise.all([
      startRegistry(),
      startRegistry({ users: { me: PASSWORD } }),
      startRegistry({ tokens: { users: { me: PASSWORD }, anonymous: [] } }),
      startRegistry({ users: { me: PASSWORD }, tls: true }),
    ]);
  }, 120_000);
  afterAll(async () => {
    await Promise.all([plain, withPasswords, withTokens, withTls].map((registry) => registry.stop()));
  });

  test('a name and a password that are right are stored for the person alone, and used from then on', async () => {
    for (const registry of [withPasswords, withTokens]) {
      const at = home();
      const { host } = registry;
      const { stdout, stderr, status } = await at.boxctl([...LOGIN, host], `${PASSWORD}\n`);
      expect({ stdout, stderr, status }).toEqual({
        stdout: `logged in to ${host} as me: kept in ${at.auth}, for you alone to read, and not encrypted\n`,
        stderr: '',
        status: 0,
      });
      expect(statSync(at.auth).mode & 0o7777).toBe(0o600);
      expect(statSync(dirname(at.auth)).mode & 0o7777).toBe(0o700);
      expect(at.auths()).toEqual({ [host]: { auth: base64(`me:${PASSWORD}`) } });
      expect(await at.boxctl(['login', '--get-login', host])).toMatchObject({ stdout: 'me\n', stderr: '', status: 0 });
      const client = openClient(registryOptions({ env: at.env, home: at.folder }));
      try {
        // It gets as far as to be told that there is no such image.
        expect(await client.resolve(referenceOf(`${host}/none:1`))).toBeUndefined();
      } finally {
        await client.close();
      }
    }
  });

  test('a password that is wrong is told, and nothing is stored', async () => {
    for (const registry of [withPasswords, withTokens]) {
      const at = home();
      const { stderr, stdout, status } = await at.boxctl([...LOGIN, registry.host], `${PASSWORD}x`);
      expect({ stdout, status }).toEqual({ stdout: '', status: 125 });
      expect(stderr).toContain(`login as me: ${registry.host}: `);
      expect(stderr).toMatch(
        /refuses the name or the password|the name and the password are refused by its token server/u,
      );
      expect(stderr).not.toContain('no such image');
      expect(stderr).toContain('many registries want an access token');
      expect(existsSync(at.auth)).toBe(false);
    }
  });

  test('a registry that asks nobody for a name is logged in to, with a warning', async () => {
    const at = home();
    const { stderr, stdout, status } = await at.boxctl(['login', '--json', '-u', 'me', '--password-stdin', plain.host]);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ registry: plain.host, username: 'me', checked: false, stored: at.auth });
    expect(JSON.parse(stderr)).toMatchObject({
      event: 'warning',
      message: expect.stringContaining('was not checked') as string,
    });
  });

  test('over TLS, the authority in certs.d is trusted, and without it nothing is sent', async () => {
    const at = home();
    const refused = await at.boxctl([...LOGIN, withTls.host]);
    expect(refused.status).toBe(125);
    expect(refused.stderr).toContain('certs.d');
    const folder = join(at.folder, '.config/containers/certs.d', withTls.host);
    mkdirSync(folder, { recursive: true });
    copyFileSync(withTls.authority?.cert ?? '', join(folder, 'ca.crt'));
    expect(await at.boxctl([...LOGIN, withTls.host])).toMatchObject({ status: 0, stderr: '' });
    writeFileSync(join(folder, 'client.key'), MARKER);
    const broken = await at.boxctl([...LOGIN, withTls.host]);
    expect(broken).toMatchObject({ status: 125 });
    expect(broken.stderr).toContain('client.key has no certificate beside it');
  });

  test('a registry that the configuration blocks is not talked to, and nobody is asked for a password', async () => {
    const at = home(`[[registry]]\nlocation = "${withPasswords.host}"\nblocked = true\n`);
    withPasswords.forget();
    const { stderr, status } = await at.boxctl([...LOGIN, withPasswords.host]);
    expect(status).toBe(125);
    expect(stderr).toContain('registries.conf blocks it');
    expect(await withPasswords.requests()).toEqual([]);
  });

  test('what else is in the file stays, a link to it stays a link, and a broken one is not written over', async () => {
    const at = home();
    const real = join(at.folder, 'real.json');
    mkdirSync(dirname(at.auth), { mode: 0o700 });
    const other = {
      auths: { 'other.test': { auth: 'b3RoZXI6eA==' } },
      credHelpers: {},
      HttpHeaders: { X: ['y'] },
      n: 1,
    };
    writeFileSync(real, JSON.stringify(other), { mode: 0o600 });
    symlinkSync(real, at.auth);
    expect((await at.boxctl([...LOGIN, withPasswords.host])).status).toBe(0);
    expect(lstatSync(at.auth).isSymbolicLink()).toBe(true);
    const written = JSON.parse(readFileSync(real, 'utf8')) as typeof other;
    expect(written).toEqual({
      ...other,
      auths: { ...other.auths, [withPasswords.host]: { auth: base64(`me:${PASSWORD}`) } },
    });
    expect((await at.boxctl(['logout', withPasswords.host])).status).toBe(0);
    expect(JSON.parse(readFileSync(real, 'utf8'))).toEqual(other);
    const broken = `{"auths": {"x.test": {"auth": "${base64(MARKER)}"`;
    writeFileSync(real, broken);
    const failed = await at.boxctl([...LOGIN, withPasswords.host]);
    expect(failed.status).toBe(125);
    expect(failed.stderr).toContain('auth.json:1 is no JSON');
    expect(failed.stderr).not.toContain(base64(MARKER));
    expect(readFileSync(real, 'utf8')).toBe(broken);
  });

  test('logins at the same time all stay', async () => {
    const at = home();
    const keys = Array.from({ length: 8 }, (_, index) => `${withPasswords.host}/org${index}`);
    const all = await Promise.all(keys.map((key) => at.boxctl([...LOGIN, key])));
    expect(all.map(({ status }) => status)).toEqual(keys.map(() => 0));
    expect(Object.keys(at.auths() as object).toSorted()).toEqual(keys.toSorted());
  }, 120_000);

  test('podman and skopeo read what login has written, and boxctl reads what they have', async () => {
    const at = home(`[[registry]]\nlocation = "${withPasswords.host}"\ninsecure = true\n`);
    expect((await at.boxctl([...LOGIN, withPasswords.host])).status).toBe(0);
    const skopeo = (...words: readonly string[]): Promise<Ended> =>
      run(['skopeo', ...words], { env: at.env, stdin: PASSWORD });
    expect(await skopeo('login', '--get-login', withPasswords.host)).toMatchObject({ stdout: 'me\n', status: 0 });
    expect((await at.boxctl(['logout', withPasswords.host])).status).toBe(0);
    expect((await skopeo('login', '--get-login', withPasswords.host)).status).not.toBe(0);
    const theirs = await skopeo('login', '--tls-verify=false', '-u', 'me', '--password-stdin', withPasswords.host);
    expect(theirs.status, theirs.stderr).toBe(0);
    expect(await at.boxctl(['login', '--get-login', withPasswords.host])).toMatchObject({ stdout: 'me\n', status: 0 });
    expect((await at.boxctl(['logout', '--all'])).status).toBe(0);
    expect(at.auths()).toEqual({});
  });

  test('a helper of the configuration stores, tells and erases it', async () => {
    const at = home('credential-helpers = ["kept"]\n');
    mkdirSync(join(at.folder, 'bin'));
    const kept = join(at.folder, 'kept.json');
    const script = `#!/bin/sh
case $1 in
store) cat > ${kept} ;;
get) if [ -f ${kept} ]; then cat ${kept}; else echo "credentials not found in native keychain"; exit 1; fi ;;
erase) rm ${kept} ;;
list) echo '{}' ;;
esac
`;
    writeFileSync(join(at.folder, 'bin/docker-credential-kept'), script, { mode: 0o755 });
    const done = await at.boxctl([...LOGIN, withPasswords.host]);
    expect(done).toMatchObject({ status: 0, stderr: '' });
    expect(done.stdout).toContain('kept in docker-credential-kept, by the helper');
    expect(existsSync(at.auth)).toBe(false);
    expect(JSON.parse(readFileSync(kept, 'utf8'))).toEqual({
      ServerURL: withPasswords.host,
      Username: 'me',
      Secret: PASSWORD,
    });
    expect(await at.boxctl(['login', '--get-login', withPasswords.host])).toMatchObject({ stdout: 'me\n' });
    expect((await at.boxctl(['logout', withPasswords.host])).status).toBe(0);
    expect(existsSync(kept)).toBe(false);
    expect((await at.boxctl(['logout', withPasswords.host])).status).toBe(125);
  });

  test('at a terminal, the name and the password are asked for, and the password is not shown', async () => {
    const at = home();
    const command = `${process.execPath} ${PROGRAM} login ${withPasswords.host}; echo "status $?"; stty -a | grep -o -- '-\\?echo '`;
    const { stdout } = await typeInto(command, at.env, [
      ['Name at', 'me\r'],
      ['Password:', `x\u007f${PASSWORD}\r`],
    ]);
    expect(stdout).toContain('logged in to');
    expect(stdout).toContain('status 0');
    expect(stdout).not.toContain(MARKER);
    // The terminal is as it was.
    expect(stdout).toMatch(/(?<!-)echo /u);
    expect(at.auths()).toEqual({ [withPasswords.host]: { auth: base64(`me:${PASSWORD}`) } });
  });

  test('at a terminal, Ctrl-C ends the question as it ends a command, and the terminal is as it was', async () => {
    const at = home();
    const command = `${process.execPath} ${PROGRAM} login -u me ${withPasswords.host}; echo "status $?"; stty -a | grep -o -- '-\\?echo '`;
    const { stdout } = await typeInto(command, at.env, [['Password:', 'S3CRET\u0003']]);
    expect(stdout).toContain('status 130');
    expect(stdout).not.toContain(MARKER);
    expect(stdout).toMatch(/(?<!-)echo /u);
    expect(existsSync(at.auth)).toBe(false);
  });

  test.skipIf(testUser === undefined)(
    'an ordinary user logs in for himself (needs root and the user boxctl-test)',
    async () => {
      if (testUser === undefined) return;
      const at = home();
      chownSync(at.folder, testUser.uid, testUser.gid);
      chownSync(join(at.folder, 'run'), testUser.uid, testUser.gid);
      const done = await boxctl([...LOGIN, withPasswords.host], { env: at.env, user: testUser, stdin: PASSWORD });
      expect(done).toMatchObject({ status: 0, stderr: '' });
      expect(statSync(at.auth)).toMatchObject({ uid: testUser.uid, mode: 0o100600 });
      // Root's boxctl neither uses it nor changes it.
      const before = readFileSync(at.auth, 'utf8');
      const told = await at.boxctl(['login', '--get-login', withPasswords.host]);
      expect(told.status).toBe(125);
      expect(told.stderr).toContain(`belongs to the user ${testUser.uid}`);
      expect((await at.boxctl([...LOGIN, withPasswords.host])).status).toBe(125);
      expect(readFileSync(at.auth, 'utf8')).toBe(before);
    },
  );
});

/** Runs a command at a terminal of its own and types each answer when its question is there. */
async function typeInto(
  command: string,
  env: Readonly<Record<string, string>>,
  answers: readonly (readonly [question: string, answer: string])[],
): Promise<Ended> {
  const left = [...answers];
  return run(['script', '-qefc', command, '/dev/null'], {
    env,
    stdin: new Promise<string>(() => undefined),
    onStart: (child) => {
      let seen = '';
      child.stdout?.on('data', (chunk: Buffer) => {
        seen += chunk.toString();
        const [next] = left;
        if (next === undefined || !seen.includes(next[0])) return;
        seen = '';
        left.shift();
        child.stdin?.write(next[1]);
      });
    },
  });
}

describe('without a registry', () => {
  test.each<[string, readonly string[], string, string]>([
    [
      'a password on the command line',
      ['login', '-u', 'me', '--password', PASSWORD, 'r.test'],
      'can be read by every process',
      'use --password-stdin',
    ],
    [
      'the same in short',
      ['login', '-u', 'me', `-p${PASSWORD}`, 'r.test'],
      'can be read by every process',
      'use --password-stdin',
    ],
    ['a password as a word', ['login', 'r.test', 'me', PASSWORD], 'one registry at a time', '--password-stdin'],
    [
      'no name for a password',
      ['login', '--password-stdin', 'r.test'],
      '--password-stdin needs --username',
      'boxctl login -u NAME',
    ],
    ['nobody to ask', ['login', 'r.test'], 'nobody can be asked', '--password-stdin r.test'],
    [
      'a password before the registry',
      ['login', '-u', 'me', '--password-stdin', `me:${PASSWORD}@r.test`],
      'is no registry',
      'ghcr.io',
    ],
    [
      'an image in place of a registry',
      ['login', '-u', 'me', '--password-stdin', 'r.test/x:1'],
      'is no registry',
      'ghcr.io',
    ],
    ['a path of parents', ['login', '-u', 'me', '--password-stdin', 'r.test/../x'], 'is no registry', 'ghcr.io'],
    ['a name with a colon', ['login', '-u', 'm:e', '--password-stdin', 'r.test'], 'a colon is in the name', ''],
    ['--get-login with a name', ['login', '--get-login', '-u', 'me'], '--get-login only tells a name', ''],
    ['nobody logged in', ['login', '--get-login', 'r.test'], 'nobody is logged in to r.test', 'boxctl login r.test'],
    ['nothing to log out of', ['logout', 'r.test'], 'boxctl has stored nothing for r.test', 'boxctl login r.test'],
    ['--all with a registry', ['logout', '--all', 'r.test'], '--all is for every registry', ''],
  ])('%s is refused', async (_name, words, message, hint) => {
    const at = home('[[registry]]\nlocation = "r.test"\nblocked = false\n');
    for (const json of [[], ['--json']]) {
      const [command = '', ...rest] = words;
      const { stderr, stdout, status } = await at.boxctl([command, ...json, ...rest]);
      expect({ stdout, status }).toEqual({ stdout: '', status: 125 });
      expect(stderr).toContain(message);
      expect(stderr).toContain(hint);
    }
    expect(existsSync(at.auth)).toBe(false);
  });

  test.each([
    ['an empty password', ''],
    ['an empty line', '\n'],
    ['two lines', `${PASSWORD}\n${PASSWORD}\n`],
    ['a carriage return within', `a\rb`],
    ['more than any password', 'x'.repeat(100_000)],
  ])('%s from standard input is refused before anything is sent', async (_name, stdin) => {
    const at = home();
    // Nothing listens there: a request would fail with another message.
    const { stderr, status } = await at.boxctl([...LOGIN, '127.0.0.1:1'], stdin);
    expect(status).toBe(125);
    expect(stderr).toMatch(/password/u);
    expect(stderr).not.toMatch(/connection|refused|reach/u);
  });

  test('a registry that cannot be reached is told, and nothing is stored', async () => {
    const at = home();
    const { stderr, status } = await at.boxctl([...LOGIN, '127.0.0.1:1']);
    expect(status).toBe(125);
    expect(stderr).toContain('login as me: 127.0.0.1:1: ');
    expect(existsSync(at.auth)).toBe(false);
  });

  test('credentials of docker’s own file stay there, and logout says so', async () => {
    const at = home();
    mkdirSync(join(at.folder, '.docker'));
    const file = join(at.folder, '.docker/config.json');
    writeFileSync(file, JSON.stringify({ auths: { 'r.test': { auth: base64(`me:${PASSWORD}`) } } }), { mode: 0o600 });
    expect(await at.boxctl(['login', '--get-login', 'r.test'])).toMatchObject({ stdout: 'me\n' });
    const { stderr, status } = await at.boxctl(['logout', 'r.test']);
    expect(status).toBe(125);
    expect(stderr).toContain(`${file}: docker logout r.test`);
    const named = await at.boxctl(['logout', '--authfile', file, 'r.test']);
    expect(named).toMatchObject({ status: 0, stdout: 'logged out of r.test\n' });
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ auths: {} });
  });

  test('a folder in which others could exchange the file is not written to', async () => {
    const at = home();
    mkdirSync(dirname(at.auth));
    writeFileSync(at.auth, '{"auths": {"r.test": {}}}', { mode: 0o600 });
    chmodSync(dirname(at.auth), 0o777);
    const { stderr, status } = await at.boxctl(['logout', '--all']);
    expect(status).toBe(125);
    expect(stderr).toContain('everybody can write to');
    expect(readFileSync(at.auth, 'utf8')).toContain('r.test');
  });
});
