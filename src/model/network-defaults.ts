/** The addresses of containers, unless /etc/boxctl/network.yaml has others. */
import type { Subnet } from '../text/addresses.ts';

export interface Pool {
  readonly ipv4: Subnet;
  readonly ipv6: Subnet;
}

/** The largest index of a container in the pool: 12 bits. The index 0 is the gateway. */
export const LAST_INDEX = 4095;

export const DEFAULT_POOL: Pool = {
  ipv4: { family: 4, address: '10.215.0.0', prefix: 20 },
  ipv6: { family: 6, address: 'fd62:6f78:6374:6c::', prefix: 116 },
};

/** The first of the subnets for networks whose files choose none. */
export const FIRST_SUBNETS: Pool = {
  ipv4: { family: 4, address: '10.215.16.0', prefix: 24 },
  ipv6: { family: 6, address: 'fd62:6f78:6374:6d::', prefix: 112 },
};

/** Addresses for documentation (RFC 5737, RFC 3849), in place of those that cannot be looked up. */
export const MADE_UP_ADDRESSES = ['192.0.2.1', '2001:db8::1'] as const;
