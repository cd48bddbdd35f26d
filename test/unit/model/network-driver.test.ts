/** Who carries a container's packets, on hosts that are data. */
import { describe, expect, test } from 'vitest';
import type { HostFacts, NetworkFacts } from '../../../src/host/facts.ts';
import { compile } from '../../../src/model/compile.ts';
import { testDocument, type DocumentOptions } from '../../support/document.ts';
import { ROOT_HOST, USER_HOST } from '../../support/host-facts.ts';
import { load } from '../../support/spec.ts';
import { diagnosticsOf, image } from './fixtures.ts';

const BRIDGE = { network: { ports: [], networks: [], egress: undefined }, command: ['true'] } as const;
const INSTALL = 'apt install slirp4netns';

function on(host: HostFacts, networking: Partial<NetworkFacts>): HostFacts {
  return {
    ...host,
    networking: {
      uplinks: [],
      addresses: [],
      routes: [],
      forwarding: [],
      forcesForwarding: true,
      state: '/run/boxctl/network/1',
      ...networking,
    },
  };
}
const both = { slirp4netns: '/usr/bin/slirp4netns', pasta: '/usr/bin/passt', install: INSTALL };
const driverOn = (host: HostFacts, options: DocumentOptions = {}) =>
  compile(testDocument({ ...BRIDGE, ...options }), image, host).network?.driver;
const problemsOn = (host: HostFacts, options: DocumentOptions = {}, lines = {}) =>
  diagnosticsOf(() => compile(testDocument({ ...BRIDGE, ...options }, lines), image, host));

describe('the packets of a container', () => {
  test('are carried by the kernel where boxctl may change the host’s network', () => {
    expect(driverOn(on(ROOT_HOST, { netAdmin: true }))).toBe('veth');
    expect(driverOn(ROOT_HOST)).toBe('veth');
  });

  test('are carried by a program for an ordinary user, and for root without CAP_NET_ADMIN', () => {
    expect(driverOn(on(USER_HOST, { netAdmin: false, programs: both }))).toBe('slirp4netns');
    expect(driverOn(on(ROOT_HOST, { netAdmin: false, programs: both }))).toBe('slirp4netns');
    const pasta = { pasta: '/usr/bin/passt', install: INSTALL };
    expect(driverOn(on(USER_HOST, { programs: pasta }))).toBe('pasta');
  });

  test('cannot be carried without a program: the error names the command that installs one', () => {
    const found = problemsOn(on(USER_HOST, { programs: { install: INSTALL } }), {}, { network_mode: 3 });
    expect(found).toMatchObject([
      { code: 'E_NO_NETWORK_PROGRAM', at: { line: 3 }, hint: `as root: ${INSTALL}`, path: 'network_mode' },
    ]);
  });

  test('cannot be carried without /dev/net/tun: the error says what changes that', () => {
    const noTun = { reason: '/dev/net/tun is not yours to open', hint: 'as root: chmod 0666 /dev/net/tun' };
    const found = problemsOn(on(USER_HOST, { programs: { ...both, noTun } }));
    expect(found).toMatchObject([{ code: 'E_NO_NETWORK_PROGRAM', hint: noTun.hint }]);
  });

  test.each([
    ['NET_ADMIN', { capAdd: ['CAP_NET_ADMIN'] }],
    ['ALL', { capAdd: ['ALL'] }],
  ] as const)(
    'of an ordinary user’s container with the capability %s are an error, since it could remove the rules',
    (_name, options) => {
      const host = on(USER_HOST, { programs: both });
      expect(problemsOn(host, options, { cap_add: 4 })).toMatchObject([
        { code: 'E_EGRESS_NET_ADMIN', at: { line: 4 } },
      ]);
      expect(driverOn(on(ROOT_HOST, { netAdmin: true }), options)).toBe('veth');
    },
  );

  test('have a limited rate only without CAP_NET_ADMIN: with it, the limit is an error', () => {
    const file = (keys: string) =>
      load(
        `image: {host_tools: [sh]}\ncommand: [sh]\nnetwork_mode: bridge\n${keys}limits: {network: {egress: 10mbit}}\n`,
      );
    const root = on(ROOT_HOST, { netAdmin: true });
    expect(diagnosticsOf(() => compile(file('cap_add: [NET_ADMIN]\n'), image, root))).toMatchObject([
      { code: 'E_RATE_NET_ADMIN', at: { line: 5 } },
    ]);
    expect(compile(file(''), image, root).network?.rates.egress).toBe(10_000_000);
  });

  test('of an ordinary user do not reach other containers: a network of several is an error at its line', () => {
    const one = { name: 'backend', external: false, internal: false, subnets: [], ipv4: true, ipv6: true, aliases: [] };
    const network = { ...BRIDGE.network, networks: [{ ...one, specPath: 'networks.backend' }] } as const;
    const found = problemsOn(on(USER_HOST, { programs: both }), { network }, { 'networks.backend': 7 });
    expect(found).toMatchObject([{ code: 'E_NETWORK_NEEDS_ROOT', at: { line: 7 } }]);
  });

  test('of an ordinary user need a process and a user namespace of the container’s own', () => {
    const host = on(USER_HOST, { programs: both });
    const found = problemsOn(host, { namespaces: { pid: { kind: 'host' } } });
    expect(found).toMatchObject([{ code: 'E_NOT_PRIVATE', path: 'namespaces.pid' }]);
    const joined = problemsOn(host, { namespaces: { user: { kind: 'path', path: '/proc/1/ns/user' } } });
    expect(joined).toMatchObject([{ code: 'E_NOT_PRIVATE', path: 'namespaces.user' }]);
  });
});
