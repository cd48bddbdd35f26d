/** The network of a model: names, name servers, what may be reached, and what a person must allow. */
import { describe, expect, it } from 'vitest';
import { BoxctlError } from '../../../src/errors.ts';
import type { HostFacts } from '../../../src/host/facts.ts';
import type { NetworkClaim } from '../../../src/model/claims.ts';
import { compile } from '../../../src/model/compile.ts';
import { allowance } from '../../../src/model/demands.ts';
import type { Model } from '../../../src/model/model.ts';
import { DEFAULT_POOL } from '../../../src/model/network-defaults.ts';
import { parseSubnet } from '../../../src/text/addresses.ts';
import { parsePermit, unpermitted } from '../../../src/trust/permits.ts';
import { ROOT_HOST, USER_HOST } from '../../support/host-facts.ts';
import { testImage } from '../../support/model.ts';
import { load } from '../../support/spec.ts';

const IMAGE = 'name: web\nimage: {host_tools: [sh]}\ncommand: [sh]\n';
const BRIDGE = `${IMAGE}network_mode: bridge\n`;

/** A host with these addresses, and this /etc/resolv.conf. */
const hostWith = (resolv: string, addresses: readonly string[] = ['10.0.0.5']): HostFacts => ({
  ...ROOT_HOST,
  network: { hosts: '127.0.0.1 localhost\n', resolv },
  networking: {
    netAdmin: true,
    uplinks: [{ family: 4, device: 'eth0' }],
    addresses: addresses.map((address) => ({ family: address.includes(':') ? 6 : 4, address, device: 'eth0' })),
    routes: [],
  } as unknown as NonNullable<HostFacts['networking']>,
});
const HOST = hostWith('search example.net\nnameserver 10.0.0.1\noptions ndots:2\n');

const claim = (resolved: Readonly<Record<string, readonly string[]>> = {}): NetworkClaim => ({
  index: 17,
  pool: DEFAULT_POOL,
  networks: [],
  resolved: new Map(Object.entries(resolved)),
});

function model(yaml: string, host: HostFacts = HOST, network: NetworkClaim | undefined = claim()): Model {
  return compile(load(yaml), testImage('/image'), host, {}, { network });
}
const fileOf = ({ ownFiles }: Model, path: string): string =>
  ownFiles.find((file) => file.path === path)?.content ?? '';
const namesIn = (text: string): readonly string[] =>
  text
    .split('\n')
    .filter((line) => line !== '' && !/localhost|ip6-/u.test(line))
    .map((line) => line.replace('\t', ' '));

describe('the network of a model', () => {
  it('has the addresses of its claim: the number of the claim, counted from the start of the pool', () => {
    expect(model(BRIDGE).network).toMatchObject({
      index: 17,
      ipv4: '10.215.0.17',
      ipv6: 'fd62:6f78:6374:6c::11',
      mac: '02:62:6f:78:00:11',
      gateway: { ipv4: '10.215.0.0', ipv6: 'fd62:6f78:6374:6c::' },
      toWorld: true,
      egress: undefined,
    });
  });

  it('has the first address, and documentation addresses for names, in a plan without a claim', () => {
    const { network } = compile(load(`${BRIDGE}egress: [example.com]\n`), testImage('/image'), HOST);
    expect(network).toMatchObject({ index: 1, ipv4: '10.215.0.1' });
    expect(network?.egress?.[0]).toMatchObject({ name: 'example.com', addresses: [{ address: '192.0.2.1' }, {}] });
  });

  it('is undefined where the file asks for none, and with `network_mode: host`', () => {
    expect(model(IMAGE).network).toBeUndefined();
    expect(model(`${IMAGE}network_mode: host\n`).network).toBeUndefined();
  });

  it('has no way to the world on internal networks alone', () => {
    expect(model(`${IMAGE}networks: {a: {internal: true}}\n`).network?.toWorld).toBe(false);
    expect(model(`${IMAGE}networks: {a: {internal: true}, b: {}}\n`).network?.toWorld).toBe(true);
  });

  it('has rates, as root and for an ordinary user', () => {
    const yaml = `${BRIDGE}limits: {network: {egress: 10mbit}}\n`;
    for (const host of [HOST, { ...HOST, ...USER_HOST }]) {
      expect(model(yaml, host).network?.rates).toEqual({ egress: 10_000_000 });
    }
  });
});

it('a network that `networks` asks for has its line as the reason', () => {
  const made = model(`${IMAGE}networks: [back]\n`);
  expect(made.because('network')).toMatchObject({ path: 'networks', at: { line: 4 } });
  expect(made.demands.find(({ kind }) => kind === 'network')?.because).toMatchObject({ at: { line: 4 } });
});

