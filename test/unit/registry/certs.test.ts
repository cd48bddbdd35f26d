/** Folders of certificates: what is taken from them, and what is an error by name. */
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { certificateFolders, tlsFilesFor } from '../../../src/registry/certs.ts';
import { Authority } from '../../support/certificates.ts';
import { tempFolder } from '../../support/temp.ts';

/** A folder `certs.d` with one folder for `host`. */
function certs(host = 'r.test:5000'): {
  readonly at: string;
  readonly all: string;
  readonly home: string;
  readonly authority: Authority;
} {
  const home = tempFolder();
  const all = join(home, '.config/containers/certs.d');
  const at = join(all, host);
  mkdirSync(at, { recursive: true });
  return { at, all, home, authority: new Authority(home) };
}
const own = (home: string): { readonly env: Readonly<Record<string, string>>; readonly home: string } => ({
  env: {},
  home,
});

test('authorities and clients’ certificates are taken for exactly the host and port of their folder', () => {
  const { at, home, authority } = certs();
  const { cert, key } = authority.issue({ client: true });
  copyFileSync(authority.cert, join(at, 'ca.crt'));
  copyFileSync(cert, join(at, 'client.cert'));
  copyFileSync(key, join(at, 'client.key'));
  writeFileSync(join(at, 'README'), 'not looked at');
  const found = tlsFilesFor('r.test:5000', own(home));
  expect(found?.authorities).toEqual([authority.pem]);
  expect(found?.pairs).toHaveLength(1);
  for (const host of ['r.test', 'r.test:5001', 'x.r.test:5000', '../certs.d/r.test:5000', 'r.test:5000/..', '..', '']) {
    expect(tlsFilesFor(host, own(home)), host).toBeUndefined();
  }
});

test('the folder of the person comes before those of the system, and the first that has the registry counts alone', () => {
  const { all, at, home, authority } = certs();
  copyFileSync(authority.cert, join(at, 'ca.crt'));
  const other = join(home, 'other/r.test:5000');
  mkdirSync(other, { recursive: true });
  const second = new Authority(home, 'another');
  copyFileSync(second.cert, join(other, 'ca.crt'));
  expect(tlsFilesFor('r.test:5000', own(home), [all, join(home, 'other')])?.authorities).toEqual([authority.pem]);
  expect(tlsFilesFor('r.test:5000', own(home), [join(home, 'other'), all])?.authorities).toEqual([second.pem]);
  expect(certificateFolders(own('/home/me'))).toEqual([
    '/home/me/.config/containers/certs.d',
    '/etc/containers/certs.d',
    '/etc/docker/certs.d',
  ]);
});

test('Docker Hub’s folder is named docker.io, that of IPv6 has brackets, and the port of https need not be there', () => {
  for (const [host, folder] of [
    ['registry-1.docker.io', 'docker.io'],
    ['[::1]:5000', '[::1]:5000'],
    ['r.test', 'r.test:443'],
    ['r.test:443', 'r.test'],
  ] as const) {
    const { at, home, authority } = certs(folder);
    copyFileSync(authority.cert, join(at, 'ca.crt'));
    expect(tlsFilesFor(host, own(home))?.authorities).toHaveLength(1);
  }
});

test('a certificate without a key, and a key without a certificate, are errors that name them', () => {
  const { at, home, authority } = certs();
  const { cert, key } = authority.issue({ client: true });
  copyFileSync(cert, join(at, 'me.cert'));
  expect(() => tlsFilesFor('r.test:5000', own(home))).toThrow(/me\.cert has no key beside it/u);
  copyFileSync(key, join(at, 'you.key'));
  copyFileSync(key, join(at, 'me.key'));
  expect(() => tlsFilesFor('r.test:5000', own(home))).toThrow(/you\.key has no certificate beside it/u);
});

test('what is damaged, does not fit, is encrypted, or was left open is told by its path, without its content', () => {
  const { at, home, authority } = certs();
  const secret = 'TUFSS0VSTUFSS0VS';
  const said = (): string => {
    try {
      tlsFilesFor('r.test:5000', own(home));
    } catch (error) {
      const text = inspect(error, { depth: 5, showHidden: true });
      expect(text).not.toContain(secret);
      expect(text).toContain('E_REGISTRY_CERTIFICATES');
      return (error as Error).message;
    }
    throw new Error('taken');
  };
  writeFileSync(join(at, 'a.crt'), 'nothing');
  expect(said()).toMatch(/a\.crt has no certificate/u);
  writeFileSync(join(at, 'a.crt'), `-----BEGIN CERTIFICATE-----\n${secret}\n-----END CERTIFICATE-----\n`);
  expect(said()).toMatch(/a\.crt has a certificate that is damaged/u);
  copyFileSync(authority.cert, join(at, 'a.crt'));
  chmodSync(join(at, 'a.crt'), 0o666);
  expect(said()).toMatch(/a\.crt is not used: others may write to it/u);
  chmodSync(join(at, 'a.crt'), 0o644);
  const [one, two] = [authority.issue({ client: true }), authority.issue({ client: true })];
  copyFileSync(one.cert, join(at, 'c.cert'));
  copyFileSync(two.key, join(at, 'c.key'));
  expect(said()).toMatch(/do not work together: key values mismatch/u);
  writeFileSync(join(at, 'c.key'), `-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY-----\n`);
  expect(said()).toMatch(/do not work together/u);
  execFileSync('openssl', ['pkey', '-in', one.key, '-aes256', '-passout', 'pass:x', '-out', join(at, 'c.key')]);
  expect(said()).toMatch(/c\.key is encrypted/u);
});
