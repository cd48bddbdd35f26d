/** Registries as a person's configuration, credentials and certificates have them: what every command asks through. */
import { homedir } from 'node:os';
import { openClient } from './client.ts';
import { readRegistries } from './config.ts';
import { findCredentials, type Found } from './credentials.ts';
import { registryOptions } from './person.ts';
import type { RegistryReader } from './protocol.ts';
import { candidatesOf, type Candidates } from './short-names.ts';

export interface RegistryAccess {
  readonly client: RegistryReader;
  /** What a name that a person has written may mean. Throws as `candidatesOf` does. */
  candidates(text: string): Candidates;
  /** What the person would be logged in with there, if anything. Asks the person's credential helpers, and no registry. */
  credentials(host: string, repository: string): Promise<Found | undefined>;
  close(): Promise<void>;
}

/**
 * Reads the configuration; nothing is sent yet.
 *
 * @throws BoxctlError E_REGISTRY_CONFIG, E_REGISTRY_CONFIG_UNSAFE
 */
export function openRegistries(note?: (message: string) => void, env: NodeJS.ProcessEnv = process.env): RegistryAccess {
  const person = { env, home: homedir(), ...(note === undefined ? {} : { note }) };
  const config = readRegistries(person);
  const client = openClient(registryOptions(person, config));
  const credentials = (host: string, repository: string): Promise<Found | undefined> =>
    findCredentials(host, repository, { ...person, helpers: config.credentialHelpers });
  return {
    client,
    credentials,
    candidates: (text) => candidatesOf(text, config.shortNames),
    close: () => client.close(),
  };
}