describe('/etc/hosts', () => {
  it('has the container’s own name with its addresses', () => {
    expect(namesIn(fileOf(model(BRIDGE), '/etc/hosts'))).toEqual(['10.215.0.17 web', 'fd62:6f78:6374:6c::11 web']);
    expect(namesIn(fileOf(model(IMAGE), '/etc/hosts'))).toEqual(['127.0.0.1 web']);
  });

  it('has `extra_hosts`, with the address of the gateway for `host-gateway`', () => {
    const yaml = `${BRIDGE}extra_hosts: [db=10.0.0.7, "v6:2001:DB8::7", host.docker.internal=host-gateway]\n`;
    expect(namesIn(fileOf(model(yaml), '/etc/hosts')).slice(0, 4)).toEqual([
      '10.0.0.7 db',
      '2001:db8::7 v6',
      '10.215.0.0 host.docker.internal',
      'fd62:6f78:6374:6c:: host.docker.internal',
    ]);
    const host = `${IMAGE}network_mode: host\nextra_hosts: [gate=host-gateway]\n`;
    expect(namesIn(fileOf(model(host), '/etc/hosts'))).toContain('127.0.0.1 gate');
  });

  it('has the names of `egress` with the addresses that the rules let through', () => {
    const yaml = `${BRIDGE}egress: ["example.com:443", "example.com:80"]\n`;
    const made = model(yaml, HOST, claim({ 'example.com': ['192.0.2.7', '2001:db8::7'] }));
    expect(namesIn(fileOf(made, '/etc/hosts')).slice(2)).toEqual(['192.0.2.7 example.com', '2001:db8::7 example.com']);
    expect(made.network?.egress?.[0]).toEqual({
      addresses: [
        { family: 4, address: '192.0.2.7', prefix: 32 },
        { family: 6, address: '2001:db8::7', prefix: 128 },
      ],
      ports: { first: 443, last: 443 },
      protocol: 'tcp',
      name: 'example.com',
    });
  });

  it('has the address that others on the first network see, and gives them each of its names once', () => {
    const subnet4 = parseSubnet('172.30.0.0/24')?.subnet;
    const network = { ...claim(), networks: [{ ...(subnet4 && { subnet4, address4: '172.30.0.2' }) }] };
    const made = model(`${IMAGE}hostname: web\nnetworks: {back: {aliases: [web, www]}}\n`, HOST, network);
    expect(namesIn(fileOf(made, '/etc/hosts'))).toEqual(['172.30.0.2 web']);
    expect(made.network?.networks).toMatchObject([
      { names: ['web', 'www'], folder: expect.stringMatching(/^names\/[0-9a-f]{16}$/u) },
    ]);
    const other = model(`${IMAGE}hostname: front\nnetworks: [back]\n`, HOST, network);
    expect(namesIn(fileOf(other, '/etc/hosts'))).toEqual(['172.30.0.2 front web']);
  });
});

