/** The lock of an image of a registry: the tag moves, the container does not, and nothing asks for the tag. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { boxctl, type Ended, type RunOptions } from '../support/boxctl.ts';
import { BUSYBOX } from '../support/busybox.ts';
import type { TestImage } from '../support/image-archives.ts';
import { hasRegistry, startRegistry, type TestRegistry } from '../support/registry.ts';
import { pushImage, pushIndex, type Pushed } from '../support/registry-images.ts';
import { tempFolder } from '../support/temp.ts';
import { testUser, type TestUser } from '../support/user.ts';
import { archive } from '../unit/image/archive-fixture.ts';

const base = archive(
  { name: 'bin/', type: '5', mode: 0o755 },
  { name: 'bin/busybox', data: readFileSync(BUSYBOX), mode: 0o755 },
  ...['sh', 'cat', 'true'].map((name) => ({ name: `bin/${name}`, type: '2' as const, link: 'busybox' })),
);
const imageOf = (text: string): TestImage => ({
  layers: [base, archive({ name: 'note', data: text })],
  config: { Cmd: ['cat', '/note'], Env: ['PATH=/bin'] },
});

const HERE = process.arch === 'arm64' ? 'arm64' : 'amd64';
const OTHER = process.arch === 'arm64' ? 'amd64' : 'arm64';

interface Project {
  readonly folder: string;
  /** Of the image's pulls: another one has nothing yet. */
  readonly store: string;
  boxctl(args: readonly string[], options?: RunOptions): Promise<Ended>;
  write(text: string, name?: string): void;
  lock(): string;
}

function project(text: string, user?: TestUser): Project {
  const outer = tempFolder({ open: true });
  const folder = join(outer, 'project');
  if (user === undefined) mkdirSync(folder);
  else execFileSync('install', ['-d', '-o', user.name, folder]);
  const store = user === undefined ? join(outer, 'store') : join(folder, 'store');
  const write = (content: string, name = 'container.yaml'): void => writeFileSync(join(folder, name), content);
  write(text);
  return {
    folder,
    store,
    write,
    boxctl: (args, options = {}) =>
      boxctl(args, {
        cwd: folder,
        ...(user === undefined ? {} : { user }),
        ...options,
        env: { BOXCTL_STORE: store, ...options.env },
      }),
    lock: () => readFileSync(join(folder, 'container.lock'), 'utf8'),
  };
}

const withStore = (name: string): RunOptions => ({ env: { BOXCTL_STORE: join(tempFolder({ open: true }), name) } });

