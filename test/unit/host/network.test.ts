/** What of the host's network is read from /proc. */
import { describe, expect, it } from 'vitest';
import { isOwnAddress } from '../../../src/host/facts.ts';
import { withNetwork } from '../../../src/host/network.ts';
import { formatSubnet } from '../../../src/text/addresses.ts';
import { ROOT_HOST, USER_HOST } from '../../support/host-facts.ts';
import { fakeReader } from './reader.ts';

/** Of Linux 6.18, with a bridge that has no carrier and a local route to a subnet. */
const FIB_TRIE = `Main:
  +-- 0.0.0.0/0 3 0 4
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        +-- 127.0.0.0/31 1 0 0
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     +-- 172.16.0.0/14 3 0 4
        |-- 172.17.0.1
           /32 host LOCAL
        |-- 172.18.0.0
           /16 link UNICAST
           /24 host LOCAL
Local:
  +-- 0.0.0.0/0 3 0 4
        |-- 172.17.0.1
           /32 host LOCAL
`;
const ZERO = '0'.repeat(32);
const route6 = (destination: string, length: string, flags: string, device: string): string =>
  `${destination} ${length} ${ZERO} 00 ${ZERO} 00000000 00000001 00000000 ${flags}       ${device}\n`;
const IPV6_ROUTE = [
  route6('20010db8009800000000000000000000', '40', '00000001', 'v0'),
  route6('20010db8009800000000000000000001', '80', '80200001', 'v0'),
  route6('20010db8009800000000000000000000', '80', '80300001', 'v0'),
  route6(`${'0'.repeat(31)}1`, '80', '80200001', 'lo'),
  route6(ZERO, '00', '00200200', 'lo'),
].join('');

describe('addresses of the host', () => {
  const files = { '/proc/net/fib_trie': FIB_TRIE, '/proc/net/ipv6_route': IPV6_ROUTE };

  it('are for an ordinary user all that the kernel takes as its own, whatever state their interface is in', () => {
    const host = withNetwork(USER_HOST, {}, fakeReader({ files }));
    expect(host.networking?.local?.map(formatSubnet)).toEqual([
      '127.0.0.0/8',
      '127.0.0.1/32',
      '172.17.0.1/32',
      '172.18.0.0/24',
      '2001:db8:98::1/128',
      '2001:db8:98::/128',
      '::1/128',
    ]);
    for (const address of ['172.17.0.1', '172.18.0.200', '2001:db8:98::1']) {
      expect(isOwnAddress(host, address)).toBe(true);
    }
    for (const address of ['172.17.0.2', '172.18.1.1', '2001:db8:98::2']) {
      expect(isOwnAddress(host, address)).toBe(false);
    }
  });

  it('are left to the kernel for root, whose rules ask it', () => {
    const status = `CapEff:\t${'f'.repeat(16)}\n`;
    const host = withNetwork(ROOT_HOST, {}, fakeReader({ files: { ...files, '/proc/self/status': status } }));
    expect(host.networking?.netAdmin).toBe(true);
    expect(host.networking?.local).toBeUndefined();
  });
});
