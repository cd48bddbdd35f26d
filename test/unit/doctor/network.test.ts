/** What doctor says of the network, for hosts of every kind. */
import { describe, expect, it } from 'vitest';
import { firewallsOf, legacyFirewallOf } from '../../../src/host/firewall.ts';
import { examineNetwork, gatherNetworkFindings, type NetworkFindings } from '../../../src/doctor/network.ts';
import type { NetworkFacts } from '../../../src/host/facts.ts';
import { DEFAULT_POOL } from '../../../src/model/network-defaults.ts';
import { ROOT_HOST, USER_HOST } from '../../support/host-facts.ts';
import { fakeReader } from '../host/reader.ts';

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
  trial: { ok: true, steps: 300, leftOut: [] },
  rates: { ok: true, steps: 302, leftOut: [] },
  firewalls: [],
  pool: DEFAULT_POOL,
  locked: [],
  settings: { firstPort: 1024, mayPing: true },
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
const ruleset = (...list: readonly object[]): string =>
  JSON.stringify({ nftables: [{ metainfo: { version: '1' } }, ...list] });
const DROPPING = { family: 'ip', table: 'filter', name: 'FORWARD', type: 'filter', hook: 'forward', policy: 'drop' };
const chain = (changes: object = {}): object => ({ chain: { ...DROPPING, ...changes } });
/** A chain that no hook calls. */
const called = (name: string, changes: object = {}): object =>
  chain({ name, hook: undefined, policy: undefined, ...changes });
const rule = (changes: object, ...expr: readonly object[]): object => ({
  rule: { family: 'ip', table: 'filter', chain: 'FORWARD', expr, ...changes },
});
const from = (addr: string, len: number): object => ({
  match: { op: '==', left: { payload: { protocol: 'ip', field: 'saddr' } }, right: { prefix: { addr, len } } },
});

