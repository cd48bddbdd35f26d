/** Stores credentials, and takes them back: by a helper where one is configured, else in the file for credentials. */
import { dirname } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { writeWhole } from '../files/atomic-write.ts';
import { makeFolders } from '../files/folders.ts';
import { withFolderLock } from '../files/locks.ts';
import { whyNot } from '../files/read.ts';
import { realHost } from '../host/read.ts';
import { thisCaller } from '../host/trusted-file.ts';
import { followTrusted } from '../host/trusted.ts';
import { isRecord } from '../text/json.ts';
import { canonicalKey, parseAuthFile, primaryAuthFile, readAuthFile, type AuthFile } from './auth-file.ts';
import { helperOptions, serversOf, type CredentialOptions } from './credentials.ts';
import { AUTH_FILES } from './helper-name.ts';
import { eraseByHelper, listOfHelper, storeByHelper } from './helper.ts';

export interface StoreOptions extends CredentialOptions {
  /** `--authfile`: absolute. */
  readonly authFile?: string | undefined;
}

export interface Login {
  readonly username: string;
  readonly password: string;
}

const program = (helper: string): string => `docker-credential-${helper}`;
/** Helpers know registries alone. */
const hasPath = (key: string): boolean => key.includes('/');

/** The first that can store it does. Returns what that is: a file, or `docker-credential-NAME`. */
export async function storeLogin(key: string, login: Login, options: StoreOptions): Promise<string> {
  let failed: BoxctlError | undefined;
  for (const helper of options.authFile === undefined ? options.helpers : [AUTH_FILES]) {
    if (helper !== AUTH_FILES && hasPath(key)) continue;
    try {
      if (helper === AUTH_FILES) return await storeInFile(key, login, options);
      await storeByHelper(helper, serverOf(key), login, helperOptions(options));
      return program(helper);
    } catch (error) {
      if (!(error instanceof BoxctlError)) throw error;
      // It is told, since the next one may keep it in the clear.
      if (failed === undefined && options.helpers.length > 1) options.note?.(error.message);
      failed ??= error;
    }
  }
  throw failed ?? cannotStore(key);
}

function cannotStore(key: string): BoxctlError {
  return new BoxctlError('E_REGISTRY_HELPER', `nothing that is configured can keep credentials for ${key}`, {
    hint: 'helpers know registries without a path: add "containers-auth.json" to `credential-helpers` in registries.conf',
  });
}

const serverOf = (key: string): string => serversOf(key)[0] ?? key;

/** The helper that the file itself has for the registry. */
const helperIn = ({ helpers, store }: AuthFile, key: string): string | undefined =>
  hasPath(key) ? undefined : (helpers.get(key) ?? store);

async function storeInFile(key: string, login: Login, options: StoreOptions): Promise<string> {
  const auth = Buffer.from(`${login.username}:${login.password}`).toString('base64');
  return editFile(options, async (file, write) => {
    const helper = helperIn(file, key);
    if (helper !== undefined) {
      await storeByHelper(helper, serverOf(key), login, helperOptions(options));
      return program(helper);
    }
    const auths = authsOf(file);
    // Docker finds its own spelling alone, where the file has one.
    const same = Object.keys(auths).filter((name) => canonicalKey(name) === key);
    const names = same.length === 0 ? [key] : same;
    write({ ...file.content, auths: { ...auths, ...Object.fromEntries(names.map((name) => [name, { auth }])) } });
    return file.path;
  });
}

function authsOf({ content }: AuthFile): Readonly<Record<string, unknown>> {
  const { auths } = content;
  return isRecord(auths) ? auths : {};
}

/**
 * Takes back what `storeLogin` has stored, and podman's login. Returns where it was; empty: nowhere.
 *
 * @param key undefined: for all registries
 */
export async function removeLogin(key: string | undefined, options: StoreOptions): Promise<readonly string[]> {
  const from: string[] = [];
  for (const helper of options.authFile === undefined ? options.helpers : [AUTH_FILES]) {
    if (helper === AUTH_FILES) from.push(...(await removeFromFile(key, options)));
    else if (key === undefined || !hasPath(key)) from.push(...(await removeFromHelper(helper, key, options)));
  }
  return [...new Set(from)];
}

async function removeFromHelper(
  helper: string,
  key: string | undefined,
  options: StoreOptions,
): Promise<readonly string[]> {
  const how = helperOptions(options);
  const servers = key === undefined ? await listOfHelper(helper, how) : serversOf(key);
  let had = false;
  for (const server of servers) had = (await eraseByHelper(helper, server, how)) || had;
  return had ? [program(helper)] : [];
}

async function removeFromFile(key: string | undefined, options: StoreOptions): Promise<readonly string[]> {
  if (readPrimary(options) === undefined) return [];
  return editFile(options, async (file, write) => {
    const from: string[] = [];
    const helpers = key === undefined ? [...file.helpers] : [...file.helpers].filter(([name]) => name === key);
    for (const [registry, helper] of helpers) from.push(...(await removeFromHelper(helper, registry, options)));
    if (file.store !== undefined && (key === undefined || !hasPath(key))) {
      from.push(...(await removeFromHelper(file.store, key, options)));
    }
    const auths = Object.entries(authsOf(file));
    const kept = key === undefined ? [] : auths.filter(([name]) => canonicalKey(name) !== key);
    if (kept.length === auths.length) return from;
    write({ ...file.content, auths: Object.fromEntries(kept) });
    return [...from, file.path];
  });
}

function readPrimary(options: StoreOptions): AuthFile | undefined {
  // It need not be there yet, also where the person has named it.
  const place = { ...primaryAuthFile(options, options.authFile), isNamed: false };
  return readAuthFile(place, (message) => {
    throw new BoxctlError('E_REGISTRY_CREDENTIALS', message, {
      hint: 'it must be a file of yours that nobody else may write; with sudo, HOME may be another’s',
    });
  });
}

type Edit<T> = (file: AuthFile, write: (content: Readonly<Record<string, unknown>>) => void) => Promise<T>;

/** Changes the file while nobody else does. It is written whole, for the person alone to read; a link to it stays one. */
async function editFile<T>(options: StoreOptions, edit: Edit<T>): Promise<T> {
  const { path: named } = primaryAuthFile(options, options.authFile);
  const { path, problem } = followTrusted(named, thisCaller(), (at) => realHost.entry(at));
  if (problem !== undefined) {
    throw new BoxctlError('E_REGISTRY_CREDENTIALS', `the credentials are not kept in ${named}: ${problem}`, {
      hint: 'its folders must be yours or root’s; with sudo, HOME may be another’s',
    });
  }
  try {
    makeFolders(dirname(path), 0o700);
    return await withFolderLock(dirname(path), () => {
      const file = readPrimary(options) ?? parseAuthFile('{}', path);
      return edit(file, (content) => writeWhole(path, `${JSON.stringify(content, undefined, '\t')}\n`));
    });
  } catch (error) {
    if (error instanceof BoxctlError) throw error;
    throw new BoxctlError('E_REGISTRY_CREDENTIALS', `${path} cannot be written: ${whyNot(error).problem}`, {
      hint: 'is there room, and may you write there? another file: --authfile FILE',
    });
  }
}
