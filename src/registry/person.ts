/** All that a client of registries needs of the person who runs boxctl: configuration, credentials, certificates. */
import { tlsFilesFor } from './certs.ts';
import { locationsOf, readRegistries, type ConfigOwner, type RegistriesConfig } from './config.ts';
import { findCredentials } from './credentials.ts';
import type { ClientOptions, TlsFiles } from './options.ts';

export interface Person extends ConfigOwner {
  /** Something that a person should know of his files, once each. */
  readonly note?: (message: string) => void;
}

/** @throws BoxctlError E_REGISTRY_CONFIG, E_REGISTRY_CONFIG_UNSAFE */
export function registryOptions(person: Person, config: RegistriesConfig = readRegistries(person)): ClientOptions {
  const told = new Set<string>();
  const note = (message: string): void => {
    if (!told.has(message)) person.note?.(message);
    told.add(message);
  };
  const certificates = new Map<string, TlsFiles | undefined>();
  return {
    env: person.env,
    locationsOf: (reference) => locationsOf(reference, config),
    credentialsFor: async (host, repository) => {
      const options = { ...person, note, helpers: config.credentialHelpers };
      return (await findCredentials(host, repository, options))?.credentials;
    },
    tlsFor: (host) => {
      if (!certificates.has(host)) certificates.set(host, tlsFilesFor(host, person));
      return certificates.get(host);
    },
  };
}
