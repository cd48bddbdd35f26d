/** Who carries a container's packets. */
import type { HostFacts } from '../host/facts.ts';
import type { SpecDocument } from '../spec/spec.ts';
import type { NetworkDriver } from './network.ts';
import type { Problems } from './problems.ts';

/** The kernel, for root; else a program of the user's. */
export function driverFor(_document: SpecDocument, host: HostFacts, _problems: Problems): NetworkDriver {
  return host.privileged ? 'veth' : 'pasta';
}
