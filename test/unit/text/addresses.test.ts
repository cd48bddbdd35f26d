/** Internet addresses and subnets, read and written. */
import { describe, expect, it } from 'vitest';
import {
  addressAt,
  addressBytes,
  containsAddress,
  formatAddress,
  overlapsSubnet,
  parseAddress,
  parseSubnet,
  type Subnet,
} from '../../../src/text/addresses.ts';
import { specialKind } from '../../../src/text/special-addresses.ts';

const subnet = (text: string): Subnet => {
  const found = parseSubnet(text)?.subnet;
  if (found === undefined) throw new Error(`${text} is no subnet`);
  return found;
};
const again = (text: string): string | undefined => {
  const found = parseAddress(text);
  return found === undefined ? undefined : formatAddress(found);
};

describe('an address', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['2001:DB8:0:0:0:0:0:7', '2001:db8::7'],
    ['2001:db8:0:1:0:0:0:1', '2001:db8:0:1::1'],
    ['2001:0:0:1:0:0:0:0', '2001:0:0:1::'],
    ['1:0:2:0:3:0:4:0', '1:0:2:0:3:0:4:0'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['::ffff:192.0.2.7', '::ffff:c000:207'],
    ['64:ff9b::192.0.2.7', '64:ff9b::c000:207'],
  ])('%s is written as %s', (text, expected) => expect(again(text)).toBe(expected));

  it.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '256.1.1.1',
    '1.2.3.-4',
    '0x7f.1.1.1',
    ':',
    ':::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '::1::',
    '12345::',
    'g::',
    '1.2.3.4::',
    'fe80::1%eth0',
    '[::1]',
    '::1.2.3',
  ])('%j is none', (text) => expect(parseAddress(text)).toBeUndefined());

  it('has bytes in the order of the network', () => {
    expect([...addressBytes('192.0.2.7')]).toEqual([192, 0, 2, 7]);
    expect([...addressBytes('2001:db8::7')]).toEqual([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
  });
});

describe('a subnet', () => {
  it('holds the addresses that begin as it does, and no others', () => {
    expect(containsAddress(subnet('10.0.0.0/8'), '10.255.255.255')).toBe(true);
    expect(containsAddress(subnet('10.0.0.0/8'), '11.0.0.0')).toBe(false);
    expect(containsAddress(subnet('10.0.0.0/8'), '::a00:1')).toBe(false);
    expect(containsAddress(subnet('0.0.0.0/0'), '255.255.255.255')).toBe(true);
    expect(containsAddress(subnet('fd00::/8'), 'fdff::1')).toBe(true);
    expect(overlapsSubnet(subnet('10.1.0.0/16'), subnet('10.0.0.0/8'))).toBe(true);
    expect(overlapsSubnet(subnet('10.1.0.0/16'), subnet('10.2.0.0/16'))).toBe(false);
  });

  it('gives addresses by their place, as far as it goes', () => {
    expect(addressAt(subnet('10.215.0.0/20'), 4095)).toBe('10.215.15.255');
    expect(addressAt(subnet('10.215.0.0/20'), 4096)).toBeUndefined();
    expect(addressAt(subnet('fd62:6f78:6374:6c::/116'), 17)).toBe('fd62:6f78:6374:6c::11');
  });

  it.each(['10.0.0.0', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/08', '::/129', '/8', '10.0.0.0/8/8'])(
    '%j is none',
    (text) => expect(parseSubnet(text)).toBeUndefined(),
  );

  it('that is written by one of its addresses is not exact', () => {
    expect(parseSubnet('10.1.2.3/8')).toEqual({ subnet: subnet('10.0.0.0/8'), isExact: false });
  });

  it.each([
    ['127.0.0.53/32', 'loopback'],
    ['::1/128', 'loopback'],
    ['169.254.169.254/32', 'link-local'],
    ['fe80::/64', 'link-local'],
    ['224.0.0.0/8', 'multicast'],
    ['::ffff:7f00:1/128', 'mapped'],
    ['0.0.0.0/32', 'unspecified'],
    ['0.0.0.0/0', undefined],
    ['10.0.0.0/8', undefined],
    ['2000::/3', undefined],
  ])('%s is %s', (text, kind) => expect(specialKind(subnet(text))).toBe(kind));
});
