/** What a person has stored for a registry, wherever that is. */
import { BoxctlError } from '../errors.ts';
import { DOCKER_HUB } from '../text/image-name.ts';
import { authFiles, canonicalKey, credentialsOf, keysFor, readAuthFile, type AuthFile } from './auth-file.ts';
import type { ConfigOwner } from './config.ts';
import { AUTH_FILES } from './helper-name.ts';
import { fetchFromHelper, listOfHelper, type HelperOptions } from './helper.ts';
import type { Credentials } from './options.ts';

export interface CredentialOptions extends ConfigOwner {
  /** `credential-helpers` of registries.conf, in their order. */
  readonly helpers: readonly string[];
  /** Something that a person should know of a file. */
  readonly note?: (message: string) => void;
  readonly helperWithin?: number;
}

export interface Found {
  readonly credentials: Credentials;
  /** A file, or `docker-credential-NAME`. */
  readonly source: string;
  /**
   * Whether the person has named the registry: by a login, or as one of `credHelpers`. A helper for all registries may make up
   * credentials for one that the person has never heard of. Asks that helper.
   */
  isNamed(): Promise<boolean>;
}

const byName = (): Promise<boolean> => Promise.resolve(true);

/** By which names helpers know a registry: podman's, and for Docker Hub before that docker's. */
export const serversOf = (host: string): readonly string[] =>
  host === DOCKER_HUB ? ['https://index.docker.io/v1/', DOCKER_HUB] : [host];

/**
 * What is stored for a repository, or else for its registry. Nothing is asked for another registry, and for none with another
 * port.
 *
 * @throws BoxctlError E_REGISTRY_CREDENTIALS, E_REGISTRY_HELPER
 */
export async function findCredentials(
  host: string,
  repository: string,
  options: CredentialOptions,
): Promise<Found | undefined> {
  let failed: BoxctlError | undefined;
  for (const helper of options.helpers) {
    try {
      const found =
        helper === AUTH_FILES ? await fromFiles(host, repository, options) : await fromHelper(helper, host, options);
      if (found !== undefined) return found;
    } catch (error) {
      // Another of them may have it. With the files alone there is no other.
      if (!(error instanceof BoxctlError)) throw error;
      failed ??= error;
    }
  }
  if (failed !== undefined) throw failed;
  return undefined;
}

async function fromFiles(host: string, repository: string, options: CredentialOptions): Promise<Found | undefined> {
  for (const place of authFiles(options)) {
    const file = readAuthFile(place, options.note ?? (() => undefined));
    const found = file === undefined ? undefined : await inFile(file, host, repository, options);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Its helper for the registry comes first, as for docker and podman; then the longest key that fits. */
async function inFile(
  { path, entries, helpers, store }: AuthFile,
  host: string,
  repository: string,
  options: CredentialOptions,
): Promise<Found | undefined> {
  const helper = helpers.get(host);
  if (helper !== undefined) {
    const found = await fromHelper(helper, host, options);
    return found === undefined ? undefined : { ...found, isNamed: byName };
  }
  const keys = keysFor(host, repository);
  const named = keys.slice(0, -1).find((key) => entries.has(key));
  const fromEntry = (key: string | undefined): Found | undefined => {
    const entry = key === undefined ? undefined : entries.get(key);
    const credentials = key === undefined || entry === undefined ? undefined : credentialsOf(entry, key, path);
    return credentials === undefined ? undefined : { credentials, source: path, isNamed: byName };
  };
  const ofPath = fromEntry(named);
  if (ofPath !== undefined) return ofPath;
  const stored = store === undefined ? undefined : await fromStore(store, path, host, options);
  // Docker leaves an empty entry for each registry that somebody has logged in to.
  const isEntered = keys.some((key) => entries.has(key));
  return stored === undefined ? fromEntry(host) : isEntered ? { ...stored, isNamed: byName } : stored;
}

/**
 * `credsStore` is for every registry, also those that want no credentials. One that is not there any more, as after Docker
 * Desktop was removed, must not keep public images away.
 */
async function fromStore(
  name: string,
  path: string,
  host: string,
  options: CredentialOptions,
): Promise<Found | undefined> {
  try {
    return await fromHelper(name, host, options);
  } catch (error) {
    if (!(error instanceof BoxctlError)) throw error;
    options.note?.(`\`credsStore\` of ${path} gives nothing for ${host}: ${error.message}`);
    return undefined;
  }
}

export const helperOptions = ({ env, helperWithin }: CredentialOptions): HelperOptions => ({
  env,
  ...(helperWithin === undefined ? {} : { within: helperWithin }),
});

async function fromHelper(name: string, host: string, options: CredentialOptions): Promise<Found | undefined> {
  for (const server of serversOf(host)) {
    const credentials = await fetchFromHelper(name, server, helperOptions(options));
    if (credentials === undefined) continue;
    const isNamed = (): Promise<boolean> => isListed(name, host, options);
    return { credentials, source: `docker-credential-${name}`, isNamed };
  }
  return undefined;
}

/** Whether somebody has stored something for the registry. What makes up credentials as it is asked lists none. */
async function isListed(name: string, host: string, options: CredentialOptions): Promise<boolean> {
  try {
    const servers = await listOfHelper(name, helperOptions(options));
    return servers.some((server) => canonicalKey(server) === host);
  } catch (error) {
    if (error instanceof BoxctlError) return false;
    throw error;
  }
}
