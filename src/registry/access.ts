/** Registries as a person's configuration, credentials and certificates have them: what every command asks through. */
import { homedir } from 'node:os';
import { tlsFilesFor } from './certs.ts';
import { openClient } from './client.ts';
import { locationsOf, readRegistries } from './config.ts';
import { findCredentials } from './credentials.ts';
import type { ClientOptions } from './options.ts';
import type { RegistryReader } from './protocol.ts';
import { candidatesOf, type Candidates } from './short-names.ts';

export interface RegistryAccess {
  readonly client: RegistryReader;
  /** What a name that a person has written may mean. Throws as `candidatesOf` does. */
  candidates(text: string): Candidates;
  close(): Promise<void>;
}

/**
 * Reads the configuration; nothing is sent yet.
 *
 * @throws BoxctlError E_REGISTRY_CONFIG, E_REGISTRY_CONFIG_UNSAFE
 */
export function openRegistries(
  env: NodeJS.ProcessEnv = process.env,
  options: Partial<ClientOptions> = {},
): RegistryAccess {
  const owner = { env, home: homedir() };
  const config = readRegistries(owner);
  const client = openClient({
    locationsOf: ({ registry, repository, digest }) =>
      locationsOf({ registry, repository, digest, tag: undefined }, config),
    credentialsFor: async (host, repository) =>
      (await findCredentials(host, repository, { ...owner, helpers: config.credentialHelpers }))?.credentials,
    tlsFor: (host) => tlsFilesFor(host, owner),
    env,
    ...options,
  });
  return {
    client,
    candidates: (text) => candidatesOf(text, config.shortNames),
    close: () => client.close(),
  };
}
