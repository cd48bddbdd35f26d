/** What the launcher carries itself: the host's own connections to published ports, and questions to its name server. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { client, networkFolder, SERVER, settledState, startIn, startServer } from '../support/network-container.ts';
import { HOST, makeLab, NAMES, SECOND, whyNoLab, WORLD, type Lab } from '../support/network-lab.ts';
import { tempFolder } from '../support/temp.ts';

const [ECONNREFUSED, EHOSTUNREACH] = [111, 113];

describe.skipIf(whyNoLab() !== undefined)(`relays (${whyNoLab() ?? 'in the lab'})`, () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await makeLab();
  });
  afterAll(() => lab.end());

  /** Of the host, as it names itself. */
  const own = ['127.0.0.1', '::1', HOST.ipv4, HOST.ipv6];

  test('a published port answers by TCP and UDP: the host on each of its addresses, and other machines on the outer ones', async () => {
    const ports = [`8080:${SERVER}`, `8080:${SERVER}/udp`];
    const container = await startServer(lab.host, { ports });
    for (const address of own) {
      expect(await client(lab.host, 'echo', address, 8080, 3_000_000), address).toBe('same');
      expect(await client(lab.host, 'udp', address, 8080, 3), address).toBe(`3 ${address}:8080`);
    }
    for (const address of [HOST.ipv4, HOST.ipv6]) {
      expect(await client(lab.world, 'echo', address, 8080, 3_000_000), address).toBe('same');
      expect(await client(lab.world, 'udp', address, 8080, 3), address).toBe(`3 ${address}:8080`);
    }
    expect((await container.end()).status).toBe(128 + 15);
    for (const address of own) expect(await client(lab.host, 'get', address, 8080)).toBe('ECONNREFUSED');
  });

  test('where nothing listens inside, a connection of the host is reset or refused', async () => {
    const folder = networkFolder({
      ports: ['8081:1'],
      command: ['sh', '-c', 'echo ready; exec sleep 60'],
    });
    await startIn(lab.host, folder);
    for (const address of own) {
      expect(await client(lab.host, 'get', address, 8081), address).toMatch(/^ECONN(?:RESET|REFUSED)$/u);
    }
  });

  test('a host port of 0 becomes a free one, which is printed and answers', async () => {
    const container = await startServer(lab.host, { ports: [`127.0.0.1:0:${SERVER}`, `0:${SERVER + 4}`] });
    const pattern = /port (\d+)\/tcp of the container is published at (\S+):(\d+)\n/gu;
    // boxctl tells it while the command runs already.
    const told = await vi.waitFor(() => {
      const ports = [...container.stderr().matchAll(pattern)];
      expect(ports).toHaveLength(2);
      return ports;
    }, 20_000);
    expect(told.map(([, inside, host]) => `${inside} ${host}`)).toEqual([
      `${SERVER} 127.0.0.1`,
      `${SERVER + 4} 0.0.0.0`,
    ]);
    const [first = 0, second = 0] = told.map(([, , , port]) => Number(port));
    expect(await client(lab.host, 'echo', '127.0.0.1', first, 1000)).toBe('same');
    expect(await client(lab.host, 'get', HOST.ipv4, first)).toBe('ECONNREFUSED');
    for (const address of own)
      expect(await client(lab.host, 'get', address, second)).toMatch(/^(?:::ffff:10\.215|fd62)/u);
    expect(await client(lab.world, 'get', HOST.ipv6, second)).toBe(WORLD.ipv6);
  });

  test.each([
    ['::1', `::1:8086:${SERVER}`],
    ['::1', `[::1]:8086:${SERVER}`],
    ['127.0.0.1', `127.0.0.1:8086:${SERVER}`],
    [HOST.ipv6, `${HOST.ipv6}:8086:${SERVER}`],
    [HOST.ipv4, `${HOST.ipv4}:8086-8087:${SERVER}-${SERVER + 1}/tcp`],
    [HOST.ipv6, `:::8086:${SERVER}/TCP`],
    ['127.0.0.1', `0.0.0.0:8086:${SERVER}`],
  ])('at the address %s, a port answers that the file has as %s, as Compose writes it', async (address, port) => {
    await startServer(lab.host, { ports: [port] });
    expect(await client(lab.host, 'echo', address, 8086, 1000)).toBe('same');
    const isOuter = [HOST.ipv4, HOST.ipv6].includes(address);
    if (isOuter) expect(await client(lab.world, 'echo', address, 8086, 1000)).toBe('same');
  });

  test('with --json, a port that the kernel chose is an event', async () => {
    const container = await startServer(lab.host, { ports: [`127.0.0.1:0:${SERVER}`] }, ['--json']);
    const told = await vi.waitFor(() => {
      const line = /^\{.*"event":"port".*(?=\n)/mu.exec(container.stderr())?.[0];
      expect(line).toBeDefined();
      return JSON.parse(line ?? '') as { host_port?: number };
    }, 20_000);
    expect(told).toMatchObject({ container_port: SERVER, protocol: 'tcp', host_address: '127.0.0.1' });
    expect(await client(lab.host, 'echo', '127.0.0.1', told.host_port ?? 0, 1000)).toBe('same');
  });

  test('a name server on the host’s loopback answers the container by UDP and TCP, and the container reaches nothing else there', async () => {
    const config = { dns: { port: 53, names: NAMES }, echo: [9000], http: [9001] };
    await lab.host.serve(config);
    const resolv = join(tempFolder(), 'resolv.conf');
    writeFileSync(resolv, 'nameserver 127.0.0.1\n');
    await lab.host.out('mount', '--bind', resolv, '/etc/resolv.conf');
    const words = [
      'tcp 127.0.0.11 53',
      'tcp 127.0.0.11 9000',
      'udp 127.0.0.11 9000 x',
      `tcp ${HOST.ipv4} 53`,
      `udp ${HOST.ipv4} 53 x`,
    ];
    const command = `nslookup world.test; nslookup second.test; grep nameserver /etc/resolv.conf; /w/network ${words.join(' -- ')}`;
    const folder = networkFolder({ command: ['sh', '-c', command] }, ['network']);
    const { stdout } = await lab.host.boxctl(['up', '--allow', 'all'], { cwd: folder });
    expect(stdout).toContain(WORLD.ipv4);
    expect(stdout).toContain(SECOND.ipv6);
    expect(stdout).toContain('nameserver 127.0.0.11\n');
    const errors = [...stdout.matchAll(/^(?:tcp|udp),\S+ (\d+)$/gmu)].map(([, errno]) => Number(errno));
    expect(errors).toEqual([0, ECONNREFUSED, ECONNREFUSED, ECONNREFUSED, ECONNREFUSED]);
    expect(lab.host.requests.filter(({ text }) => text === 'world.test 1')).not.toEqual([]);
    expect(lab.host.requests.filter(({ protocol }) => !protocol.startsWith('dns'))).toEqual([]);
  });

  test('refused packets are counted by destination in the last event', async () => {
    const words = [
      `tcp ${HOST.ipv4} 22`,
      `tcp ${HOST.ipv4} 22`,
      `tcp ${HOST.ipv6} 80`,
      'udp 169.254.169.254 80 x',
      `tcp ${WORLD.ipv4} 80`,
    ];
    const folder = networkFolder({ command: ['/w/network', ...words.join(' -- ').split(' ')] }, ['network']);
    const { stdout, stderr } = await lab.host.boxctl(['up', '--allow', 'all', '--json'], { cwd: folder });
    expect(stdout.match(/\d+$/gmu)?.map(Number)).toEqual([ECONNREFUSED, ECONNREFUSED, ECONNREFUSED, EHOSTUNREACH, 0]);
    const last = JSON.parse(stderr.trim().split('\n').at(-1) ?? '') as {
      refused: { packets: number; destinations: unknown[] };
    };
    expect(last.refused.destinations).toEqual(
      expect.arrayContaining([
        { to: { address: HOST.ipv4, protocol: 'tcp', port: 22 }, packets: 2 },
        { to: { address: HOST.ipv6, protocol: 'tcp', port: 80 }, packets: expect.any(Number) as number },
        { to: { address: '169.254.169.254', protocol: 'udp', port: 80 }, packets: 1 },
      ]),
    );
    expect(last.refused.destinations).toHaveLength(3);
    expect(last.refused.packets).toBeGreaterThanOrEqual(4);
  });

  test('nothing of the network is left when the container has ended', async () => {
    const before = await settledState(lab.host);
    const container = await startServer(lab.host, { ports: [`8083:${SERVER}`, `8083:${SERVER}/udp`] });
    expect(await client(lab.host, 'many', '127.0.0.1', 8083, 50)).toBe('50');
    await container.end();
    expect(await settledState(lab.host)).toEqual(before);
  });
});
