/** Folders of certificates for a registry (containers-certs.d(5); docker's certs.d is alike). */
import { X509Certificate } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { BoxctlError } from '../errors.ts';
import { whyNot } from '../files/read.ts';
import { readTrustedFile } from '../host/trusted-file.ts';
import { isProblem, parseRegistry } from '../text/image-name.ts';
import { configFolder, type ConfigOwner } from './config.ts';
import type { TlsFiles } from './options.ts';

/** The first that has a folder for the registry counts, as for podman. */
export function certificateFolders(owner: ConfigOwner): readonly string[] {
  return [join(configFolder(owner), 'certs.d'), '/etc/containers/certs.d', '/etc/docker/certs.d'];
}

function fail(message: string, hint: string): BoxctlError {
  return new BoxctlError('E_REGISTRY_CERTIFICATES', message, { hint });
}

/**
 * What the folders have for a registry; `*.crt` is an authority, `NAME.cert` with `NAME.key` a client's certificate. Undefined:
 * no folder has anything.
 *
 * @param host with its port, as a reference has it
 * @throws BoxctlError E_REGISTRY_CERTIFICATES
 */
export function tlsFilesFor(
  host: string,
  owner: ConfigOwner,
  folders = certificateFolders(owner),
): TlsFiles | undefined {
  // Only what is a host becomes a part of a path. docker.io is so named here, also where its server is asked for.
  const registry = parseRegistry(host);
  if (isProblem(registry)) return undefined;
  const name = registry.registry;
  // References leave the port of https out, and the folder may have it.
  const names = /:\d+$/u.test(name) ? [name] : [name, `${name}:443`];
  for (const path of folders.flatMap((folder) => names.map((at) => join(folder, at)))) {
    const found = filesIn(path);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Undefined where there is no such folder, or one that the caller may not look into, as root’s may be. */
function filesIn(folder: string): TlsFiles | undefined {
  let names: readonly string[];
  try {
    names = readdirSync(folder).toSorted();
  } catch (error) {
    const { missing, problem } = whyNot(error);
    const isClosed = error instanceof Error && 'code' in error && error.code === 'EACCES';
    if (missing || isClosed) return undefined;
    throw fail(`the certificates in ${folder} cannot be read: ${problem}`, 'it must be a folder');
  }
  const ending = (suffix: string): readonly string[] =>
    names.filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length));
  const [certificates, keys] = [ending('.cert'), ending('.key')];
  const alone = certificates.find((name) => !keys.includes(name));
  if (alone !== undefined) {
    throw fail(
      `${join(folder, alone)}.cert has no key beside it`,
      `a client’s certificate needs ${alone}.key; an authority is a file ${alone}.crt`,
    );
  }
  const key = keys.find((name) => !certificates.includes(name));
  if (key !== undefined) {
    throw fail(`${join(folder, key)}.key has no certificate beside it`, `it needs ${key}.cert in the same folder`);
  }
  const authorities = ending('.crt').map((name) => authority(join(folder, `${name}.crt`)));
  const pairs = certificates.map((name) => pair(join(folder, name)));
  return authorities.length + pairs.length === 0 ? undefined : { authorities, pairs };
}

function read(path: string): string {
  const found = readTrustedFile(path);
  switch (found.kind) {
    case 'read':
      return found.bytes.toString('latin1');
    case 'missing':
      throw fail(`${path} cannot be read: it leads nowhere`, 'is it a link?');
    case 'unreadable':
      throw fail(`${path} cannot be read: ${found.problem}`, 'it must be a file that you may read');
    case 'unsafe':
      throw fail(
        `${path} is not used: ${found.problem}`,
        'it must be a file of yours or root’s that nobody else may write: chmod go-w, chown',
      );
  }
}

const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/gu;

/** Throws for a certificate that is damaged. */
const parseCertificate = (text: string): X509Certificate => new X509Certificate(text);

function authority(path: string): string {
  const text = read(path);
  const blocks = text.match(CERTIFICATES) ?? [];
  try {
    for (const block of blocks) parseCertificate(block);
  } catch {
    throw fail(`${path} has a certificate that is damaged`, 'it must be PEM: -----BEGIN CERTIFICATE-----');
  }
  if (blocks.length > 0) return text;
  throw fail(`${path} has no certificate`, 'it must be PEM: -----BEGIN CERTIFICATE-----');
}

/** A pair that cannot be used is told here, where its files are known. The reason that OpenSSL gives has no part of a key. */
function pair(path: string): TlsFiles['pairs'][number] {
  const [cert, key] = [read(`${path}.cert`), read(`${path}.key`)];
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/mu.test(key)) {
    throw fail(`${path}.key is encrypted`, `nobody is asked for its password: openssl pkey -in ${path}.key`);
  }
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    const reason = error instanceof Error && 'reason' in error ? String(error.reason) : 'one of them is damaged';
    throw fail(`${path}.cert and ${path}.key do not work together: ${reason}`, 'both must be PEM, and belong together');
  }
  return { cert, key };
}
