/** Addresses of containers: which range, which number, which subnet, and what nobody else may have meanwhile. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { NetworkFacts } from '../../../src/host/facts.ts';
import { parseNetworkConfig } from '../../../src/host/network-config.ts';
import { rangesOf } from '../../../src/plan/network/ranges.ts';
import { chooseRanges } from '../../../src/state/address-pool.ts';
import { claimAddresses, sweepNetwork } from '../../../src/state/addresses.ts';
import { formatSubnet, parseSubnet, type Subnet } from '../../../src/text/addresses.ts';
import { load } from '../../support/spec.ts';
import { tempFolder } from '../../support/temp.ts';

const subnet = (text: string): Subnet => {
  const parsed = parseSubnet(text);
  if (parsed === undefined) throw new Error(text);
  return parsed.subnet;
};

function facts(state: string, routes: readonly string[] = []): NetworkFacts {
  return {
    uplinks: [],
    addresses: [],
    routes: routes.map((text) => ({ subnet: subnet(text), device: 'eth1' })),
    forwarding: [],
    forcesForwarding: true,
    state,
  };
}

const file = (keys: string, name = 'one') =>
  load(`name: ${name}\nimage: {host_tools: [sh]}\ncommand: [sh]\nnetwork_mode: bridge\n${keys}`);

describe('the range of addresses', () => {
  test('is the usual one, or the next that nothing of the host overlaps', () => {
    const range = (routes: readonly string[]): string => formatSubnet(chooseRanges({}, facts('/', routes)).pool.ipv4);
    expect(range([])).toBe('10.215.0.0/20');
    expect(range(['10.215.3.0/24'])).toBe('10.231.0.0/20');
    expect(range(['10.0.0.0/8'])).toBe('172.29.0.0/20');
    expect(() => range(['10.0.0.0/8', '172.16.0.0/12'])).toThrow(
      'containers cannot be given addresses of 10.215.0.0/20: the route to 10.0.0.0/8 by eth1 is in it',
    );
  });

  test('is the one that root has chosen', () => {
    const config = parseNetworkConfig('pool: {ipv4: 10.99.16.0/20}\n', '/etc/boxctl/network.yaml');
    expect(formatSubnet(chooseRanges(config, facts('/')).pool.ipv4)).toBe('10.99.16.0/20');
    expect(() => chooseRanges(config, facts('/', ['10.99.16.0/24']))).toThrow('the route to 10.99.16.0/24');
  });

  test.each([
    ['pool: {ipv4: 10.99.16.0/24}', 'must be a range of IPv4 with a prefix of 20'],
    ['pool: {ipv6: 10.99.16.0/20}', 'must be a range of IPv6 with a prefix of 116'],
    ['pool: {ipv4: 10.99.17.0/20}', 'must be a range of IPv4 with a prefix of 20'],
    ['pools: {}', 'there is no key `pools`'],
    ['pool: [a]', 'must be a map with `ipv4` and `ipv6`'],
    ['subnets: {ipv5: x}', 'there is no key `ipv5` here'],
  ])('%s is an error at its place', (text, message) => {
    let found: unknown;
    try {
      parseNetworkConfig(text, 'network.yaml');
    } catch (error) {
      found = error;
    }
    expect(found).toMatchObject({ code: 'E_NETWORK_CONFIG', diagnostics: [{ message, at: { line: 1 } }] });
  });
});

describe('a claim', () => {
  test('has a number that no other has, and gives it back', () => {
    const state = join(tempFolder(), 'network/1');
    const claims = Array.from({ length: 5 }, () => claimAddresses(file(''), facts(state), new Map()));
    expect(new Set(claims.map(({ network }) => network.index)).size).toBe(5);
    for (const { release } of claims) release();
    expect(readdirSync(join(state, 'addresses'))).toEqual([]);
  });

  test('does not take a number again at once', () => {
    const state = join(tempFolder(), 'network/1');
    const indices = Array.from({ length: 3 }, () => {
      const { network, release } = claimAddresses(file(''), facts(state), new Map());
      release();
      return network.index;
    });
    expect(new Set(indices).size).toBe(3);
  });

  test('keeps the range of the containers that run, whatever the host has got meanwhile', () => {
    const state = join(tempFolder(), 'network/1');
    const first = claimAddresses(file(''), facts(state), new Map());
    const second = claimAddresses(file(''), facts(state, ['10.215.0.0/24']), new Map());
    expect(second.network.pool).toEqual(first.network.pool);
    first.release();
    second.release();
    const third = claimAddresses(file(''), facts(state, ['10.215.0.0/24']), new Map());
    expect(formatSubnet(third.network.pool.ipv4)).toBe('10.231.0.0/20');
    third.release();
  });

  test('on a network has the subnet of those who are there, and an address of its own', () => {
    const state = join(tempFolder(), 'network/1');
    const keys = 'networks: {inner: {name: shared, aliases: [web]}}\n';
    const first = claimAddresses(file(keys, 'first'), facts(state), new Map());
    const second = claimAddresses(file(keys, 'second'), facts(state), new Map());
    const [one, other] = [first.network.networks[0], second.network.networks[0]];
    expect(one?.subnet4).toEqual(other?.subnet4);
    expect(one?.address4).not.toBe(other?.address4);
    const stranger = claimAddresses(file('networks: [inner]\n', 'third'), facts(state), new Map());
    expect(stranger.network.networks[0]?.subnet4).not.toEqual(one?.subnet4);
    for (const { release } of [first, second, stranger]) release();
  });

  test.each([
    ['ipam: {config: [{subnet: 10.50.1.0/24}]}', 'the network inner has the subnet 10.50.0.0/24 as long as'],
    ['ipv4_address: 10.50.0.9', 'another container on inner has the address 10.50.0.9'],
  ])('with %s is refused at its line while another container is on the network', (key, message) => {
    const state = join(tempFolder(), 'network/1');
    const config = 'ipam: {config: [{subnet: 10.50.0.0/24}]}';
    const own = file(`networks: {inner: {name: shared, ${config}, ipv4_address: 10.50.0.9}}\n`, 'first');
    const first = claimAddresses(own, facts(state), new Map());
    const rest = key.startsWith('ipam') ? key : `${config}, ${key}`;
    const claim = (): unknown =>
      claimAddresses(file(`networks: {inner: {name: shared, ${rest}}}\n`), facts(state), new Map());
    expect(claim).toThrow(message);
    first.release();
  });

  test('with an address outside of the network is refused at its line, also where other files say the subnet', () => {
    const state = join(tempFolder(), 'network/1');
    const config = 'ipam: {config: [{subnet: 10.50.0.0/24}, {subnet: "fd00:50::/64"}]}';
    const first = claimAddresses(file(`networks: {lab: {name: lab, ${config}}}\n`, 'first'), facts(state), new Map());
    for (const [key, address, range] of [
      ['ipv4_address', '198.51.100.10', '10.50.0.0/24'],
      ['ipv6_address', '2001:db8::1', 'fd00:50::/64'],
    ] as const) {
      for (const how of ['external: true', 'name: lab']) {
        const claim = (): unknown =>
          claimAddresses(file(`networks:\n  lab: {${how}, ${key}: "${address}"}\n`), facts(state), new Map());
        const message = `${address} is not in the subnet ${range} of the network lab`;
        const at = expect.objectContaining({ line: 6 }) as object;
        expect(claim).toThrow(
          expect.objectContaining({ code: 'E_SPEC_ADDRESS', diagnostics: [expect.objectContaining({ message, at })] }),
        );
      }
    }
    const inside = claimAddresses(
      file('networks: {lab: {external: true, ipv4_address: 10.50.0.9}}\n'),
      facts(state),
      new Map(),
    );
    expect(inside.network.networks[0]?.address4).toBe('10.50.0.9');
    first.release();
    inside.release();
    // Nobody is there, and the subnet is chosen.
    expect(() =>
      claimAddresses(file('networks: {lab: {external: true, ipv4_address: 198.51.100.10}}\n'), facts(state), new Map()),
    ).toThrow('198.51.100.10 is not in the subnet');
  });

  test('gets no address of a gateway, and is refused where all addresses of the network are taken', () => {
    const state = join(tempFolder(), 'network/1');
    const claim = (gateway: string) =>
      claimAddresses(
        file(`networks: {inner: {ipam: {config: [{subnet: 10.50.0.0/29, gateway: ${gateway}}]}}}\n`),
        facts(state),
        new Map(),
      );
    const claims = Array.from({ length: 4 }, () => claim('10.50.0.3'));
    expect(claims.map(({ network }) => network.networks[0]?.address4)).toEqual([
      '10.50.0.2',
      '10.50.0.4',
      '10.50.0.5',
      '10.50.0.6',
    ]);
    expect(() => claim('10.50.0.3')).toThrow('all addresses of 10.50.0.0/29 are taken');
    for (const { release } of claims) release();
  });

  test('of a subnet that the host has is refused', () => {
    const state = join(tempFolder(), 'network/1');
    const keys = 'networks: {inner: {ipam: {config: [{subnet: 10.50.0.0/24}]}}}\n';
    const claim = (): unknown => claimAddresses(file(keys), facts(state, ['10.50.0.0/16']), new Map());
    const message = 'the subnet 10.50.0.0/24 cannot be had: the route to 10.50.0.0/16 by eth1 is in it';
    expect(claim).toThrow(message);
    // With its place in the file, so that the line is shown.
    const at = expect.objectContaining({ file: expect.any(String) as string }) as object;
    expect(claim).toThrow(expect.objectContaining({ diagnostics: [expect.objectContaining({ message, at })] }));
  });

  test('of a killed process is swept', () => {
    const folder = tempFolder();
    const addresses = join(folder, 'network/1/addresses');
    mkdirSync(addresses, { recursive: true });
    writeFileSync(join(addresses, '7'), '');
    sweepNetwork(folder);
    expect(existsSync(join(addresses, '7'))).toBe(false);
  });
});

test('ranges of a set are in order, and none touches another', () => {
  const ranges = rangesOf(['10.0.1.0/24', '10.0.0.0/24', '255.255.255.0/24', '10.0.0.5/32'].map(subnet));
  expect(ranges.map(({ first, afterLast }) => [first.join('.'), afterLast?.join('.')])).toEqual([
    ['10.0.0.0', '10.0.2.0'],
    ['255.255.255.0', undefined],
  ]);
});
