/** A container's network under load, for long, and where the host and the way out are not as they should be. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { callerOptions, callers, self } from '../support/container.ts';
import { client, networkFolder, SERVER, settledState, startIn, startServer } from '../support/network-container.ts';
import { HOST, makeLab, NAMES, SECOND, whyNoLab, WORLD, type Lab } from '../support/network-lab.ts';
import { tempFolder } from '../support/temp.ts';

const CLIENT = join(import.meta.dirname, '../support/network-client.mjs');
const GIBIBYTE = 2 ** 30;
/** For much data, and for many starts where each is made twice. */
const LONG = { timeout: 240_000 };
/** Of a gibibyte of zero bytes. */
const MD5_OF_ZEROS = 'cd573cfaace07e7949bc0c46028904ff';
/** Root, and an ordinary user whose packets a program carries. */
const carried = callers.filter(
  ({ user }, index) => index < 2 && (user === undefined || existsSync('/usr/bin/slirp4netns')),
);
const why = whyNoLab();

describe.skipIf(why !== undefined)(`a network under load (${why ?? 'in the lab'})`, () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await makeLab();
  });
  afterAll(() => lab.end());

  test(
    'a gibibyte arrives unchanged from the world, and through a published port from the world and from the host',
    LONG,
    async () => {
      const folder = networkFolder({
        command: ['sh', '-c', `wget -q -O - http://${WORLD.ipv4}/bytes/${GIBIBYTE} | md5sum`],
      });
      const options = callerOptions(self, folder, { once: 'a gibibyte takes its time' });
      const { status, stdout } = await lab.host.boxctl(['up', '--allow', 'all'], options);
      expect({ status, stdout }).toMatchObject({ status: 0, stdout: expect.stringContaining(MD5_OF_ZEROS) as string });
      await startServer(lab.host, { ports: [`8080:${SERVER}`] });
      expect(await client(lab.world, 'echo', HOST.ipv6, 8080, GIBIBYTE)).toBe('same');
      expect(await client(lab.host, 'echo', '127.0.0.1', 8080, GIBIBYTE)).toBe('same');
    },
  );

  test('thousands of connections are carried at once, from the world and from the host, and none of them is left', async () => {
    const container = await startServer(lab.host, { ports: [`8080:${SERVER}`] });
    for (let round = 0; round < 2; round++) {
      expect(await client(lab.world, 'many', HOST.ipv4, 8080, 3000)).toBe('3000');
      expect(await client(lab.host, 'many', '::1', 8080, 3000)).toBe('3000');
    }
    await container.end();
    expect(await lab.host.out('ss', '-Htan', 'state', 'established')).toBe('');
  });

  test('a server that never reads, one that sends without end and one that resets delay neither another server nor the end of the container', async () => {
    const ports = [0, 1, 2, 3].map((kind) => `127.0.0.1:${8080 + kind}:${SERVER + kind}`);
    const container = await startServer(lab.host, { ports });
    const holders = [8081, 8082].map((port) =>
      lab.host.start([process.execPath, CLIENT, 'hold', '127.0.0.1', String(port), '100']),
    );
    await Promise.all(holders.map((holder) => new Promise((resolve) => holder.stdout?.once('data', resolve))));
    for (let i = 0; i < 5; i++) expect(await client(lab.host, 'get', '127.0.0.1', 8083)).toBe('ECONNRESET');
    expect(await client(lab.host, 'many', '127.0.0.1', 8080, 200)).toBe('200');
    expect(await client(lab.host, 'echo', '127.0.0.1', 8080, 20_000_000)).toBe('same');
    await container.end();
    for (const holder of holders) holder.stdin?.end();
  });

  test('a container that floods does not stop the network of another one, and ends when it is asked to', async () => {
    await startServer(lab.host, { ports: [`8080:${SERVER}`] });
    const flooding = networkFolder({ command: ['/w/network', 'flood', SECOND.ipv4, '7', '60'] }, ['network']);
    const flooder = await startIn(lab.host, flooding);
    const refused = networkFolder({ command: ['/w/network', 'flood', HOST.ipv4, '7', '60'] }, ['network']);
    const other = await startIn(lab.host, refused);
    expect(await client(lab.world, 'many', HOST.ipv4, 8080, 100)).toBe('100');
    expect(await client(lab.host, 'many', '127.0.0.1', 8080, 100)).toBe('100');
    for (const container of [flooder, other]) {
      await container.end();
    }
    // It sends both.
    const told = /\d+ packets of the container were refused by the rules of its network, to (.+)\n/u.exec(
      other.stderr(),
    );
    expect(told?.[1]?.split(', ').sort()).toEqual(['192.0.2.2:7/tcp', '192.0.2.2:7/udp']);
  });

  test('a container that floods the host’s name server through the relay ends when it is asked to, and others get answers meanwhile', async () => {
    const resolv = join(tempFolder(), 'resolv.conf');
    writeFileSync(resolv, 'nameserver 127.0.0.1\n');
    await lab.host.out('mount', '--bind', resolv, '/etc/resolv.conf');
    await lab.host.serve({ dns: { port: 53, names: NAMES } });
    const flooder = await startIn(
      lab.host,
      networkFolder({ command: ['/w/network', 'flood', '127.0.0.11', '53', '60'] }, ['network']),
    );
    const asking = networkFolder({ command: ['sh', '-c', 'nslookup world.test || nslookup world.test'] });
    const { stdout } = await lab.host.boxctl(['up', '--allow', 'all'], callerOptions(self, asking));
    expect(stdout).toContain(WORLD.ipv4);
    await flooder.end();
    await lab.host.out('umount', '/etc/resolv.conf');
  });

  test('a range of 999 ports is published under a soft limit of 256 descriptors', async () => {
    const folder = networkFolder(
      { command: ['sh', '-c', `echo ready; exec /w/server ${SERVER}`], ports: [`20000-20998:${SERVER}-7998`] },
      ['server'],
    );
    const container = await startIn(lab.host, folder, [], self, 'ulimit -Sn 256; exec "$@"');
    expect(await client(lab.host, 'many', '127.0.0.1', 20_000, 20)).toBe('20');
    expect(await client(lab.world, 'many', HOST.ipv6, 20_000, 20)).toBe('20');
    expect(await client(lab.host, 'get', '::1', 20_000 + 3)).toBe('ECONNRESET');
    await container.end();
  });

  test('of two containers that publish the same port, the second is an error at its line, and the first goes on', async () => {
    await startServer(lab.host, { ports: [`8080:${SERVER}`] });
    const folder = networkFolder({ command: ['true'], ports: ['127.0.0.1:8080:80'] });
    const { status, stderr } = await lab.host.boxctl(['up', '--allow', 'all'], callerOptions(self, folder));
    expect(status).toBe(125);
    expect(stderr).toMatch(/container\.yaml:\d+:\d+/u);
    expect(stderr).toContain('8080');
    expect(stderr).toContain('EADDRINUSE');
    expect(await client(lab.host, 'echo', '127.0.0.1', 8080, 100_000)).toBe('same');
  });

  test(
    'a container that is started 15 times in a row has its port at once each time, by TCP and UDP',
    LONG,
    async () => {
      const before = await settledState(lab.host);
      for (let i = 0; i < 15; i++) {
        const container = await startServer(lab.host, { ports: [`8080:${SERVER}`, `8080:${SERVER}/udp`] });
        expect(await client(lab.world, 'many', HOST.ipv4, 8080, 20)).toBe('20');
        expect(await client(lab.host, 'many', '127.0.0.1', 8080, 20)).toBe('20');
        expect(await client(lab.world, 'udp', HOST.ipv4, 8080, 3)).toBe(`3 ${HOST.ipv4}:8080`);
        await container.end();
      }
      expect(await settledState(lab.host)).toEqual(before);
    },
  );

  test('a UDP client that keeps its port reaches the container that publishes it now, and none with an earlier one’s address', async () => {
    const talking = lab.world.start([process.execPath, CLIENT, 'talk', HOST.ipv4, '8080']);
    const said: string[] = [];
    talking.stdout?.on('data', (text) => said.push(String(text).trim()));
    const say = async (text: string): Promise<string> => {
      const count = said.length;
      talking.stdin?.write(`${text}\n`);
      while (said.length === count) await sleep(10);
      return said.at(-1) ?? '';
    };
    while (said.length === 0) await sleep(10);
    const first = await startServer(lab.host, { ports: [`8080:${SERVER}/udp`] });
    expect(await say('evil-one')).toBe('evil-one');
    await first.end();
    // They have the addresses that the first one had, one of them at least.
    const others = [await startServer(lab.host), await startServer(lab.host), await startServer(lab.host)];
    const second = await startServer(lab.host, { ports: [`8080:${SERVER}/udp`] });
    expect(await say('evil-two')).toBe('evil-two');
    expect(second.stdout()).toContain('evil-two');
    for (const other of others) expect(other.stdout()).not.toContain('evil');
    talking.stdin?.end();
  });

  test('where a firewall drops forwarded packets, the host reaches a published port, and the world does once rules admit the pool', async () => {
    await lab.host.shell(
      'nft add table inet foreign; nft "add chain inet foreign forward { type filter hook forward priority 0; policy drop; }"',
    );
    try {
      await startServer(lab.host, { ports: [`8080:${SERVER}`] });
      expect(await client(lab.host, 'echo', '127.0.0.1', 8080, 100_000)).toBe('same');
      expect(await client(lab.world, 'get', HOST.ipv4, 8080)).toBe('ETIMEDOUT');
      await lab.host.shell(
        'nft add rule inet foreign forward ip saddr 10.215.0.0/16 accept; nft add rule inet foreign forward ip daddr 10.215.0.0/16 accept',
      );
      expect(await client(lab.world, 'echo', HOST.ipv4, 8080, 100_000)).toBe('same');
    } finally {
      await lab.host.shell('nft delete table inet foreign');
    }
  });

  test('a published port answers the host and the world after all rules were flushed', async () => {
    await startServer(lab.host, { ports: [`8080:${SERVER}`] });
    await lab.host.shell('nft flush ruleset');
    expect(await client(lab.host, 'echo', '127.0.0.1', 8080, 100_000)).toBe('same');
    expect(await client(lab.world, 'echo', HOST.ipv4, 8080, 100_000)).toBe('same');
  });
});

describe.skipIf(why !== undefined)(`a network whose way out has an MTU of 1280 (${why ?? 'in the lab'})`, () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await makeLab({ mtu: 1280 });
    await lab.host.shell('mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200');
  });
  afterAll(() => lab.end());

  test.each(carried)('carries 20 MB in both directions, by IPv4 and IPv6: $title', async (caller) => {
    const size = 20_000_000;
    const urls = [WORLD.ipv4, `[${WORLD.ipv6}]`].map((host) => `http://${host}/bytes/${size}`);
    const command = urls.map((url) => `wget -q -O - '${url}' | wc -c`).join('; ');
    const folder = networkFolder({ command: ['sh', '-c', command] }, [], caller);
    const { stdout } = await lab.host.boxctl(['up', '--allow', 'all'], callerOptions(caller, folder));
    expect(stdout).toBe(`${size}\n${size}\n`);
    const server = await startServer(lab.host, { ports: [`8080:${SERVER}`] }, [], caller);
    for (const address of [HOST.ipv4, HOST.ipv6]) {
      expect(await client(lab.world, 'echo', address, 8080, size)).toBe('same');
    }
    await server.end();
  });
});