describe('/etc/resolv.conf', () => {
  const resolv = (yaml: string, host = HOST): string => fileOf(model(yaml, host), '/etc/resolv.conf');

  it('has the lines of the host’s file', () => {
    expect(resolv(BRIDGE)).toBe('search example.net\nnameserver 10.0.0.1\noptions ndots:2\n');
  });

  it.each(['127.0.0.53', '10.0.0.5', '169.254.169.253', '::1'])(
    'has 127.0.0.11 in place of %s, which the container cannot reach itself',
    (address) => {
      const made = model(BRIDGE, hostWith(`nameserver ${address}\nnameserver 10.0.0.1\n`));
      expect(made.network?.dns.relays).toEqual([{ at: '127.0.0.11', to: address }]);
      expect(fileOf(made, '/etc/resolv.conf')).toBe('nameserver 127.0.0.11\nnameserver 10.0.0.1\n');
    },
  );

  it('has `dns`, `dns_search` and `dns_opt` in place of the host’s lines, each on its own', () => {
    expect(resolv(`${BRIDGE}dns: [9.9.9.9, "2620:FE::FE"]\n`)).toBe(
      'search example.net\nnameserver 9.9.9.9\nnameserver 2620:fe::fe\noptions ndots:2\n',
    );
    expect(resolv(`${BRIDGE}dns_search: .\ndns_opt: [use-vc]\n`)).toBe('nameserver 10.0.0.1\noptions use-vc\n');
    expect(resolv(`${IMAGE}network_mode: host\ndns: 9.9.9.9\n`)).toBe(
      'search example.net\nnameserver 9.9.9.9\noptions ndots:2\n',
    );
    expect(resolv(`${IMAGE}network_mode: host\n`)).toBe(HOST.network.resolv);
  });

  it('in a namespace that is joined by its path has the host’s name servers, but those of the host’s loopback', () => {
    const path = `${IMAGE}network_mode: /run/netns/lab\n`;
    expect(resolv(path)).toBe('search example.net\nnameserver 10.0.0.1\noptions ndots:2\n');
    expect(resolv(path, hostWith('nameserver 127.0.0.53\nnameserver 10.0.0.1\n'))).toBe('nameserver 10.0.0.1\n');
    expect(resolv(path, hostWith('nameserver 127.0.0.53\n'))).toMatch(
      /^# The name servers of the host are on its loo/u,
    );
    expect(resolv(`${path}dns: 9.9.9.9\n`)).toBe('search example.net\nnameserver 9.9.9.9\noptions ndots:2\n');
  });

  it('has no name server that `egress` does not let through', () => {
    const loopback = hostWith('nameserver 127.0.0.53\n');
    for (const egress of ['none', '["example.com:443"]', '["10.0.0.0/8:443"]']) {
      const made = model(`${BRIDGE}egress: ${egress}\n`, loopback, claim({ 'example.com': ['192.0.2.7'] }));
      expect(made.network?.dns).toMatchObject({ servers: [], relays: [] });
      expect(fileOf(made, '/etc/resolv.conf')).toMatch(/^# This container may ask no name server/u);
    }
    expect(model(`${BRIDGE}egress: ["*:53/udp"]\n`, loopback).network?.dns.relays).toHaveLength(1);
    expect(model(`${BRIDGE}egress: ["10.0.0.1:53/udp"]\n`).network?.dns.servers).toEqual(['10.0.0.1']);
  });
});

it('a name server of `dns` that the container cannot ask is a warning', () => {
  const warnings = (yaml: string) => model(`${BRIDGE}${yaml}\n`).warnings.map(({ message }) => message);
  expect(warnings('dns: 9.9.9.9\negress: ["192.0.2.7:443"]')).toEqual([
    '`egress` lets no question through to a name server of `dns`: names are not found by it',
  ]);
  expect(warnings('dns: 9.9.9.9\negress: ["9.9.9.9:53/udp"]')).toEqual([]);
  expect(warnings('dns: 9.9.9.9')).toEqual([]);
  expect(warnings('dns: 127.0.0.53')).toHaveLength(1);
});

it('a container on internal networks alone has no name server', () => {
  const made = model(`${IMAGE}networks: {a: {internal: true}}\n`, hostWith('nameserver 127.0.0.53\n'));
  expect(made.network?.dns).toMatchObject({ servers: [], relays: [] });
});

describe('an entry of `egress`', () => {
  const failure = (resolved: readonly string[], yaml = 'egress: [example.com]'): unknown => {
    try {
      return model(`${BRIDGE}${yaml}\n`, HOST, claim({ 'example.com': resolved })).network?.egress?.[0]?.addresses;
    } catch (error) {
      return error instanceof BoxctlError ? error.code : error;
    }
  };
  it.each(['127.0.0.1', '10.0.0.5', '169.254.169.254', '10.215.3.4', '::1', 'fe80::1', '::ffff:127.0.0.1', '0.0.0.0'])(
    'opens no way to %s, also by a name with that address',
    (address) => {
      expect(failure([address])).toBe('E_EGRESS_ADDRESS');
      expect(failure([address, '192.0.2.7'])).toEqual([{ family: 4, address: '192.0.2.7', prefix: 32 }]);
    },
  );

  it('is an error where it is an address of the host or of the containers’ pool', () => {
    expect(failure([], 'egress: ["10.0.0.5:5432"]')).toBe('E_EGRESS_ADDRESS');
    expect(failure([], 'egress: ["10.215.0.0/24"]')).toBe('E_EGRESS_ADDRESS');
    expect(failure([], 'egress: ["host-gateway:5432"]')).toBe('host');
  });

  it('opens the host by `host-gateway` alone, and link-local addresses by their own alone', () => {
    const reaches = (egress: string) => model(`${BRIDGE}egress: ${egress}\n`).network?.reaches;
    expect(reaches('["*"]')).toEqual({ host: false, linkLocal: false });
    expect(reaches('["host-gateway:5432"]')).toEqual({ host: true, linkLocal: false });
    expect(reaches('["169.254.169.254:80"]')).toEqual({ host: false, linkLocal: true });
  });
});

describe('the demands of a network', () => {
  // Programs of the host are asked for, too, since the file lies in their folder.
  const demandsOf = (yaml: string) =>
    model(`${IMAGE}${yaml}\n`, HOST, claim({ 'example.com': ['192.0.2.7'] })).demands.filter(
      ({ kind }) => kind !== 'tool',
    );
  const demands = (yaml: string): readonly string[] => demandsOf(yaml).map(allowance);
  it.each([
    ['network_mode: bridge', ['network']],
    ['network_mode: bridge\negress: none', []],
    ['network_mode: bridge\negress: ["*"]', ['network']],
    ['network_mode: bridge\negress: ["0.0.0.0/0", "example.com:443"]', ['network', 'egress=example.com:443']],
    ['network_mode: bridge\negress: ["10.0.0.0/8", "*:53/udp"]', ['egress=10.0.0.0/8', 'egress=*:53/udp']],
    ['network_mode: bridge\negress: ["[FD00::]/8:443"]', ['egress=[fd00::/8]:443']],
    [
      'network_mode: bridge\negress: ["host-gateway:5432", "169.254.169.254"]',
      ['reach=host-gateway:5432', 'reach=169.254.169.254'],
    ],
    ['networks: {a: {internal: true}}', []],
    ['networks: {a: {internal: true, name: lab}}', ['shared_network=lab']],
    ['networks: {a: {external: true}}', ['shared_network=a', 'network']],
    [
      'networks: {a: {internal: true, ipam: {config: [{subnet: 172.30.0.0/24}, {subnet: "2001:DB8:1::/64"}]}}}',
      ['subnet=2001:db8:1::/64'],
    ],
    ['networks: {a: {internal: true, ipam: {config: [{subnet: 101.0.0.0/8}]}}}', ['subnet=101.0.0.0/8']],
    ['networks: {a: {internal: true, ipam: {config: [{subnet: "fd00:30::/64"}]}}}', []],
    [
      'network_mode: bridge\negress: none\nports: ["8080:80", "127.0.0.1:53:53/udp", "[::1]:9000-9001:9000-9001", "80"]',
      ['port=8080', 'port=127.0.0.1:53/udp', 'port=[::1]:9000-9001', 'port=0'],
    ],
    ['network_mode: "container:db"', ['container=db']],
    ['network_mode: host', ['namespace=net']],
    ['network_mode: /run/netns/lab', ['join=/run/netns/lab']],
  ])('of %j are %j', (yaml, expected) => expect(demands(yaml)).toEqual(expected));

  it.each([
    ['network', 'network_mode: bridge', true],
    ['network', 'network_mode: bridge\negress: ["example.com:443"]', true],
    ['network', 'network_mode: bridge\negress: ["host-gateway:1"]', false],
    ['egress', 'network_mode: bridge', false],
    ['egress=example.com', 'network_mode: bridge\negress: ["example.com:443"]', true],
    ['egress=example.com:443', 'network_mode: bridge\negress: ["example.com"]', false],
    ['egress=example.com:443', 'network_mode: bridge\negress: ["example.com:443/udp"]', false],
    ['egress=10.0.0.0/8', 'network_mode: bridge\negress: ["10.1.2.3:80", "10.1.0.0/16"]', true],
    ['egress=10.0.0.0/8', 'network_mode: bridge\negress: ["11.1.2.3:80"]', false],
    ['egress=*:443', 'network_mode: bridge\negress: ["[2001:db8::7]:443"]', true],
    ['egress=[fd00::]/8:443', 'network_mode: bridge\negress: ["[fd01::7]:443"]', true],
    ['egress=Example.com:443', 'network_mode: bridge\negress: ["example.com:443"]', true],
    ['egress=fd00::/8', 'network_mode: bridge\negress: ["[fd01::7]:443"]', true],
    ['port=8080', 'networks: {a: }\negress: none\nports: ["127.0.0.1:8080:80"]', true],
    ['port=127.0.0.1:8080', 'networks: {a: }\negress: none\nports: ["8080:80"]', false],
    ['port=8000-9000', 'networks: {a: }\negress: none\nports: ["8080-8090:80-90"]', true],
    ['port=8080', 'networks: {a: }\negress: none\nports: ["8080:80/udp"]', false],
    ['port=[::1]:8080', 'networks: {a: }\negress: none\nports: ["[::1]:8080:80"]', true],
    ['container=db', 'network_mode: "container:db"', true],
    ['container=d', 'network_mode: "container:db"', false],
    ['reach', 'network_mode: bridge\negress: ["host-gateway"]', true],
    ['shared_network=lab', 'networks: {a: {name: lab, internal: true}}', true],
    ['subnet=198.51.100.0/24', 'networks: {a: {internal: true, ipam: {config: [{subnet: 198.51.100.0/24}]}}}', true],
    ['subnet=198.51.100.0/24', 'networks: {a: {internal: true, ipam: {config: [{subnet: 198.51.0.0/16}]}}}', false],
  ])('are met by `--allow %s` for %j: %s', (permit, yaml, expected) => {
    const left = unpermitted(demandsOf(yaml), [parsePermit(permit, { folder: '/', home: '/' })]);
    expect(left.length === 0).toBe(expected);
  });
});
