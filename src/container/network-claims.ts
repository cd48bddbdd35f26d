/** What a file with a network of its own is given of the host: addresses, and what the names of its `egress` lead to. */
import { createRequire } from 'node:module';
import type { HostFacts } from '../host/facts.ts';
import { readNetworkConfig } from '../host/network-config.ts';
import { DEFAULT_POOL } from '../model/network-defaults.ts';
import type { SpecPath } from '../spec/spec-path.ts';
import type { SpecDocument } from '../spec/spec.ts';
import { chooseRanges } from '../state/address-pool.ts';
import { claimAddresses, endedClaim, type AddressClaim } from '../state/addresses.ts';
import { located, type Problem } from '../spec/located.ts';

/** As the C library looks names up: by /etc/hosts and by name servers. */
const MEANINGS: Readonly<Record<string, string>> = {
  ENOTFOUND: 'there is no such name',
  EAI_AGAIN: 'no name server answers',
};

/**
 * The addresses of the names in `egress`, looked up on the host, once.
 *
 * @throws BoxctlError E_EGRESS_NAME with a diagnostic for each name that has none
 */
export async function resolveEgress(document: SpecDocument): Promise<ReadonlyMap<string, readonly string[]>> {
  const targets = document.spec.network?.egress ?? [];
  const paths = new Map(
    targets.flatMap(({ to, specPath }) => (to.kind === 'name' ? [[to.name, specPath] as const] : [])),
  );
  if (paths.size === 0) return new Map();
  // Loaded here, since it reads the resolver's configuration at once. A script of V8's code cache has no import().
  const { lookup } = createRequire('/')('node:dns/promises') as typeof import('node:dns/promises');
  const failed: (readonly [SpecPath, Problem])[] = [];
  const found = await Promise.all(
    [...paths].map(async ([name, path]): Promise<readonly [string, readonly string[]]> => {
      try {
        const all = await lookup(name, { all: true, verbatim: true });
        return [name, [...new Set(all.map(({ address }) => address))]];
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? String(error.code) : '';
        const message = `${name} cannot be looked up: ${MEANINGS[code] ?? code}`;
        const hint =
          'names in `egress` are looked up before the start: write the address where there is no name server';
        failed.push([path, { code: 'E_EGRESS_NAME', message, hint }]);
        return [name, []];
      }
    }),
  );
  if (failed.length > 0) throw located(document, failed);
  return new Map(found);
}

/**
 * The file must have been allowed: its names are sent to the resolver. `ended`: the descriptor of the claim of a container that was
 * started from a kept plan, and has ended.
 */
export async function claimNetwork(
  document: SpecDocument,
  { networking }: HostFacts,
  ended?: number,
): Promise<AddressClaim> {
  if (ended !== undefined && networking?.netAdmin === true) {
    const claim = endedClaim(ended, networking);
    if (claim !== undefined) return claim;
  }
  const resolved = await resolveEgress(document);
  if (networking?.netAdmin === true) return claimAddresses(document, networking, resolved);
  // Behind a router of its own, where no other container is. It reaches no address of its pool, so that the host must have none there.
  const pool = networking === undefined ? DEFAULT_POOL : chooseRanges(readNetworkConfig(), networking).pool;
  const network = { index: 1, pool, networks: [], resolved };
  return { network, locks: [], release: () => undefined };
}