describe.skipIf(!hasRegistry)('the lock of an image of a registry (needs docker-registry)', () => {
  let registry: TestRegistry;
  beforeAll(async () => {
    registry = await startRegistry();
  });
  afterAll(() => registry.stop());

  const paths = async (): Promise<readonly string[]> =>
    (await registry.requests()).map(({ method, path }) => `${method} ${path}`);

  /** An image for this machine and for another, behind one tag. */
  async function pushBoth(repository: string, tag: string, text: string): Promise<readonly [string, Pushed, Pushed]> {
    const [here, other] = [
      await pushImage(registry, repository, undefined, imageOf(text), { platform: { architecture: HERE } }),
      await pushImage(registry, repository, undefined, imageOf(`${text} elsewhere`), {
        platform: { architecture: OTHER, ...(OTHER === 'arm64' ? { variant: 'v8' } : {}) },
      }),
    ];
    const attestation = { ...here.descriptor, platform: { os: 'unknown', architecture: 'unknown' } };
    const index = await pushIndex(registry, repository, tag, [
      { ...other.descriptor, platform: { os: 'linux', architecture: OTHER } },
      { ...here.descriptor, platform: { os: 'linux', architecture: HERE } },
      { ...attestation, annotations: { 'vnd.docker.reference.type': 'attestation-manifest' } },
      { ...here.descriptor, platform: { os: 'windows', architecture: HERE } },
      { ...here.descriptor, platform: { os: 'linux', architecture: 'x\n\u001b[31m' } },
    ]);
    return [index, here, other];
  }

  const callers: readonly (readonly [string, TestUser | undefined])[] = [
    ['root', undefined],
    ...(testUser === undefined ? [] : [['an ordinary user', testUser] as const]),
  ];

  test.each(callers)('as %s: a tag that moves is not followed, and nothing asks for it', async (who, user) => {
    const repository = `moves/${who.replaceAll(' ', '-')}`;
    const [index, here, other] = await pushBoth(repository, '1', 'first');
    const ref = `${registry.host}/${repository}:1`;
    const at = project(`image: ${ref}\npull_policy: always\n`, user);
    expect(await at.boxctl(['lock'])).toMatchObject({ status: 0, stderr: '' });
    const platform = (name: string, { digest, id }: Pushed): string =>
      `    linux/${name}:\n      manifest: ${digest}\n      config: sha256:${id}\n`;
    const both = [platform(HERE, here), platform(OTHER, other)].toSorted().join('');
    expect(at.lock()).toBe(
      `version: 1\nimage:\n  ref: ${ref}\n  name: ${ref}\n  index: ${index}\n  platforms:\n${both}`,
    );
    await pushBoth(repository, '1', 'second');
    await registry.forget();
    for (const args of [['up'], ['up', '--locked'], ['run', '--locked', '--', 'cat', '/note'], ['pull', '--quiet']]) {
      const { status, stdout, stderr } = await at.boxctl(args);
      const wanted = args[0] === 'pull' ? `${here.digest}\n` : 'first';
      expect({ args, status, stdout, stderr }).toMatchObject({ args, status: 0, stdout: wanted });
    }
    const asked = await paths();
    expect(asked.length).toBeGreaterThan(0);
    expect(asked.filter((path) => path.includes('/manifests/1'))).toEqual([]);
    // What is in the store needs no request at all.
    await registry.forget();
    expect(await at.boxctl(['up', '--locked'])).toMatchObject({ status: 0, stdout: 'first' });
    expect(await at.boxctl(['plan', '--locked'])).toMatchObject({ status: 0 });
    expect(await paths()).toEqual([]);
  });

  test('an image that was pulled by its tag before is not fetched again for the lock', async () => {
    await pushBoth('before/lock', '1', 'first');
    const at = project(`image: ${registry.host}/before/lock:1\n`);
    expect(await at.boxctl(['up'])).toMatchObject({ status: 0, stdout: 'first' });
    expect(await at.boxctl(['lock'])).toMatchObject({ status: 0 });
    await registry.forget();
    expect(await at.boxctl(['up', '--locked'])).toMatchObject({ status: 0, stdout: 'first' });
    expect(await paths()).toEqual([]);
  });

  test('a newer image under the tag in the store does not take the place of the locked one', async () => {
    await pushBoth('newer/store', '1', 'first');
    const at = project(`image: ${registry.host}/newer/store:1\n`);
    expect(await at.boxctl(['lock'])).toMatchObject({ status: 0 });
    await pushBoth('newer/store', '1', 'second');
    expect(await at.boxctl(['image', 'pull', `${registry.host}/newer/store:1`])).toMatchObject({ status: 0 });
    expect(await at.boxctl(['up', '--locked'])).toMatchObject({ status: 0, stdout: 'first' });
    const never = await at.boxctl(['up', '--locked'], withStore('empty'));
    expect(never).toMatchObject({ status: 0, stdout: 'first' });
    at.write(`image: ${registry.host}/newer/store:1\npull_policy: never\n`);
    const missing = await at.boxctl(['up', '--locked'], withStore('other'));
    expect(missing).toMatchObject({ status: 125, stdout: '' });
  });

  test('outdated tells which tags have moved, and lock --update follows them', async () => {
    const [index] = await pushBoth('out/dated', '1', 'first');
    const ref = `${registry.host}/out/dated:1`;
    const at = project(`image: ${ref}\n`);
    const none = await at.boxctl(['outdated']);
    expect(none.status).toBe(125);
    expect(none.stderr).toContain('container.yaml has no lock for its image');
    expect(await at.boxctl(['lock'])).toMatchObject({ status: 0 });
    expect(await at.boxctl(['outdated'])).toMatchObject({ status: 0, stdout: '', stderr: '' });
    const [moved] = await pushBoth('out/dated', '1', 'second');
    const told = await at.boxctl(['outdated']);
    expect(told.status).toBe(1);
    const digits = (digest: string): string => digest.slice(0, 'sha256:'.length + 12);
    expect(told.stdout).toMatch(
      new RegExp(`^FILE +REFERENCE +LOCKED +NOW\ncontainer.yaml +${ref} +${digits(index)} +${digits(moved)}\n$`, 'u'),
    );
    expect(told.stderr).toContain('boxctl lock --update container.yaml');
    expect(JSON.parse((await at.boxctl(['outdated', '--json'])).stdout)).toEqual([
      { file: 'container.yaml', reference: ref, locked: index, now: moved, outdated: true },
    ]);
    // Without --update the lock stays, and nothing is asked.
    await registry.forget();
    expect(await at.boxctl(['lock'])).toMatchObject({ status: 0, stdout: 'container.lock: is as it was\n' });
    expect(await at.boxctl(['lock', '--check'])).toMatchObject({ status: 0 });
    expect(await at.boxctl(['lock', '--update', '--offline'])).toMatchObject({ status: 0 });
    expect(await paths()).toEqual([]);
    const updated = await at.boxctl(['lock', '--update']);
    expect(updated.stdout).toContain(`  ~ ${ref} (index) ${digits(index)} → ${digits(moved)}`);
    expect(updated.stdout).toContain(`  ~ ${ref} for linux/${HERE} sha256:`);
    expect(await at.boxctl(['outdated'])).toMatchObject({ status: 0 });
    expect(await at.boxctl(['up', '--locked'])).toMatchObject({ status: 0, stdout: 'second' });
  });

  test('a tag that is gone is outdated, and a digest without a tag cannot be', async () => {
    const { digest } = await pushImage(registry, 'gone/tag', '1', imageOf('first'));
    const at = project(`image: ${registry.host}/gone/tag:nothing@${digest}\n`);
    const gone = await at.boxctl(['outdated']);
    expect(gone).toMatchObject({ status: 1 });
    expect(gone.stdout).toMatch(/ gone\n$/u);
    at.write(`image: ${registry.host}/gone/tag@${digest}\n`);
    expect(await at.boxctl(['outdated'])).toMatchObject({ status: 0, stdout: '' });
    at.write('image: {host_tools: [sh]}\n');
    expect(await at.boxctl(['outdated'])).toMatchObject({ status: 0, stdout: '' });
  });

  test('--platform locks one alone, and one more from the same index after the tag has moved', async () => {
    const [index, here, other] = await pushBoth('plat/forms', '1', 'first');
    const at = project(`image: ${registry.host}/plat/forms:1\n`);
    expect(await at.boxctl(['lock', '--platform', `linux/${OTHER}`])).toMatchObject({ status: 0 });
    expect(at.lock()).not.toContain(here.digest);
    const lacking = await at.boxctl(['up', '--locked']);
    expect(lacking).toMatchObject({ status: 125, stdout: '' });
    expect(lacking.stderr).toContain(`is not locked for linux/${HERE}`);
    await pushBoth('plat/forms', '1', 'second');
    expect(await at.boxctl(['lock', '--platform', HERE === 'amd64' ? 'linux/x86_64' : 'linux/aarch64'])).toMatchObject({
      status: 0,
    });
    for (const digest of [index, here.digest, other.digest]) expect(at.lock()).toContain(digest);
    expect(await at.boxctl(['up', '--locked'])).toMatchObject({ status: 0, stdout: 'first' });
    const unknown = await at.boxctl(['lock', '--update', '--platform', 'linux/s390x']);
    expect(unknown.status).toBe(125);
    expect(unknown.stderr).toContain('has no image for linux/s390x');
    expect(unknown.stderr).toContain(`it has linux/amd64, linux/arm64`);
    expect(await at.boxctl(['lock', '--platform', 'windows/amd64'])).toMatchObject({ status: 125 });
  });

  test('an image without an index is locked by its manifest alone', async () => {
    const { digest, id } = await pushImage(registry, 'one/manifest', '1', imageOf('alone'));
    const at = project(`image: ${registry.host}/one/manifest:1\n`);
    expect(await at.boxctl(['lock'])).toMatchObject({ status: 0 });
    expect(at.lock()).toContain(
      `  platforms:\n    linux/${HERE}:\n      manifest: ${digest}\n      config: sha256:${id}\n`,
    );
    expect(at.lock()).not.toContain('index:');
    expect(await at.boxctl(['outdated'])).toMatchObject({ status: 0 });
    expect(await at.boxctl(['up', '--locked'])).toMatchObject({ status: 0, stdout: 'alone' });
  });

  test('a reference that was changed since is a warning beside a lock, and an error with --locked', async () => {
    await pushImage(registry, 'new/ref', '1', imageOf('first'));
    await pushImage(registry, 'new/ref', '2', imageOf('second'));
    const at = project(`image: ${registry.host}/new/ref:1\n`);
    expect(await at.boxctl(['lock'])).toMatchObject({ status: 0 });
    at.write(`image: ${registry.host}/new/ref:2\n`);
    const locked = await at.boxctl(['up', '--locked']);
    expect(locked).toMatchObject({ status: 125, stdout: '' });
    expect(locked.stderr).toMatch(
      /^container\.yaml:1:\d: error: the image \S+:2 is not locked: container\.lock:2 has \S+:1/u,
    );
    const warned = await at.boxctl(['up', '--quiet']);
    expect(warned).toMatchObject({ status: 0, stdout: 'second' });
    const check = await at.boxctl(['lock', '--check']);
    expect(check.status).toBe(1);
    expect(check.stdout).toContain(`+ ${registry.host}/new/ref:2 is not locked  (container.yaml:1)`);
    expect((await at.boxctl(['lock', '--offline'])).stderr).toContain('--offline asks no registry');
    expect(await at.boxctl(['lock'])).toMatchObject({ status: 0 });
    expect(await at.boxctl(['up', '--locked'])).toMatchObject({ status: 0, stdout: 'second' });
  });

  describe('a hostile lock', () => {
    const lockOf = (ref: string, name: string, manifest: string, config: string): string =>
      `version: 1\nimage:\n  ref: ${ref}\n  name: ${name}\n  platforms:\n    linux/${HERE}:\n` +
      `      manifest: ${manifest}\n      config: ${config}\n`;

    test('cannot lead a reference to another repository, registry or tag', async () => {
      const evil = await pushImage(registry, 'evil/image', '1', imageOf('evil'));
      const ref = `${registry.host}/good/image:1`;
      const at = project(`image: ${ref}\n`);
      const names = [
        `${registry.host}/evil/image:1`,
        `${registry.host}/good/image:2`,
        `localhost:${registry.port}/good/image:1`,
        'docker.io/good/image:1',
        'not a reference',
      ];
      await registry.forget();
      for (const name of names) {
        at.write(lockOf(ref, JSON.stringify(name), evil.digest, `sha256:${evil.id}`), 'container.lock');
        for (const args of [['up'], ['up', '--locked'], ['pull']]) {
          const { status, stdout, stderr } = await at.boxctl(args);
          expect({ name, status, stdout }).toEqual({ name, status: 125, stdout: '' });
          expect(stderr).toContain(`${ref} cannot mean ${name}, which the lock has for it (container.lock:2)`);
        }
      }
      // A short name is of docker.io, unless the person's configuration says otherwise.
      at.write('image: short:1\n');
      at.write(lockOf('short:1', `${registry.host}/short:1`, evil.digest, `sha256:${evil.id}`), 'container.lock');
      const short = await at.boxctl(['up']);
      expect(short).toMatchObject({ status: 125, stdout: '' });
      expect(short.stderr).toContain('cannot mean');
      expect(await paths()).toEqual([]);
      // Where it does say so, the lock may, too.
      const conf = join(at.folder, 'registries.conf');
      writeFileSync(conf, `unqualified-search-registries = ["${registry.host}"]\n`);
      const good = await pushImage(registry, 'short', '1', imageOf('good'));
      at.write(lockOf('short:1', `${registry.host}/short:1`, good.digest, `sha256:${good.id}`), 'container.lock');
      const env = { CONTAINERS_REGISTRIES_CONF: conf };
      expect(await at.boxctl(['up', '--locked'], { env })).toMatchObject({ status: 0, stdout: 'good' });
    });

    test('cannot have a digest for another content: the configuration must be the one of the lock', async () => {
      const good = await pushImage(registry, 'digests/differ', '1', imageOf('good'));
      const other = await pushImage(registry, 'digests/differ', '2', imageOf('other'));
      const ref = `${registry.host}/digests/differ:1`;
      const at = project(`image: ${ref}\n`);
      at.write(lockOf(ref, ref, other.digest, `sha256:${good.id}`), 'container.lock');
      for (const args of [['up'], ['up'], ['up', '--locked'], ['pull']]) {
        const { status, stdout, stderr } = await at.boxctl(args);
        expect({ status, stdout }).toEqual({ status: 125, stdout: '' });
        expect(stderr).toContain('is another than container.lock has');
      }
      at.write(lockOf(ref, ref, `sha256:${'0'.repeat(64)}`, `sha256:${good.id}`), 'container.lock');
      const unknown = await at.boxctl(['up']);
      expect(unknown).toMatchObject({ status: 125, stdout: '' });
    });
  });

  describe('credentials of a helper that answers for every registry', () => {
    /** A home with a helper; `list` is what it has stored, and `config` what docker's file says. */
    function home(config: object, listed: object): RunOptions & { readonly asked: () => string } {
      const folder = tempFolder({ open: true });
      const [bin, log] = [join(folder, 'bin'), join(folder, 'log')];
      mkdirSync(bin);
      mkdirSync(join(folder, '.docker'));
      writeFileSync(log, '');
      const helper = join(bin, 'docker-credential-every');
      const answer = JSON.stringify({ ServerURL: 'x', Username: 'me', Secret: 'THE-SECRET' });
      writeFileSync(
        helper,
        `#!/bin/sh\nread -r host\necho "$1 $host" >> ${log}\ncase $1 in get) echo '${answer}';; list) echo '${JSON.stringify(listed)}';; esac\n`,
      );
      chmodSync(helper, 0o755);
      writeFileSync(join(folder, '.docker/config.json'), JSON.stringify(config), { mode: 0o600 });
      return {
        env: { HOME: folder, PATH: `${bin}:${process.env['PATH'] ?? ''}`, DOCKER_CONFIG: join(folder, '.docker') },
        asked: () => readFileSync(log, 'utf8'),
      };
    }

    test('are used for a registry that the person has named, and for another one only where it is allowed', async () => {
      await pushImage(registry, 'helper/image', '1', imageOf('pulled'));
      const file = `image: ${registry.host}/helper/image:1\n`;
      const every = { credsStore: 'every' };
      const run = (options: RunOptions, ...args: readonly string[]): Promise<Ended> =>
        project(file).boxctl(['up', ...args], options);
      const refused = await run(home(every, {}));
      expect(refused).toMatchObject({ status: 125, stdout: '' });
      expect(refused.stderr).toMatch(
        /^container\.yaml:1:\d: error: not allowed: the container is made from an image of /u,
      );
      expect(refused.stderr).toContain(`--allow registry=${registry.host}`);
      expect(refused.stderr).not.toContain('THE-SECRET');
      expect(await run(home(every, {}), '--allow', `registry=${registry.host}`)).toMatchObject({ stdout: 'pulled' });
      // By a login: docker leaves an empty entry, other tools an entry of the helper.
      expect(await run(home({ ...every, auths: { [registry.host]: {} } }, {}))).toMatchObject({ stdout: 'pulled' });
      expect(await run(home(every, { [`http://${registry.host}`]: 'me' }))).toMatchObject({ stdout: 'pulled' });
      expect(await run(home({ credHelpers: { [registry.host]: 'every' } }, {}))).toMatchObject({ stdout: 'pulled' });
      // Nobody is asked where no registry is.
      expect(await run(home({ auths: {} }, {}))).toMatchObject({ stdout: 'pulled' });
    });

    test('are asked for by no command that fetches nothing, and by none whose image is there', async () => {
      await pushImage(registry, 'helper/quiet', '1', imageOf('pulled'));
      const at = project(`image: ${registry.host}/helper/quiet:1\n`);
      const me = home({ credsStore: 'every' }, {});
      for (const command of ['plan', 'validate', 'audit']) await at.boxctl([command], me);
      expect(me.asked()).toBe('');
      expect(await at.boxctl(['up'])).toMatchObject({ status: 0 });
      expect(await at.boxctl(['up'], me)).toMatchObject({ status: 0, stdout: 'pulled' });
      expect(me.asked()).toBe('');
    });

    test('are demanded by lock, outdated and pull of a file as well, by what its lock leads to; allow remembers the yes', async () => {
      await pushImage(registry, 'helper/other', '1', imageOf('pulled'));
      const at = project(`image: ${registry.host}/helper/other:1\n`);
      const me = home({ credsStore: 'every' }, {});
      const allowance = `--allow registry=${registry.host}`;
      for (const args of [['lock'], ['pull']]) {
        const { status, stderr } = await at.boxctl(args, me);
        expect({ args, status }).toEqual({ args, status: 125 });
        expect(stderr).toContain(allowance);
      }
      expect(await at.boxctl(['lock'])).toMatchObject({ status: 0 });
      for (const args of [['outdated'], ['up', '--locked']])
        expect((await at.boxctl(args, me)).stderr).toContain(allowance);
      const allowed = await at.boxctl(['allow', '--yes'], me);
      expect(allowed).toMatchObject({ status: 0 });
      expect(allowed.stdout).toContain(allowance);
      expect(await at.boxctl(['up', '--locked'], me)).toMatchObject({ status: 0, stdout: 'pulled' });
      // What the person types is named by that.
      expect(await at.boxctl(['image', 'pull', `${registry.host}/helper/other:1`], me)).toMatchObject({ status: 0 });
    });
  });
});
