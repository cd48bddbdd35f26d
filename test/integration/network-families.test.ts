/** A network on hosts that have one of the two families alone, in a lab of network namespaces. */
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hasCompiler } from '../support/attack.ts';
import type { Ended } from '../support/boxctl.ts';
import { callerOptions, callers, type Caller } from '../support/container.ts';
import { client, networkFolder, SERVER, startServer } from '../support/network-container.ts';
import { HOST, makeLab, UPLINK, whyNoLab, WORLD, type Lab } from '../support/network-lab.ts';

const WHY = whyNoLab() ?? (hasCompiler ? undefined : 'needs a C compiler');
const carried = callers.filter(({ user }) => user === undefined || existsSync('/usr/bin/slirp4netns'));

/** Asks the world's echo server by an address, and prints what came back. */
const ask = (address: string): string => `echo hello | nc -w 3 ${address} 7 2>&1 || echo failed`;
const NAME = 'nslookup world.test | tail -n +4';

async function up(lab: Lab, caller: Caller, command: string, spec: object = {}): Promise<Ended> {
  const folder = networkFolder({ command: ['sh', '-c', command], ...spec }, [], caller);
  return lab.host.boxctl(['up', '--allow', 'all'], callerOptions(caller, folder));
}
async function useNameServer(lab: Lab, address: string): Promise<void> {
  await lab.host.shell(`mount -t tmpfs tmpfs /mnt && echo nameserver ${address} > /mnt/resolv.conf &&
    mount --bind /mnt/resolv.conf /etc/resolv.conf && mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200`);
}

describe.skipIf(WHY !== undefined)(`a host without IPv6 (${WHY ?? 'in the lab'})`, () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await makeLab();
    await useNameServer(lab, WORLD.ipv4);
    await lab.host.shell('echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6');
  });
  afterAll(async () => lab.end());

  test.each(carried)('gives a container IPv4 alone: $title', async (caller) => {
    const shown = 'ip -o addr show dev eth0 | grep -c inet; grep -c fd62 /etc/hosts';
    const { stdout, stderr } = await up(lab, caller, `${ask(WORLD.ipv4)}; ${shown}; ${NAME}`, {
      egress: ['world.test:7', '*:53/udp'],
    });
    expect(stdout, stderr).toMatch(/^hello\n1\n0\n/u);
    expect(stdout).toContain(`: ${WORLD.ipv4}\n`);
    expect(stderr).toBe('');
  });

  test.each(carried)('has published ports by IPv4: $title', async (caller) => {
    await startServer(lab.host, { ports: [`8080:${SERVER}`, `8080:${SERVER}/udp`] }, [], caller);
    expect(await client(lab.world, 'udp', HOST.ipv4, 8080, 1)).toMatch(/^1\b/u);
  });

  test('has no IPv6 address to publish a port at, which is an error at its line', async () => {
    for (const caller of carried) {
      const { status, stderr } = await up(lab, caller, 'true', { ports: ['[::1]:8080:80'] });
      expect(status).toBe(125);
      expect(stderr).toMatch(/container\.yaml:\d+:5: error: .*EADDRNOTAVAIL/u);
    }
  });

  test.skipIf(carried.every(({ user }) => user !== undefined))(
    'has networks of IPv4; an `ipv6_address` is an error at its line',
    async () => {
      const root = carried.find(({ user }) => user === undefined);
      if (root === undefined) return;
      const fine = await up(lab, root, 'ip -o addr show dev eth0 | grep -c inet', { networks: ['back'] });
      expect(fine).toMatchObject({ stdout: '2\n', stderr: '' });
      const back = { ipv6_address: '2001:db8:9::5', ipam: { config: [{ subnet: '2001:db8:9::/64' }] } };
      const { status, stderr } = await up(lab, root, 'true', { networks: { back } });
      expect(status).toBe(125);
      expect(stderr).toMatch(/container\.yaml:\d+:\d+: error: this host gives containers no IPv6: 2001:db8:9::5/u);
    },
  );
});

describe.skipIf(WHY !== undefined)(`a host without IPv4 (${WHY ?? 'in the lab'})`, () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await makeLab();
    await useNameServer(lab, WORLD.ipv6);
    // A host tells an address only a few times in a row that there is no way: a container that has that of the one before asks, too.
    await lab.host.shell(`ip -4 addr flush dev ${UPLINK}; echo 0 > /proc/sys/net/ipv4/icmp_ratelimit`);
  });
  afterAll(async () => lab.end());
  // The host's own neighbour is known, so that no test waits for it.
  beforeEach(async () => void (await lab.host.get(`http://[${WORLD.ipv6}]/`)));

  test.each(carried)('lets a container reach the world and its name server by IPv6: $title', async (caller) => {
    const { stdout, stderr } = await up(lab, caller, `${ask(WORLD.ipv6)}; ${NAME}; ${ask(WORLD.ipv4)}`);
    expect(stdout, stderr).toMatch(/^hello\n/u);
    expect(stdout).toContain(`: ${WORLD.ipv6}\n`);
    expect(stdout).toMatch(/Network is unreachable\nfailed\n$/u);
    expect(stderr).toBe('');
  });

  test.each(carried)('has published ports by IPv6: $title', async (caller) => {
    await startServer(lab.host, { ports: [`8080:${SERVER}`] }, [], caller);
    expect(await client(lab.world, 'echo', HOST.ipv6, 8080, 1000)).toBe('same');
  });

  test('has no IPv4 address of its own to publish a port at, which is an error at its line', async () => {
    for (const caller of carried) {
      const { status, stderr } = await up(lab, caller, 'true', { ports: [`${HOST.ipv4}:8080:80`] });
      expect(status).toBe(125);
      expect(stderr).toMatch(/container\.yaml:\d+:5: error: .*EADDRNOTAVAIL/u);
    }
  });
});