describe('doctor', () => {
  it('misses nothing of the network on a host that has everything', () => {
    expect(said({})).toEqual([
      'network of its own: yes, tried, by a pair of interfaces: all 300 steps done and undone',
      'way to the world: yes, IPv4 by eth0',
      'refusals: yes, at once',
      'forwarding: yes, on',
      'firewall: yes, none that drops what containers send was found',
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

  it('says where packets are dropped instead of refused', () => {
    const told = said({ trial: { ok: true, steps: 300, leftOut: ['table.reject'] } }).join('\n');
    expect(told).toMatch(/^refusals: no, .*no nft_reject_netdev → a kernel with CONFIG_NFT_REJECT_NETDEV/mu);
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

  it('says which ports of the host an ordinary user may publish, and whether echo requests of containers are carried', async () => {
    const facts = { ...FACTS, netAdmin: false };
    const asUser = async (start: string, range: string): Promise<readonly string[]> => {
      const files = {
        '/proc/sys/net/ipv4/ip_unprivileged_port_start': `${start}\n`,
        '/proc/sys/net/ipv4/ping_group_range': `${range}\n`,
      };
      const { settings } = await gatherNetworkFindings(USER_HOST, {}, false, fakeReader({ files }));
      return said({ facts, settings }, USER_HOST);
    };
    const all = await asUser('0', '0\t2147483647');
    expect(all).toContain('published ports: yes, all');
    expect(all).toContain('ping: yes, echo requests of containers are carried');
    const usual = await asUser('1024', '1\t0');
    expect(usual).toContain(
      'published ports: yes, from 1024 on: those below are root’s (net.ipv4.ip_unprivileged_port_start)',
    );
    expect(usual).toContain(
      'ping: no, echo requests of containers get no answer → as root: sysctl net.ipv4.ping_group_range="0 2147483647"',
    );
    expect(said({}).join('\n')).not.toMatch(/^(?:ping|published ports):/mu);
  });
});

describe('a firewall that drops forwarded packets', () => {
  const names = (...list: readonly object[]): readonly string[] =>
    firewallsOf(ruleset(...list)).map(({ name, families }) => `${name}, ${families.join('+')}`);
  const WORDS = { iptables: 'iptables (FORWARD drops)', docker: 'Docker (FORWARD drops)' };

  it('is found neither without a chain that drops forwarded packets, nor in boxctl’s own table', () => {
    expect(names()).toEqual([]);
    expect(names(chain({ policy: 'accept' }), chain({ hook: 'input' }))).toEqual([]);
    expect(names(chain({ table: 'boxctl' }))).toEqual([]);
  });

  it('is named by its owner, with the families whose packets it drops', () => {
    expect(names(chain())).toEqual([`${WORDS.iptables}, 4`]);
    expect(names(chain(), chain({ family: 'ip6' }))).toEqual([`${WORDS.iptables}, 4+6`]);
    expect(names(chain(), called('DOCKER-USER'))).toEqual([`${WORDS.docker}, 4`]);
    const six = { family: 'ip6' };
    expect(names(chain(), called('ufw-before-forward'), chain(six), called('ufw6-before-forward', six))).toEqual([
      'ufw, 4+6',
    ]);
    // ufw's chains for IPv6 alone say nothing of IPv4's.
    expect(names(chain(), called('ufw6-before-forward', six))).toEqual([`${WORDS.iptables}, 4`]);
    const own = { family: 'inet', table: 'mine', name: 'fwd' };
    expect(names(chain(own))).toEqual(['the chain fwd of the table inet mine, which drops, 4+6']);
  });

  it('is found where the policy accepts and the last rule has no condition and drops', () => {
    const accepting = chain({ policy: 'accept' });
    const counter = { counter: { packets: 1, bytes: 1 } };
    for (const last of [{ drop: null }, { reject: { type: 'icmpx' } }, { xt: { type: 'target', name: 'REJECT' } }]) {
      expect(names(accepting, rule({}, from('10.0.0.0', 8), { accept: null }), rule({}, counter, last))).toEqual([
        `${WORDS.iptables}, 4`,
      ]);
      expect(names(accepting, rule({}, from('10.0.0.0', 8), last))).toEqual([]);
      expect(names(accepting, rule({}, last), rule({}, counter, { accept: null }))).toEqual([]);
    }
    const daemon = { family: 'inet', table: 'firewalld', name: 'filter_FORWARD', policy: 'accept' };
    const its = { family: 'inet', table: 'firewalld', chain: 'filter_FORWARD' };
    expect(names(chain(daemon), rule(its, { reject: { type: 'icmpx', expr: 'admin-prohibited' } }))).toEqual([
      'firewalld, 4+6',
    ]);
  });

  it('is found among the rules of before nf_tables', () => {
    const text = '-P INPUT ACCEPT\n-P FORWARD DROP\n-N DOCKER-USER\n-A FORWARD -j DOCKER-USER\n';
    expect(legacyFirewallOf(text, 4).map(({ name }) => name)).toEqual([WORDS.docker]);
    expect(legacyFirewallOf('-P FORWARD ACCEPT\n-A FORWARD -j REJECT --reject-with x\n', 6)).toHaveLength(1);
    expect(legacyFirewallOf('-P FORWARD ACCEPT\n-A FORWARD -s 10.0.0.0/8 -j DROP\n', 4)).toEqual([]);
    const [legacy] = legacyFirewallOf('-P FORWARD DROP\n', 4);
    expect(legacy?.admit('10.215.0.0/20', 4)).toContain('iptables-legacy -I FORWARD -s 10.215.0.0/20 -j ACCEPT');
  });

  it('is reported with the commands that let the pool through, for the families that it drops alone', () => {
    const fixOf = (...list: readonly object[]): string => said({ firewalls: firewallsOf(ruleset(...list)) }).join('\n');
    const docker = fixOf(chain(), called('DOCKER-USER'));
    expect(docker).toMatch(
      /firewall: no, Docker \(FORWARD drops\) can drop what containers send → iptables -I DOCKER-USER -s 10\.215\.0\.0\/20 -j ACCEPT && iptables -I DOCKER-USER -d 10\.215\.0\.0\/20 -j ACCEPT$/mu,
    );
    expect(fixOf(chain({ family: 'inet', table: 'mine', name: 'fwd' }))).toMatch(
      /→ nft insert rule inet mine fwd ip saddr 10\.215\.0\.0\/20 accept && .* ip6 daddr fd62:6f78:6374:6c::\/116 accept$/mu,
    );
  });

  it('is reported with the pool that this host gives containers addresses of', () => {
    const ipv4 = { family: 4, address: '10.99.0.0', prefix: 20 } as const;
    const fix = said({ firewalls: firewallsOf(ruleset(chain())), pool: { ...DEFAULT_POOL, ipv4 } }).join('\n');
    expect(fix).toContain('iptables -I FORWARD -s 10.99.0.0/20 -j ACCEPT');
    expect(fix).not.toContain('10.215');
  });

  it('is not reported once it lets the pool through', () => {
    const firewalls = firewallsOf(ruleset(chain(), rule({}, from('10.215.0.0', 20), { accept: null })));
    expect(firewalls).toHaveLength(1);
    expect(said({ firewalls })).toContain('firewall: yes, none that drops what containers send was found');
  });
});
