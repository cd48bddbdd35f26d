/** Files with credentials (containers-auth.json(5), docker's config.json, .dockercfg): which they are, and what is in them. */
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { readTrustedFile } from '../host/trusted-file.ts';
import { DOCKER_HUB, isProblem, parseRegistry } from '../text/image-name.ts';
import { isRecord } from '../text/json.ts';
import { configFolder, type ConfigOwner } from './config.ts';
import { isCredentialHelper } from './helper-name.ts';
import type { Credentials } from './options.ts';

export interface AuthPlace {
  readonly path: string;
  /** `.dockercfg` is the map of `auths` alone. */
  readonly isLegacy: boolean;
  /** The person has named it: it must be there. */
  readonly isNamed: boolean;
}

export interface AuthFile {
  readonly path: string;
  /** All of it as it was, for writing it again. */
  readonly content: Readonly<Record<string, unknown>>;
  /** By registry, or registry and path: `docker.io`, `ghcr.io/org`. */
  readonly entries: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
  /** The helper for a registry. */
  readonly helpers: ReadonlyMap<string, string>;
  /** The helper for all of them. */
  readonly store: string | undefined;
}

const place = (path: string): AuthPlace => ({ path, isLegacy: false, isNamed: false });

/** The file that `login` writes, and that is looked at first; `named` is that of `--authfile`. */
export function primaryAuthFile({ env, home }: ConfigOwner, named?: string): AuthPlace {
  const chosen = named ?? env['REGISTRY_AUTH_FILE'] ?? '';
  if (chosen !== '') {
    if (!chosen.startsWith('/')) {
      throw fail(`the file for credentials ${chosen} is a relative path`, '$REGISTRY_AUTH_FILE must be absolute');
    }
    return { ...place(chosen), isNamed: true };
  }
  const runtime = env['XDG_RUNTIME_DIR'] ?? '';
  if (runtime.startsWith('/')) return place(join(runtime, 'containers/auth.json'));
  const uid = process.geteuid?.() ?? 0;
  // An ordinary user without a session has no folder there, and cannot make one.
  return place(uid === 0 ? '/run/containers/0/auth.json' : join(configFolder({ env, home }), 'auth.json'));
}

/** In the order in which they are looked at. A file that the person names is the only one. */
export function authFiles(owner: ConfigOwner): readonly AuthPlace[] {
  const primary = primaryAuthFile(owner);
  if (primary.isNamed) return [primary];
  const { env, home } = owner;
  const docker = env['DOCKER_CONFIG'] ?? '';
  const rest = [
    place(join(configFolder(owner), 'auth.json')),
    place(join(docker.startsWith('/') ? docker : join(home, '.docker'), 'config.json')),
    { path: join(home, '.dockercfg'), isLegacy: true, isNamed: false },
  ];
  return [primary, ...rest.filter(({ path }) => path !== primary.path)];
}

function fail(message: string, hint: string): BoxctlError {
  return new BoxctlError('E_REGISTRY_CREDENTIALS', message, { hint });
}

const OTHERS_MAY_READ = 0o044;

/**
 * Undefined where there is none, or where somebody else could have written it, which `note` is told. No message has anything
 * of the content.
 *
 * @throws BoxctlError E_REGISTRY_CREDENTIALS
 */
export function readAuthFile(
  { path, isLegacy, isNamed }: AuthPlace,
  note: (message: string) => void,
): AuthFile | undefined {
  const found = readTrustedFile(path);
  switch (found.kind) {
    case 'missing':
      if (!isNamed) return undefined;
      throw fail(`the file for credentials ${path} is not there`, '$REGISTRY_AUTH_FILE or --authfile names it');
    case 'unreadable':
      throw fail(`the file for credentials ${path} cannot be read: ${found.problem}`, 'it must be a file of yours');
    case 'unsafe':
      note(`the credentials in ${path} are not used: ${found.problem}`);
      return undefined;
    case 'read':
      if ((found.mode & OTHERS_MAY_READ) !== 0)
        note(`other users can read the credentials in ${path}: chmod 600 ${path}`);
      return parseAuthFile(found.bytes.toString('utf8'), path, isLegacy);
  }
}

/** The text may hold secrets in every place, and the errors of JSON.parse quote it: they are neither told nor kept as a cause. */
function parseJson(text: string, path: string): unknown {
  if (text.trim() === '') return {};
  let position: number | undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    const found = /\bposition (\d+)/u.exec(error instanceof Error ? error.message : '')?.[1];
    position = found === undefined ? undefined : Number(found);
  }
  const line = position === undefined ? '' : `:${text.slice(0, position).split('\n').length}`;
  throw fail(`${path}${line} is no JSON`, `mend it, or remove it and log in again: boxctl login`);
}

