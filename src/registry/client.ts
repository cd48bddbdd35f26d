/** A client of registries (OCI distribution specification 1.1, Docker's registry API v2), as src/registry/protocol.ts has it. */
import { BoxctlError } from '../errors.ts';
import { fetchBlob } from './blobs.ts';
import { Endpoints, wordPath } from './endpoint.ts';
import { fetchDocument, fetchManifest, fetchReferrers, resolveTag, type Fetching } from './manifests.ts';
import type { ClientOptions, Location } from './options.ts';
import { asError, Places } from './places.ts';
import type { Events, RegistryClient, Repository } from './protocol.ts';
import { writeReference, type Reference } from './reference.ts';
import { systemClock } from './retry.ts';
import { Tokens } from './tokens.ts';
import { Transport } from './transport.ts';
import { hasBlob, mountBlob, uploadBlob, uploadManifest, type Uploading } from './uploads.ts';

const CONNECT_WITHIN = 15_000;
const PATIENCE = 30_000;

/** Nothing is sent before something is asked for. */
export function openClient(options: ClientOptions): RegistryClient {
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

  const locationsOf = (reference: Reference): readonly Location[] => options.locationsOf(reference);
  /**
   * Content has the same bytes everywhere, so all locations will do: those of tags, one of which has given the manifest, and
   * those of digests.
   */
  const locationsOfContent = ({ registry, repository }: Repository, digest: string): readonly Location[] => {
    const named = { registry, repository, tag: undefined };
    const all = [
      { ...named, digest: undefined },
      { ...named, digest },
    ].flatMap((of) => options.locationsOf(of));
    const isFirst = (location: Location, index: number): boolean =>
      all.findIndex((one) => one.host === location.host && one.repository === location.repository) === index;
    const distinct = all.filter(isFirst);
    return [...distinct.filter(({ isMirror }) => isMirror), ...distinct.filter(({ isMirror }) => !isMirror)];
  };
  const fetch = <T>(
    locations: readonly Location[],
    subject: string,
    events: Events | undefined,
    work: (fetching: Fetching) => Promise<T>,
  ): Promise<T> => {
    const signal = events?.signal;
    return places.first(locations, { subject, events }, (location) => work({ endpoints, clock, location, signal }));
  };

  /** What changes a registry happens at the registry itself, never at a mirror. */
  const pushedTo = ({ registry, repository }: Repository): Location => {
    const of = { registry, repository, tag: undefined, digest: undefined };
    const location = options.pushLocationOf?.(of) ?? options.locationsOf(of).at(-1);
    if (location === undefined) throw new Error('a reference has no location');
    return location;
  };
  const upload = async <T>(
    of: Repository,
    subject: string,
    events: Events | undefined,
    work: (uploading: Uploading) => Promise<T>,
  ): Promise<T> =>
    places.first([pushedTo(of)], { subject, events }, (location) => work({ endpoints, clock, location, events }));

  return {
    manifest: async (reference, events) =>
      fetch(locationsOf(reference), writeReference(reference), events, (fetching) =>
        fetchManifest(fetching, wordPath(reference), events?.accept),
      ),
    resolve: async (reference, events) =>
      fetch(locationsOf(reference), writeReference(reference), events, (fetching) =>
        resolveTag(fetching, wordPath(reference)),
      ).catch((error: unknown) => {
        if (error instanceof BoxctlError && error.code === 'E_REGISTRY_NOT_FOUND') return undefined;
        throw error;
      }),
    document: async (of, blob, maxBytes, events) =>
      fetch(locationsOfContent(of, blob.digest), named(of, blob.digest), events, (fetching) =>
        fetchDocument(fetching, blob, maxBytes),
      ),
    blob: (of, blob, offset, events) => {
      const locations = locationsOfContent(of, blob.digest);
      const purpose = { subject: named(of, blob.digest), events };
      return fetchBlob({ endpoints, clock, places, locations, purpose }, blob, offset);
    },
    referrers: async ({ registry, repository, digest }, events) =>
      fetch(
        locationsOf({ registry, repository, tag: undefined, digest }),
        named({ registry, repository }, digest),
        events,
        (fetching) => fetchReferrers(fetching, digest),
      ),
    hasBlob: (of, digest, events) => upload(of, named(of, digest), events, (uploading) => hasBlob(uploading, digest)),
    mountBlob: (of, digest, from, events) =>
      upload(of, named(of, digest), events, (uploading) => mountBlob(uploading, digest, from)),
    // It tries again by itself, from where it was.
    putBlob: async (of, blob, open, events) => {
      const location = pushedTo(of);
      await uploadBlob({ endpoints, clock, location, events }, blob, open, async (failure, failures) => {
        const last = await places.settle(failure, failures, location, true, events);
        if (last !== undefined) throw asError(named(of, blob.digest), [{ host: location.host, failure: last }]);
      });
    },
    putManifest: (reference, document, events) =>
      upload(reference, writeReference(reference), events, (uploading) =>
        uploadManifest(uploading, reference.tag ?? reference.digest ?? 'latest', document),
      ),
    close: () => {
      transport.close();
      return Promise.resolve();
    },
  };
}

const named = ({ registry, repository }: Repository, digest: string): string => `${registry}/${repository}@${digest}`;
