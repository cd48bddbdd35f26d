/** `image.verify` and policies for images, through whole commands against a real registry. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { boxctl, type Ended, type RunOptions } from '../support/boxctl.ts';
import type { TestImage } from '../support/image-archives.ts';
import { BUSYBOX } from '../support/busybox.ts';
import { LyingRegistry, TYPES } from '../support/lying-registry.ts';
import { hasRegistry, startRegistry, type TestRegistry } from '../support/registry.ts';
import { pushImage, pushIndex } from '../support/registry-images.ts';
import {
  bundleLayer,
  digestOf,
  makeSigner,
  payloadOf,
  putReferrer,
  putSignatures,
  signatureOf,
  SIGNATURE_NOTE,
  SIMPLE_SIGNING,
} from '../support/signing.ts';
import { tempFolder } from '../support/temp.ts';
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

const [signer, other] = [makeSigner(), makeSigner('Ed25519')];

interface Place {
  readonly folder: string;
  readonly home: string;
  boxctl(...args: readonly string[]): Promise<Ended>;
  /** `up --quiet` of a file with these keys. */
  up(keys: object, options?: RunOptions): Promise<Ended>;
  /** Writes the person's policy file. */
  policy(policy: object): void;
  layers(): readonly string[];
}

function place(): Place {
  const [folder, home] = [tempFolder({ open: true }), tempFolder()];
  const store = join(home, 'store');
  writeFileSync(join(folder, 'cosign.pub'), signer.pem);
  writeFileSync(join(folder, 'other.pub'), other.pem);
  const call = (args: readonly string[], options: RunOptions = {}): Promise<Ended> =>
    boxctl(args, { cwd: folder, env: { BOXCTL_STORE: store, HOME: home }, ...options });
  return {
    folder,
    home,
    boxctl: (...args) => call(args),
    up(keys, options) {
      writeFileSync(join(folder, 'container.yaml'), JSON.stringify(keys));
      return call(['up', '--quiet'], options);
    },
    policy(policy) {
      const config = join(home, '.config/boxctl');
      mkdirSync(config, { recursive: true });
      writeFileSync(join(config, 'policy.yaml'), JSON.stringify(policy), { mode: 0o644 });
      writeFileSync(join(config, 'cosign.pub'), signer.pem, { mode: 0o644 });
    },
    layers: () => (existsSync(join(store, 'layers')) ? readdirSync(join(store, 'layers')) : []),
  };
}

const signed = (ref: string, more: object = {}) => ({ image: { ref, verify: { key: 'cosign.pub' } }, ...more });

