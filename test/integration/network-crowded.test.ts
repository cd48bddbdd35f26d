/** A network on hosts where names, ranges and ways out are taken or several, in a lab of network namespaces. */
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Ended, RunOptions } from '../support/boxctl.ts';
import { callerOptions, callers, self, type Caller } from '../support/container.ts';
import { networkFolder } from '../support/network-container.ts';
import { makeLab, SECOND, whyNoLab, WORLD, type Lab } from '../support/network-lab.ts';

describe.skipIf(whyNoLab() !== undefined)(`a crowded host (${whyNoLab() ?? 'in the lab'})`, () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await makeLab();
    await lab.host.shell('mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200');
  });
  afterAll(async () => lab.end());
  const up = (command: string, spec: object = {}, caller: Caller = self, options: RunOptions = {}): Promise<Ended> => {
    const folder = networkFolder({ command: ['sh', '-c', command], ...spec }, [], caller);
    return lab.host.boxctl(['up', '--allow', 'all'], callerOptions(caller, folder, options));
  };
  /** Root, and where there is one an ordinary user whose packets a program carries. */
  const carried = callers.filter(
    ({ user }, index) => index < 2 && (user === undefined || existsSync('/usr/bin/slirp4netns')),
  );
  const ask = (address: string): string => `echo hello | nc -w 3 ${address} 7`;
  const ADDRESS = "ip -o -4 addr show dev eth0 | sed 's/.*inet 10.215.//; s,/.*,,'";

  test('with foreign interfaces that are named as a container’s would be gives the container another number', async () => {
    const options = { once: 'the next one by Node has the next number' };
    const { stdout } = await up(ADDRESS, {}, self, options);
    const [high = 0, low = 0] = stdout.trim().split('.').map(Number);
    const next = [1, 2, 3].map((step) => `boxctl${high * 256 + low + step}`);
    await lab.host.shell(next.map((name) => `ip link add ${name} type veth peer name of-${name}`).join('; '));
    const second = await up(`${ADDRESS}; ${ask(WORLD.ipv4)}`, {}, self, options);
    expect(second.stderr).toBe('');
    expect(second.stdout).toBe(`${high}.${low + 4}\nhello\n`);
    const links = await lab.host.out('ip', '-o', 'link');
    for (const name of next) expect(links).toContain(name);
  });

  test('with two ways out lets a container use both, by both families', async () => {
    await lab.host.shell(`ip link add up1 type veth peer name up1 netns /proc/${lab.second.pid}/ns/net
      ip addr add 203.0.114.2/24 dev up1; ip addr add 2001:db8:4::2/64 dev up1 nodad; ip link set up1 up`);
    await lab.second.shell(`ip addr add 203.0.114.1/24 dev up1; ip addr add 2001:db8:4::1/64 dev up1 nodad
      ip link set up1 up`);
    await lab.host.shell(`ip route add ${SECOND.ipv4} via 203.0.114.1
      ip route add ${SECOND.ipv6} via 2001:db8:4::1; ip route add default via 203.0.114.1 metric 4000`);
    for (const address of ['203.0.114.1', '[2001:db8:4::1]']) await lab.host.get(`http://${address}/`);
    const all = [WORLD.ipv4, WORLD.ipv6, SECOND.ipv4, SECOND.ipv6];
    const { stdout, stderr } = await up(all.map(ask).join('; '));
    expect({ stdout, stderr }).toEqual({ stdout: 'hello\n'.repeat(4), stderr: '' });
  });

  test('that is itself in the range of containers’ addresses gives them others, so that they reach its neighbours', async () => {
    await lab.router.serve({ echo: [7] });
    await lab.router.shell('ip addr add 10.215.7.1/24 dev to-host');
    await lab.host.shell('ip addr add 10.215.7.2/24 dev up0');
    for (const caller of carried) {
      const shown = "ip -o -4 addr show dev eth0 | sed 's/.*inet //; s,/.*,,'";
      const { stdout, stderr } = await up(`${shown}; ${ask('10.215.7.1')}; ${ask(WORLD.ipv4)}`, {}, caller);
      expect({ stdout, stderr }, caller.title).toEqual({
        stdout: expect.stringMatching(/^10\.231\.\d+\.\d+\nhello\nhello\n$/u) as string,
        stderr: '',
      });
    }
    await lab.host.shell('ip addr del 10.215.7.2/24 dev up0');
  });

  test('with a pool in /etc/boxctl/network.yaml gives containers its addresses, and doctor names it where a firewall drops', async () => {
    await lab.host.shell(`mkdir -p /etc/boxctl && mount -t tmpfs tmpfs /etc/boxctl
      echo 'pool: {ipv4: 10.99.0.0/20}' > /etc/boxctl/network.yaml
      nft 'add table inet mine; add chain inet mine mine { type filter hook forward priority 0; policy drop; }'`);
    for (const caller of carried) {
      const { stdout, stderr } = await up(ADDRESS.replace('10.215.', ''), {}, caller);
      expect(stdout, `${caller.title}: ${stderr}`).toMatch(/^10\.99\.\d+\.\d+\n$/u);
    }
    const { stdout } = await lab.host.boxctl(['doctor'], callerOptions(self, '/'));
    expect(stdout).toContain('nft insert rule inet mine mine ip saddr 10.99.0.0/20 accept');
    await lab.host.shell('nft delete table inet mine; umount /etc/boxctl');
  });

  test('with one subnet for networks gives it to the first, and the second network is an error at its line', async () => {
    await lab.host.shell(`mkdir -p /etc/boxctl && mount -t tmpfs tmpfs /etc/boxctl
      echo 'subnets: {ipv4: 10.66.0.0/24}' > /etc/boxctl/network.yaml`);
    expect(await up(ADDRESS.replace('10.215.', ''), { networks: ['one'] })).toMatchObject({ status: 0, stderr: '' });
    const { status, stderr } = await up('true', { networks: ['one', 'two'] });
    expect(status).toBe(125);
    expect(stderr).toMatch(/container\.yaml:\d+:\d+: error: all subnets of 10\.66\.0\.0\/24 are taken/u);
    expect(stderr).toContain('/etc/boxctl/network.yaml');
  });
});
