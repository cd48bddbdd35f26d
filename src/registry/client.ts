/** A client of registries (OCI distribution specification 1.1, Docker's registry API v2), as src/registry/protocol.ts has it. */
import { fetchBlob } from './blobs.ts';
import { Endpoints, wordPath } from './endpoint.ts';
import { fetchDocument, fetchManifest, fetchReferrers, resolveTag, type Fetching } from './manifests.ts';
import type { ClientOptions, Location } from './options.ts';
import { Places } from './places.ts';
import type { Events, RegistryReader, Repository } from './protocol.ts';
import { writeReference } from './reference.ts';
import { systemClock } from './retry.ts';
import { Tokens } from './tokens.ts';
import { Transport } from './transport.ts';

const CONNECT_WITHIN = 15_000;
const PATIENCE = 30_000;

/** Nothing is sent before something is asked for. */
export function openClient(options: ClientOptions): RegistryReader {
  const clock = options.clock ?? systemClock;
  const transport = new Transport({
    tlsFor: options.tlsFor,
    env: options.env,
    userAgent: options.userAgent ?? 'boxctl',
    connectWithin: options.connectWithin ?? CONNECT_WITHIN,
    patience: options.patience ?? PATIENCE,
  });
  const tokens = new Tokens(transport, clock, options.credentialsFor);
  const endpoints = new Endpoints(transport, tokens, (host) => options.tlsFor(host) !== undefined);
  const places = new Places(endpoints, clock);

  const fetch = <T>(
    of: Repository & { readonly digest?: string | undefined },
    subject: string,
    events: Events | undefined,
    work: (fetching: Fetching) => Promise<T>,
  ): Promise<T> => {
    const signal = events?.signal;
    return places.first(options.locationsOf(of), { subject, events }, (location: Location) =>
      work({ endpoints, clock, location, signal }),
    );
  };

  return {
    manifest: (reference, events) =>
      fetch(reference, writeReference(reference), events, (fetching) =>
        fetchManifest(fetching, wordPath(reference), events?.accept),
      ),
    resolve: (reference, events) =>
      fetch(reference, writeReference(reference), events, (fetching) => resolveTag(fetching, wordPath(reference))),
    document: (of, blob, maxBytes, events) =>
      fetch({ ...of, digest: blob.digest }, named(of, blob.digest), events, (fetching) =>
        fetchDocument(fetching, blob, maxBytes),
      ),
    blob: (of, blob, offset, events) =>
      fetchBlob(
        {
          endpoints,
          clock,
          locations: options.locationsOf({ ...of, digest: blob.digest }),
          subject: named(of, blob.digest),
          events,
        },
        blob,
        offset,
      ),
    referrers: ({ registry, repository, digest }, events) =>
      fetch({ registry, repository, digest }, named({ registry, repository }, digest), events, (fetching) =>
        fetchReferrers(fetching, digest),
      ),
    close: () => {
      transport.close();
      return Promise.resolve();
    },
  };
}

const named = ({ registry, repository }: Repository, digest: string): string => `${registry}/${repository}@${digest}`;