describe.skipIf(!hasRegistry)('an image that must be signed', () => {
  let registry: TestRegistry;
  beforeAll(async () => {
    registry = await startRegistry();
  });
  afterAll(() => registry.stop());

  const paths = async (): Promise<readonly string[]> =>
    (await registry.requests()).map(({ method, path }) => `${method} ${path}`);
  const ref = (repository: string, tag = '1'): string => `${registry.host}/${repository}:${tag}`;
  const named = (repository: string): string => `${registry.host}/${repository}`;

  async function push(repository: string, text: string, tag = '1'): Promise<string> {
    return (await pushImage(registry, repository, tag, imageOf(text))).digest;
  }
  async function pushSigned(repository: string, text: string, tag = '1'): Promise<string> {
    const digest = await push(repository, text, tag);
    await putSignatures(registry, repository, digest, [signatureOf(signer, digest, named(repository))]);
    return digest;
  }

  test('a signed image is run, and the next start asks nobody, also without the registry', async () => {
    await pushSigned('run', 'signed');
    const at = place();
    expect(await at.up(signed(ref('run')))).toMatchObject({ status: 0, stdout: 'signed', stderr: '' });
    registry.forget();
    expect(await at.up(signed(ref('run')))).toMatchObject({ status: 0, stdout: 'signed' });
    expect(await at.up(signed(ref('run'), { pull_policy: 'never' }))).toMatchObject({ status: 0, stdout: 'signed' });
    expect(await paths()).toEqual([]);
  });

  test('a start of an image that is known to be signed loads no cryptography and no client of registries', async () => {
    await pushSigned('loads', 'x');
    const at = place();
    expect(await at.up(signed(ref('loads')))).toMatchObject({ status: 0 });
    const [hook, seen] = [join(at.home, 'hook.cjs'), join(at.home, 'seen.json')];
    const write = `require('node:fs').writeFileSync(${JSON.stringify(seen)}, JSON.stringify(process.moduleLoadList))`;
    writeFileSync(hook, `process.on('exit', () => ${write});\n`);
    const env = { BOXCTL_STORE: join(at.home, 'store'), HOME: at.home, NODE_OPTIONS: `--require=${hook}` };
    expect(await boxctl(['up', '--quiet'], { cwd: at.folder, env })).toMatchObject({ status: 0, stdout: 'x' });
    const loaded = JSON.parse(readFileSync(seen, 'utf8')) as readonly string[];
    const late = new Set(['crypto', 'http', 'https', 'tls', 'net'].map((name) => `NativeModule ${name}`));
    expect(loaded.filter((name) => late.has(name))).toEqual([]);
  });

  test('an image without a signature, or with one by another key, is refused at its line, and no blob of it is fetched', async () => {
    const digest = await push('unsigned', 'not signed');
    const at = place();
    registry.forget();
    const refused = await at.up(signed(ref('unsigned')));
    expect(refused).toMatchObject({ status: 125, stdout: '' });
    expect(refused.stderr).toContain('has no signature');
    expect(refused.stderr).toContain('container.yaml:1:');
    await putSignatures(registry, 'unsigned', digest, [signatureOf(other, digest, named('unsigned'))]);
    const counted = { once: 'its requests are counted' };
    expect((await at.up(signed(ref('unsigned')), counted)).stderr).toContain('1 by another key');
    const payload = digestOf(payloadOf(digest, named('unsigned')));
    expect((await paths()).filter((path) => /^GET .*\/blobs\//u.test(path))).toEqual([
      `GET /v2/unsigned/blobs/${payload}`,
    ]);
    expect(at.layers()).toEqual([]);
  });

  test('a bundle that refers to the image is as good', async () => {
    const digest = await push('bundle', 'bundled');
    await putReferrer(registry, 'bundle', digest, bundleLayer(signer, digest));
    expect(await place().up(signed(ref('bundle')))).toMatchObject({ status: 0, stdout: 'bundled' });
  });

  test('a signature of the index is one of the image that is chosen from it', async () => {
    const digest = await push('index', 'of an index');
    const list = await pushIndex(registry, 'index', 'list', [
      { digest, platform: { os: 'linux', architecture: process.arch === 'arm64' ? 'arm64' : 'amd64' } },
    ]);
    const at = place();
    expect((await at.up(signed(ref('index', 'list')))).stderr).toContain('has no signature');
    await putSignatures(registry, 'index', list, [signatureOf(signer, list, named('index'))]);
    expect(await at.up(signed(ref('index', 'list')))).toMatchObject({ status: 0, stdout: 'of an index' });
  });

  test('an image that was pulled without it is not used under a file that asks for it', async () => {
    const digest = await push('before', 'pulled before');
    const at = place();
    expect(await at.up({ image: ref('before') })).toMatchObject({ status: 0, stdout: 'pulled before' });
    const never = await at.up(signed(ref('before'), { pull_policy: 'never' }));
    expect(never).toMatchObject({ status: 125, stdout: '' });
    expect(never.stderr).toContain('it is not known that it is signed');
    expect((await at.up(signed(ref('before')))).stderr).toContain('has no signature');
    await putSignatures(registry, 'before', digest, [signatureOf(signer, digest, named('before'))]);
    registry.forget();
    expect(await at.up(signed(ref('before')))).toMatchObject({ status: 0, stdout: 'pulled before' });
    // The image itself is there.
    expect((await paths()).filter((path) => path.includes('/blobs/'))).toHaveLength(2);
    expect(await at.up(signed(ref('before'), { pull_policy: 'never' }))).toMatchObject({ status: 0 });
  });

  test('what one key has signed is not signed by another, also when the store has it', async () => {
    const digest = await pushSigned('keys', 'by the first');
    const at = place();
    expect(await at.up(signed(ref('keys')))).toMatchObject({ status: 0 });
    const both = (keys: readonly string[], more: object = {}) => ({
      image: { ref: ref('keys'), verify: { key: keys } },
      ...more,
    });
    expect((await at.up(both(['other.pub']))).stderr).toContain('1 by another key');
    expect((await at.up(both(['other.pub'], { pull_policy: 'never' }))).status).toBe(125);
    registry.forget();
    expect(await at.up(both(['other.pub', 'cosign.pub']))).toMatchObject({ status: 0 });
    expect(await paths()).toEqual([]);
    await putSignatures(registry, 'keys', digest, [signatureOf(other, digest, named('keys'))]);
    expect(await at.up(both(['other.pub']))).toMatchObject({ status: 0 });
  });

  test('the key is what counts, and not the file that it is in: an exchanged key file is another key', async () => {
    await pushSigned('exchanged', 'x');
    const at = place();
    expect(await at.up(signed(ref('exchanged')))).toMatchObject({ status: 0 });
    writeFileSync(join(at.folder, 'cosign.pub'), other.pem);
    expect((await at.up(signed(ref('exchanged')))).stderr).toContain('by another key');
  });

  test('a tag that moves to an image that is not signed is refused when the registry is asked, and the old one stays', async () => {
    await pushSigned('moves', 'old');
    const at = place();
    expect(await at.up(signed(ref('moves')))).toMatchObject({ stdout: 'old' });
    await push('moves', 'new');
    expect((await at.up(signed(ref('moves'), { pull_policy: 'always' }))).status).toBe(125);
    expect((await at.boxctl('pull', 'container.yaml')).status).toBe(125);
    expect(await at.up(signed(ref('moves')))).toMatchObject({ status: 0, stdout: 'old' });
    // Without `verify` it may be pulled, and is then no signed image.
    expect(await at.up({ image: ref('moves'), pull_policy: 'always' })).toMatchObject({ stdout: 'new' });
    expect((await at.up(signed(ref('moves')))).status).toBe(125);
    expect((await at.up(signed(ref('moves'), { pull_policy: 'never' }))).status).toBe(125);
  });

  test('a signature for another repository is not enough, and `identity` says which one is', async () => {
    const digest = await push('copy', 'copied');
    await putSignatures(registry, 'copy', digest, [signatureOf(signer, digest, 'index.docker.io/org/app:1.2')]);
    await putReferrer(registry, 'copy', digest, bundleLayer(other, digest));
    const at = place();
    expect((await at.up(signed(ref('copy')))).stderr).toContain('for another repository (index.docker.io/org/app:1.2)');
    const as = (key: string, identity: string) => ({ image: { ref: ref('copy'), verify: { key, identity } } });
    expect(await at.up(as('cosign.pub', 'docker.io/org/app'))).toMatchObject({ status: 0, stdout: 'copied' });
    expect((await at.up(as('cosign.pub', 'docker.io/org/other'))).status).toBe(125);
    expect((await at.up(as('other.pub', 'docker.io/org/app'))).stderr).toContain('for no repository in particular');
    expect((await at.up(signed(ref('copy')))).status).toBe(125);
  });

  test('a local name does not answer for an image that must be signed', async () => {
    await push('local', 'tagged');
    const at = place();
    await at.up({ image: ref('local') });
    expect(await at.boxctl('image', 'tag', ref('local'), 'mine')).toMatchObject({ status: 0 });
    expect(await at.up({ image: 'mine' })).toMatchObject({ status: 0, stdout: 'tagged' });
    // The name in full is none that may be asked for in the tests.
    const refused = await at.up(signed('mine'));
    expect(refused).toMatchObject({ status: 125, stdout: '' });
    expect(refused.stderr).toContain('docker.io/library/mine');
    expect((await at.up(signed('mine', { pull_policy: 'never' }))).status).toBe(125);
    const archived = join(at.folder, 'image.tar');
    writeFileSync(archived, base);
    expect(await at.boxctl('image', 'import', archived, ref('imported'))).toMatchObject({ status: 0 });
    expect((await at.up(signed(ref('imported'), { pull_policy: 'never' }))).status).toBe(125);
  });

  test('commands that start nothing fetch nothing, and say nothing of an image that is not verified', async () => {
    await push('reviewed', 'x');
    const at = place();
    await at.up({ image: ref('reviewed') });
    writeFileSync(join(at.folder, 'container.yaml'), JSON.stringify(signed(ref('reviewed'), { command: ['true'] })));
    registry.forget();
    for (const command of ['plan', 'validate']) expect(await at.boxctl(command)).toMatchObject({ status: 0 });
    expect(await paths()).toEqual([]);
  });

  test('`image verify` tells by which key an image is signed, and fetches nothing of it', async () => {
    const digest = await pushSigned('told', 'x');
    const at = place();
    registry.forget();
    expect(await at.boxctl('image', 'verify', '--key', 'other.pub', '--key', 'cosign.pub', ref('told'))).toMatchObject({
      status: 0,
      stdout: `${digest} ${ref('told')} is signed by cosign.pub\n`,
      stderr: '',
    });
    expect((await paths()).filter((path) => path.includes('/blobs/'))).toHaveLength(1);
    const json = await at.boxctl('image', 'verify', '--json', '--key', 'cosign.pub', ref('told'));
    expect(JSON.parse(json.stdout)).toMatchObject({ digest, signed: [{ digest, key: 'cosign.pub' }] });
    const wrong = await at.boxctl('image', 'verify', '--key', 'other.pub', ref('told'));
    expect(wrong).toMatchObject({ status: 125, stdout: '' });
    expect(wrong.stderr).toContain('1 by another key');
    expect((await at.boxctl('image', 'verify', ref('told'))).stderr).toContain('no policy demands a signature');
    expect((await at.boxctl('image', 'verify', '--key', 'no.pub', ref('told'))).stderr).toContain('no such file');
    at.policy({ images: { [registry.host]: { verify: { key: 'cosign.pub' } } } });
    expect(await at.boxctl('image', 'verify', ref('told'))).toMatchObject({ status: 0 });
  });

  describe('by a policy', () => {
    test('a policy demands a signature for a registry, whatever the file says, also of what the store has', async () => {
      await push('policy/unsigned', 'unsigned');
      await pushSigned('policy/signed', 'signed');
      const at = place();
      expect(await at.up({ image: ref('policy/unsigned') })).toMatchObject({ status: 0 });
      at.policy({ images: { [registry.host]: { verify: { key: 'cosign.pub' } } } });
      expect((await at.up({ image: ref('policy/unsigned') })).stderr).toContain('has no signature');
      expect((await at.up({ image: ref('policy/unsigned'), pull_policy: 'never' })).status).toBe(125);
      expect((await at.boxctl('pull', ref('policy/unsigned'))).status).toBe(125);
      expect(await at.up({ image: ref('policy/signed') })).toMatchObject({ status: 0, stdout: 'signed' });
      registry.forget();
      expect(await at.up({ image: ref('policy/signed') })).toMatchObject({ status: 0, stdout: 'signed' });
      expect(await paths()).toEqual([]);
    });

    test('an image that a policy refuses is not asked for, nor used by its digest', async () => {
      const { id } = await pushImage(registry, 'policy/refused', '1', imageOf('refused'));
      const at = place();
      expect(await at.up({ image: ref('policy/refused') })).toMatchObject({ status: 0 });
      at.policy({ images: { '*': { accept: 'nothing' }, [`${registry.host}/policy/free/`]: { accept: 'anything' } } });
      registry.forget();
      for (const image of [ref('policy/refused'), `sha256:${id}`, `sha256:${id.slice(0, 8)}`]) {
        const refused = await at.up({ image });
        expect(refused).toMatchObject({ status: 125, stdout: '' });
        expect(refused.stderr).toContain('accept: nothing');
      }
      expect((await at.boxctl('pull', ref('policy/refused'))).stderr).toContain('accept: nothing');
      expect(await paths()).toEqual([]);
      await push('policy/free/app', 'free');
      expect(await at.up({ image: ref('policy/free/app') })).toMatchObject({ status: 0, stdout: 'free' });
      // A person has given this name.
      await at.boxctl('image', 'tag', `sha256:${id}`, 'mine');
      expect(await at.up({ image: 'mine' })).toMatchObject({ status: 0, stdout: 'refused' });
    });

    test('the file and the policy must both be satisfied', async () => {
      const digest = await push('policy/both', 'both');
      await putSignatures(registry, 'policy/both', digest, [signatureOf(other, digest, named('policy/both'))]);
      const at = place();
      at.policy({ images: { [registry.host]: { verify: { key: 'cosign.pub' } } } });
      const file = { image: { ref: ref('policy/both'), verify: { key: 'other.pub' } } };
      expect((await at.up(file)).stderr).toContain('policy');
      await putSignatures(registry, 'policy/both', digest, [
        signatureOf(other, digest, named('policy/both')),
        signatureOf(signer, digest, named('policy/both')),
      ]);
      expect(await at.up(file)).toMatchObject({ status: 0, stdout: 'both' });
    });
  });
});

