/** What doctor says of the network, for hosts of every kind. */
import { describe, expect, it } from 'vitest';
import { firewallsOf } from '../../../src/doctor/firewall.ts';
import { examineNetwork, type NetworkFindings } from '../../../src/doctor/network.ts';
import type { NetworkFacts } from '../../../src/host/facts.ts';
import { ROOT_HOST, USER_HOST } from '../../support/host-facts.ts';

const FACTS: NetworkFacts = {
  netAdmin: true,
  uplinks: [{ family: 4, device: 'eth0' }],
  addresses: [],
  routes: [],
  forwarding: [],
  forcesForwarding: true,
  state: '/run/boxctl/network/1',
};
const WELL: NetworkFindings = {
  facts: FACTS,
  trial: { ok: true, steps: 300 },
  rates: { ok: true, steps: 302 },
  firewalls: [],
  locked: [],
};
const said = (changes: Partial<NetworkFindings>, host = ROOT_HOST): readonly string[] =>
  examineNetwork(host, { ...WELL, ...changes }).map(
    ({ name, state, detail, fix }) => `${name}: ${state}, ${detail}${fix === undefined ? '' : ` → ${fix}`}`,
  );

const FORWARDING = {
  family: 4,
  device: 'eth0',
  setting: '/proc/sys/net/ipv4/conf/eth0/forwarding',
  value: '1',
  restore: '0',
  lock: '/run/boxctl/x',
  on: false,
  ours: false,
} as const;
const chains = (...list: readonly object[]): string =>
  JSON.stringify({ nftables: [{ metainfo: { version: '1' } }, ...list.map((chain) => ({ chain }))] });
const DROPPING = { family: 'ip', table: 'filter', name: 'FORWARD', type: 'filter', hook: 'forward', policy: 'drop' };

describe('doctor', () => {
  it('misses nothing of the network on a host that has everything', () => {
    expect(said({})).toEqual([
      'network of its own: yes, tried, by a pair of interfaces: all 300 steps done and undone',
      'way to the world: yes, IPv4 by eth0',
      'forwarding: yes, on',
      'firewall: yes, none that swallows what containers send was found',
      'name servers: yes, 10.0.0.1',
      'rates: yes, tried, by queueing disciplines: all 302 steps done and undone',
      'networks of containers: yes, `networks`',
      'slirp4netns or pasta: none, not needed: as root, the kernel carries the packets',
    ]);
  });

  it('says why a network cannot be made, or why there is no way to the world, and what to do', () => {
    const trial = { ok: false, call: 'netlink', message: 'no', hint: 'do this' } as const;
    expect(said({ trial, rates: undefined })).toContain('network of its own: no, no → do this');
    expect(said({ facts: { ...FACTS, uplinks: [] } })).toContain(
      'way to the world: no, no default route → give this host a default route',
    );
  });

  it('says whether forwarding is switched on for a container, or cannot be written', () => {
    const facts = { ...FACTS, forwarding: [FORWARDING] };
    expect(said({ facts })).toContain(
      'forwarding: yes, off: switched on for eth0 as long as a container with a network runs',
    );
    expect(said({ facts, locked: [FORWARDING.setting] }).join('\n')).toMatch(
      /forwarding: no, off, and \/proc\/sys\/net\/ipv4\/conf\/eth0\/forwarding cannot be written → /u,
    );
  });

  it('says that a name server on loopback is passed on to containers, and misses one where the host has none', () => {
    const host = { ...ROOT_HOST, network: { hosts: '', resolv: 'nameserver 127.0.0.53\n' } };
    expect(said({}, host)).toContain('name servers: yes, 127.0.0.53 (passed on to containers)');
    expect(said({}, { ...ROOT_HOST, network: { hosts: '', resolv: '' } }).join('\n')).toMatch(/name servers: no, /u);
  });

  it('names the program that an ordinary user’s container needs, and the command that installs it', () => {
    const programs = { install: 'apt install slirp4netns' };
    const facts = { ...FACTS, netAdmin: false, programs };
    expect(said({ facts, rates: undefined }, USER_HOST)).toContain(
      'slirp4netns or pasta: no, neither is installed → as root: apt install slirp4netns',
    );
    const found = said({ facts: { ...facts, programs: { ...programs, pasta: '/usr/bin/pasta' } } }, USER_HOST);
    expect(found).toContain('slirp4netns or pasta: yes, /usr/bin/pasta');
    expect(found).toContain('networks of containers: none, `networks` are for root alone');
  });
});

describe('a firewall that drops forwarded packets', () => {
  const names = (...list: readonly object[]): readonly string[] => firewallsOf(chains(...list)).map(({ name }) => name);

  it('is found neither without a chain that drops forwarded packets, nor in boxctl’s own table', () => {
    expect(names()).toEqual([]);
    expect(names({ ...DROPPING, policy: 'accept' }, { ...DROPPING, hook: 'input' })).toEqual([]);
    expect(names({ ...DROPPING, table: 'boxctl' })).toEqual([]);
  });

  it('is named by its owner, or by its chain with the command that admits the pool', () => {
    expect(names(DROPPING, { ...DROPPING, name: 'DOCKER-USER', hook: undefined })).toEqual(['Docker (FORWARD drops)']);
    expect(names(DROPPING, { ...DROPPING, name: 'ufw-before-forward', hook: undefined })).toEqual(['ufw']);
    expect(
      names({ family: 'inet', table: 'firewalld', name: 'filter_FORWARD', hook: 'forward', policy: 'accept' }),
    ).toEqual(['firewalld']);
    const [own] = firewallsOf(chains({ ...DROPPING, family: 'inet', table: 'mine', name: 'fwd' }));
    expect(own?.name).toBe('the chain fwd of the table inet mine, which drops');
    expect(own?.admit('10.215.0.0/20', 4)).toBe(
      'nft insert rule inet mine fwd ip saddr 10.215.0.0/20 accept && nft insert rule inet mine fwd ip daddr 10.215.0.0/20 accept',
    );
  });

  it('is reported in one line, with commands for the ranges of both families', () => {
    const firewalls = firewallsOf(chains(DROPPING, { ...DROPPING, name: 'DOCKER-USER', hook: undefined }));
    expect(said({ firewalls }).join('\n')).toMatch(
      /firewall: no, Docker \(FORWARD drops\) can swallow what containers send → iptables -I DOCKER-USER -s 10\.215\.0\.0\/20 -j ACCEPT && .* ip6tables -I DOCKER-USER -s fd62:/u,
    );
  });
});
