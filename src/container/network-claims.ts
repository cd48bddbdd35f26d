/** What a file with a network of its own is given of the host: addresses, and what the names of its `egress` lead to. */
import { lookup } from 'node:dns/promises';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import type { NetworkClaim } from '../model/claims.ts';
import { DEFAULT_POOL } from '../model/network-defaults.ts';
import type { SpecDocument } from '../spec/spec.ts';
import { claimAddresses, type AddressClaim } from '../state/addresses.ts';

/** Once, before the start: the addresses are written in the container's /etc/hosts and in its rules. */
async function resolveNames(document: SpecDocument): Promise<NetworkClaim['resolved']> {
  const resolved = new Map<string, readonly string[]>();
  for (const { to, specPath } of document.spec.network?.egress ?? []) {
    if (to.kind !== 'name' || resolved.has(to.name)) continue;
    try {
      const found = await lookup(to.name, { all: true });
      resolved.set(to.name, [...new Set(found.map(({ address }) => address))]);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
      const at = document.where(specPath);
      throw new BoxctlError('E_EGRESS_NAME', `the host finds no address of ${to.name} (${code})`, {
        ...(at === undefined ? {} : { at }),
        hint: 'is the name right, and does `getent ahosts` find it? An address can be written in its place',
      });
    }
  }
  return resolved;
}

/** The file must have been allowed: what it names is asked for in the world. */
export async function claimNetwork(document: SpecDocument, { networking }: HostFacts): Promise<AddressClaim> {
  const resolved = await resolveNames(document);
  if (networking?.netAdmin === true) return claimAddresses(document, networking, resolved);
  const network = { index: 0, pool: DEFAULT_POOL, networks: [], resolved };
  return { network, release: () => undefined };
}
