/**
 * The certificate authorities that are trusted: those of the system, as for podman and curl on the same host, and beside them
 * what `certs.d` has for a registry. Node's own list is used where the system has none.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { rootCertificates, type SecureContextOptions } from 'node:tls';
import type { TlsFiles } from './options.ts';
import type { Environment } from './proxy.ts';

/** Debian, Fedora, openSUSE, Alpine: the first that is there. */
const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

const hasCertificate = (text: string): boolean => text.includes('-----BEGIN CERTIFICATE-----');

/** `SSL_CERT_FILE` and `SSL_CERT_DIR` take the place of the system's, as for OpenSSL and Go. */
export function systemAuthorities(env: Environment): readonly string[] {
  const file = env['SSL_CERT_FILE'];
  const folders = env['SSL_CERT_DIR'];
  const found = [];
  if (file !== undefined && file !== '') found.push(read(file));
  if (folders !== undefined && folders !== '') {
    for (const folder of folders.split(':')) {
      try {
        for (const name of readdirSync(folder)) found.push(read(join(folder, name)));
      } catch {
        // A folder that is not there has no authorities.
      }
    }
  }
  if (file !== undefined || folders !== undefined) return found.filter(hasCertificate);
  for (const path of BUNDLES) {
    const bundle = read(path);
    if (hasCertificate(bundle)) return [bundle];
  }
  return rootCertificates;
}

/** For `tls.createSecureContext`. */
export function secureOptions(files: TlsFiles | undefined, ofSystem: readonly string[]): SecureContextOptions {
  const options: SecureContextOptions = { ca: [...ofSystem, ...(files?.authorities ?? [])], minVersion: 'TLSv1.2' };
  if (files === undefined || files.pairs.length === 0) return options;
  return { ...options, cert: files.pairs.map(({ cert }) => cert), key: files.pairs.map(({ key }) => key) };
}