export function parseAuthFile(text: string, path: string, isLegacy = false): AuthFile {
  const parsed = parseJson(text, path);
  if (!isRecord(parsed)) throw fail(`${path} is no map of credentials`, 'an object with `auths` is expected');
  const content = isLegacy ? { auths: parsed } : parsed;
  const part = (key: 'auths' | 'credHelpers'): Readonly<Record<string, unknown>> => {
    const value = content[key];
    if (value === undefined || value === null) return {};
    if (isRecord(value)) return value;
    throw fail(`\`${key}\` in ${path} is no map`, 'names of registries are its keys');
  };
  const entries = byRegistry(part('auths'), (value, key) => {
    if (isRecord(value)) return value;
    throw fail(`the entry for ${key} in ${path} is no map`, 'an object with `auth` is expected');
  });
  const helper = (value: unknown, key: string): string | undefined => {
    // Docker writes an empty name for "no helper for this registry".
    if (value === '') return undefined;
    if (typeof value === 'string' && isCredentialHelper(value)) return value;
    throw fail(
      `the credential helper for ${key} in ${path} is no name`,
      'NAME for the program docker-credential-NAME in PATH, without a slash',
    );
  };
  const store = content['credsStore'];
  return {
    path,
    content,
    entries,
    helpers: byRegistry(part('credHelpers'), helper),
    store: store === undefined || store === null || isLegacy ? undefined : helper(store, 'all registries'),
  };
}

/** By the name of each key as references have it; one that is spelled so comes before another that means the same. */
function byRegistry<T>(
  map: Readonly<Record<string, unknown>>,
  read: (value: unknown, key: string) => T | undefined,
): ReadonlyMap<string, T> {
  const found = new Map<string, T>();
  for (const [key, value] of Object.entries(map)) {
    const name = canonicalKey(key);
    if (name === undefined) continue;
    const entry = read(value, name);
    if (entry !== undefined && (name === key || !found.has(name))) found.set(name, entry);
  }
  return found;
}

/**
 * The registry, with the path where one is given, that a key is for. Docker has written addresses, of which the path is that of
 * the protocol: `https://index.docker.io/v1/`. Undefined for what is none.
 */
export function canonicalKey(key: string): string | undefined {
  const address = /^https?:\/\/([^/]+)/iu.exec(key)?.[1];
  const [host = '', ...path] = address === undefined ? key.split('/') : [address];
  const registry = parseRegistry(host);
  if (isProblem(registry)) return undefined;
  const rest = path.filter((part) => part !== '');
  // Without a scheme docker has written `index.docker.io/v1/` as well.
  if (registry.registry === DOCKER_HUB && /^v[12]$/u.test(rest.join('/'))) return DOCKER_HUB;
  return [registry.registry, ...rest].join('/');
}

/** The keys that are looked for, the most specific one first: `quay.io/a/b`, `quay.io/a`, `quay.io`. */
export function keysFor(host: string, repository: string): readonly string[] {
  const parts = repository === '' ? [] : repository.split('/');
  return Array.from({ length: parts.length + 1 }, (_, index) =>
    [host, ...parts.slice(0, parts.length - index)].join('/'),
  );
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/u;

/** What an entry says; undefined where it says nothing. `key` and `path` are for messages. */
export function credentialsOf(
  entry: Readonly<Record<string, unknown>>,
  key: string,
  path: string,
): Credentials | undefined {
  const { identitytoken: token, auth, username, password } = entry;
  if (typeof token === 'string' && token !== '') return { identityToken: token };
  if (typeof auth === 'string' && auth !== '') {
    const pair = BASE64.test(auth) ? Buffer.from(auth, 'base64').toString('utf8') : '';
    const colon = pair.indexOf(':');
    if (colon >= 0) {
      // Docker pads with NUL.
      return checked(pair.slice(0, colon), pair.slice(colon + 1).replace(/^\0+|\0+$/gu, ''), key, path);
    }
    throw fail(`\`auth\` for ${key} in ${path} is no name and password in base64`, `boxctl login ${key}`);
  }
  if (typeof username === 'string' && typeof password === 'string') return checked(username, password, key, path);
  return undefined;
}

function checked(username: string, password: string, key: string, path: string): Credentials | undefined {
  if (username === '' && password === '') return undefined;
  const problem = problemOfCredentials(username, password);
  if (problem === undefined) return { username, password };
  throw fail(`${problem} for ${key} in ${path}`, `boxctl login ${key}`);
}

/** Basic authentication (RFC 7617) cannot carry these. They would also end a line of a header. */
export function problemOfCredentials(username: string, password: string): string | undefined {
  if (username.includes(':')) return 'a colon is in the name';
  return /\p{Cc}/u.test(username + password) ? 'a control character is in the name or the password' : undefined;
}
