/** Addresses of containers where /etc/boxctl/network.yaml names no others. */
import type { Subnet } from '../text/addresses.ts';

export interface Pool {
  readonly ipv4: Subnet;
  readonly ipv6: Subnet;
}

/** In the pool, the index of a container has 12 bits; 0 is the gateway. */
export const LAST_INDEX = 4095;

export const DEFAULT_POOL: Pool = {
  ipv4: { family: 4, address: '10.215.0.0', prefix: 20 },
  ipv6: { family: 6, address: 'fd62:6f78:6374:6c::', prefix: 116 },
};

/** The first of the subnets that networks are given which do not choose one. */
export const FIRST_SUBNETS: Pool = {
  ipv4: { family: 4, address: '10.215.16.0', prefix: 24 },
  ipv6: { family: 6, address: 'fd62:6f78:6374:6d::', prefix: 112 },
};

/** Where no address can be had: of the addresses for documentation (RFC 5737, RFC 3849). */
export const MADE_UP_ADDRESSES = ['192.0.2.1', '2001:db8::1'] as const;
