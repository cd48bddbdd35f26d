/**
 * A container's network on a stock kernel, as root and as an ordinary user by slirp4netns and by pasta. Run by
 * `npm run test:vm`. Debian's kernel for clouds has no nft_reject_netdev: what root's container may not send is dropped there.
 */
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { callers, self, type Caller } from '../support/container.ts';
import { networkFolder, settledState, startIn } from '../support/network-container.ts';
import { HOST, makeLab, WORLD, type Lab, type Place } from '../support/network-lab.ts';

const user = callers.find((caller) => caller.user !== undefined) as Caller;
const METADATA = '169.254.169.254';
const PROGRAMS = ['slirp4netns', 'pasta'] as const;
const pathOf = (program: string): string => `/usr/bin/${program}`;

/** By the netcat of busybox: a program of Node's takes seconds to start here. */
const ask = (address: string, port: number): string =>
  `{ printf 'GET /asked HTTP/1.0\\r\\n\\r\\n'; sleep 1; } | busybox nc -w 4 ${address} ${port} | tail -n 1`;
const open = (address: string, port: number): string =>
  `busybox nc -w 2 ${address} ${port} </dev/null >/dev/null 2>&1 && echo open || echo closed`;
const inside = (script: string): string => script.replaceAll('busybox ', '').replaceAll('$', '$$$$');

const INSIDE = [
  'mkdir -p /tmp/w; echo served > /tmp/w/asked; httpd -p 80 -h /tmp/w',
  inside(ask(WORLD.ipv4, 80)),
  inside(ask(WORLD.ipv6, 80)),
  inside(open(HOST.ipv4, 81)),
  inside(open(HOST.ipv6, 81)),
  inside(open(METADATA, 80)),
  inside(open(WORLD.ipv4, 80)),
  'echo ready; exec sleep 300',
].join('; ');

describe('a container with a network, on the kernel of the virtual machine', () => {
  let lab: Lab;
  const hidden = '/run/no-program';
  beforeAll(async () => {
    lab = await makeLab();
    await lab.host.shell(`busybox httpd -p 81 -h /usr; touch ${hidden}
      mount -t tmpfs tmpfs /dev/net; mknod -m 666 /dev/net/tun c 10 200`);
    await lab.router.shell(`ip addr add ${METADATA}/32 dev lo; busybox httpd -p 80 -h /usr`);
    await lab.host.shell(`ip route add ${METADATA}/32 via 192.0.2.1`);
    expect(await lab.host.shell(open(METADATA, 80))).toBe('open\n');
  }, 300_000);
  afterAll(() => lab.end());

  const answers = async (place: Place, addresses: readonly string[], port: number): Promise<readonly string[]> => {
    const text = await place.shell(addresses.map((address) => ask(address, port)).join('\n'));
    return text.trim().split('\n');
  };

  /** What holds for every way to make a network. */
  async function check(caller: Caller): Promise<void> {
    // The first container makes the table that all share.
    const stateOf = async (): Promise<object> => ({ ...(await settledState(lab.host)), tables: '' });
    const before = await stateOf();
    const spec = { ports: ['8080:80'], command: ['sh', '-c', INSIDE], tmpfs: ['/tmp'], stop_signal: 'SIGKILL' };
    const container = await startIn(lab.host, networkFolder(spec, [], caller), [], caller);
    expect(container.stdout().split('\n')).toEqual([
      `from ${HOST.ipv4} /asked`,
      `from ${HOST.ipv6} /asked`,
      'closed',
      'closed',
      'closed',
      'open',
      'ready',
      '',
    ]);
    expect(await answers(lab.world, [HOST.ipv4, HOST.ipv6], 8080)).toEqual(['served', 'served']);
    expect(await answers(lab.host, ['127.0.0.1', '::1', HOST.ipv4], 8080)).toEqual(['served', 'served', 'served']);
    const { stderr } = await container.end();
    expect(stderr).toContain('refused by the rules of its network');
    expect(await lab.host.shell(open('127.0.0.1', 8080))).toBe('closed\n');
    expect(await stateOf()).toEqual(before);
  }

  test('root’s reaches the world, answers at its published ports, reaches neither the host nor link-local addresses, and leaves nothing', async () => {
    await check(self);
  });

  test.each(PROGRAMS)('an ordinary user’s, by %s, does so too', async (program) => {
    const others = PROGRAMS.filter((other) => other !== program);
    for (const other of others) {
      expect(existsSync(pathOf(other))).toBe(true);
      await lab.host.shell(`mount --bind ${hidden} $(readlink -f ${pathOf(other)})`);
    }
    try {
      await check(user);
    } finally {
      for (const other of others) await lab.host.shell(`umount $(readlink -f ${pathOf(other)})`);
    }
  });
});