describe('a registry that lies about signed images', () => {
  let registry: LyingRegistry;
  beforeAll(async () => {
    registry = await LyingRegistry.start();
  });
  afterAll(() => registry.stop());

  const layer = (text: string) => {
    const tar = archive({ name: 'note', data: text });
    return { bytes: gzipSync(tar), diffId: digestOf(tar) };
  };
  const config = { config: { Cmd: ['cat', '/note'], Env: ['PATH=/bin'] } };

  function addSigned(repository: string, text: string) {
    const image = registry.addImage({
      repository,
      tag: '1',
      layers: [{ bytes: gzipSync(base), diffId: digestOf(base) }, layer(text)],
      config,
    });
    const payload = payloadOf(image.manifest.digest, `${registry.host}/${repository}`);
    const blob = registry.addBlob(payload, SIMPLE_SIGNING);
    registry.addManifest(repository, [`${image.manifest.digest.replace(':', '-')}.sig`], {
      schemaVersion: 2,
      mediaType: TYPES.manifest,
      config: registry.addBlob('{}', TYPES.config),
      layers: [{ ...blob, annotations: { [SIGNATURE_NOTE]: signer.sign(payload) } }],
    });
    return image;
  }

  test('one that has another image at the tag by the time that its layers are fetched gives the image that was verified', async () => {
    registry.repent();
    const good = addSigned('swap', 'good');
    let asked = 0;
    registry.lie(/\/swap\/manifests\/1$/u, () => {
      asked += 1;
      if (asked === 1) return undefined;
      return { status: 500 };
    });
    registry.lie(/\.sig$/u, () => {
      registry.addImage({ repository: 'swap', tag: '1', layers: [layer('evil')], config });
      return undefined;
    });
    const at = place();
    expect(await at.up(signed(`${registry.host}/swap:1`))).toMatchObject({ status: 0, stdout: 'good' });
    const manifests = registry.requests.filter(({ path }) => /manifests\/(?:1|sha256:[0-9a-f]+)$/u.test(path));
    expect(manifests.map(({ path }) => path)).toEqual(['/v2/swap/manifests/1']);
    expect(good.manifest.digest).toMatch(/^sha256:/u);
  });

  test('one that gives the signature of one image for another is refused', async () => {
    registry.repent();
    const good = addSigned('replay', 'good');
    const evil = registry.addImage({ repository: 'replay', tag: 'evil', layers: [layer('evil')], config });
    registry.lie(new RegExp(`${evil.manifest.digest.replace(':', '-')}\\.sig$`, 'u'), {
      status: 307,
      headers: { location: `/v2/replay/manifests/${good.manifest.digest.replace(':', '-')}.sig` },
    });
    const refused = await place().up(signed(`${registry.host}/replay:evil`));
    expect(refused).toMatchObject({ status: 125, stdout: '' });
    expect(refused.stderr).toContain('1 of another image');
  });

  test('one whose payload is other than its digest is a lying one', async () => {
    registry.repent();
    const image = addSigned('lies', 'good');
    const digest = digestOf(payloadOf(image.manifest.digest, `${registry.host}/lies`));
    registry.lie(new RegExp(`/blobs/${digest}$`, 'u'), {
      body: 'x'.repeat(payloadOf(image.manifest.digest, `${registry.host}/lies`).length),
    });
    const refused = await place().up(signed(`${registry.host}/lies:1`));
    expect(refused).toMatchObject({ status: 125, stdout: '' });
    expect(refused.stderr).toContain('other content');
  });

  test('one that sends an endless manifest of signatures is given up, and nothing is started', async () => {
    registry.repent();
    addSigned('endless', 'good');
    registry.lie(/\.sig$/u, { body: ' '.repeat(1 << 16), endless: true, headers: { 'content-length': undefined } });
    const refused = await place().up(signed(`${registry.host}/endless:1`));
    expect(refused).toMatchObject({ status: 125, stdout: '' });
  });
});
