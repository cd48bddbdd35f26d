import { chmodSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { BoxctlError } from '../../../src/errors.ts';
import { loadSpecText, type LoadOptions } from '../../../src/spec/load.ts';
import { makeSigner } from '../../support/signing.ts';
import { tempFolder } from '../../support/temp.ts';

const [signer, next] = [makeSigner(), makeSigner('Ed25519')];

function project(): string {
  const folder = tempFolder();
  writeFileSync(join(folder, 'cosign.pub'), signer.pem);
  writeFileSync(join(folder, 'next.pub'), next.pem);
  writeFileSync(join(folder, 'cosign.key'), String(signer.privateKey.export({ type: 'pkcs8', format: 'pem' })));
  return folder;
}

const load = (folder: string, verify: string, options: Partial<LoadOptions> = {}) =>
  loadSpecText(`image: {ref: ghcr.io/org/app, verify: ${verify}}\n`, join(folder, 'container.yaml'), {
    env: {},
    home: '/home/me',
    ...options,
  });
const imageOf = (folder: string, verify: string, options?: Partial<LoadOptions>) =>
  load(folder, verify, options).spec.image;

/** The problems of a file, as `LINE:COLUMN CODE: MESSAGE`. */
function problemsOf(folder: string, text: string): readonly string[] {
  try {
    loadSpecText(text, join(folder, 'container.yaml'), { env: {}, home: '/home/me' });
    return [];
  } catch (error) {
    return (error as BoxctlError).diagnostics.map(
      ({ code, message, at }) => `${at?.line ?? 0}:${at?.column ?? 0} ${code}: ${message}`,
    );
  }
}

describe('image.verify', () => {
  it('the key of an image is read when the file is loaded', () => {
    const folder = project();
    expect(imageOf(folder, '{key: cosign.pub}')).toMatchObject({
      kind: 'reference',
      verify: { keys: [{ path: join(folder, 'cosign.pub'), algorithm: 'P-256' }] },
    });
  });

  it('an image may have several keys, and another repository that signatures name', () => {
    const folder = project();
    expect(imageOf(folder, '{key: [./cosign.pub, next.pub], identity: index.docker.io/alpine}')).toMatchObject({
      verify: { keys: [{ algorithm: 'P-256' }, { algorithm: 'Ed25519' }], identity: 'docker.io/library/alpine' },
    });
  });

  it.each([
    ['{key: no.pub}', '1:45 E_SPEC_MISSING_FILE: the public key "no.pub" cannot be used: there is no such file'],
    [
      '{key: [cosign.pub, cosign.key]}',
      '1:58 E_SPEC_PUBLIC_KEY: the public key "cosign.key" cannot be used: it is a private key, which signs',
    ],
    ['{key: .}', '1:45 E_SPEC_PUBLIC_KEY: the public key "." cannot be used: it is a folder'],
    [
      '{key: container.yaml}',
      '1:45 E_SPEC_MISSING_FILE: the public key "container.yaml" cannot be used: there is no such file',
    ],
    ['{key: []}', '1:40 E_SPEC_VALUE: `image.verify.key` must not be empty'],
    ['{key: 7}', '1:45 E_SPEC_TYPE: `image.verify.key` must be'],
    ['{}', '1:31 E_SPEC_MISSING_KEY: `image.verify` lacks the key `key`'],
    ['{key: cosign.pub, keys: x}', 'E_SPEC_UNKNOWN_KEY: there is no key `keys` in `image.verify`'],
    ['{key: cosign.pub, identity: alpine}', '1:67 E_SPEC_IMAGE: "alpine" is no repository in full, without a tag'],
    ['{key: cosign.pub, identity: "ghcr.io/org/app:1"}', 'E_SPEC_IMAGE: "ghcr.io/org/app:1" is no repository in full'],
  ])('a mistake is told at its place: verify: %s', (verify, said) => {
    const problems = problemsOf(project(), `image: {ref: ghcr.io/org/app, verify: ${verify}}\n`);
    expect(problems).toEqual([expect.stringContaining(said)]);
  });

  it.each([
    ['image: {tar: cosign.pub, verify: {key: cosign.pub}}\n', '`verify` is about a reference, and there is none'],
    ['image: {host_tools: [sh], verify: {key: cosign.pub}}\n', '`verify` is about a reference, and there is none'],
    ['image: {folder: ., verify: {key: cosign.pub}}\n', '`verify` is about a reference, and there is none'],
    ['image: {ref: "sha256:0123456789ab", verify: {key: cosign.pub}}\n', '`verify` is about an image of a registry'],
  ])('what has no signatures in a registry cannot be verified: %s', (text, said) => {
    expect(problemsOf(project(), text)).toEqual([expect.stringContaining(`E_SPEC_CONFLICT: ${said}`)]);
  });

  it('a private key that is named by mistake is not quoted', () => {
    const problems = problemsOf(project(), 'image: {ref: ghcr.io/org/app, verify: {key: cosign.key}}\n');
    const secret = String(signer.privateKey.export({ type: 'pkcs8', format: 'pem' })).split('\n')[1] ?? '?';
    expect(problems).toHaveLength(1);
    expect(JSON.stringify(problems)).not.toContain(secret.slice(0, 12));
  });

  it('a key outside of the folder is read where every user may read it, and else has to be allowed', () => {
    const [folder, elsewhere] = [project(), tempFolder()];
    const path = join(elsewhere, 'key.pub');
    writeFileSync(path, signer.pem, { mode: 0o600 });
    symlinkSync(path, join(folder, 'link.pub'));
    for (const named of [path, 'link.pub']) {
      const document = load(folder, `{key: ${named}}`);
      expect(document.spec.image).toMatchObject({ verify: { keys: [] } });
      expect(document.files).toMatchObject([{ kind: 'public_key', file: path, readable: false }]);
    }
    expect(imageOf(folder, `{key: ${path}}`, { allows: (kind) => kind === 'public_key' })).toMatchObject({
      verify: { keys: [{ path }] },
    });
    chmodSync(path, 0o644);
    chmodSync(elsewhere, 0o755);
    expect(load(folder, `{key: ${path}}`).files).toMatchObject([{ kind: 'public_key', file: path }]);
  });

  it('a key that is missing is no mistake of a file that is reviewed, and nothing then counts as signed', () => {
    expect(imageOf(project(), '{key: no.pub}', { review: true })).toMatchObject({ verify: { keys: [] } });
  });
});
