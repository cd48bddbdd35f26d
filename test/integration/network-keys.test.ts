/** Each key of the network in each of its forms, as root and as an ordinary user with either program, in a lab of namespaces. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasCompiler } from '../support/attack.ts';
import type { Ended } from '../support/boxctl.ts';
import { callerOptions, callers, self } from '../support/container.ts';
import { client, networkFolder, SERVER, startServer } from '../support/network-container.ts';
import { HOST, makeLab, NAMES, SECOND, whyNoLab, WORLD, type Lab } from '../support/network-lab.ts';
import { tempFolder } from '../support/temp.ts';

type Keys = Readonly<Record<string, unknown>>;

const PROGRAMS = { slirp4netns: '/usr/bin/slirp4netns', pasta: '/usr/bin/pasta' } as const;
const user = callers.find((caller) => caller.user !== undefined);
const WAYS = [
  { way: 'as root', caller: self, hidden: undefined, needs: undefined },
  { way: 'by slirp4netns', caller: user, hidden: undefined, needs: PROGRAMS.slirp4netns },
  { way: 'by pasta', caller: user, hidden: PROGRAMS.slirp4netns, needs: PROGRAMS.pasta },
] as const;
const WHY = whyNoLab() ?? (hasCompiler ? undefined : 'needs a C compiler');
const [ECONNREFUSED, EHOSTUNREACH, EACCES] = [111, 113, 13];
const RESOLVER = '127.0.0.53';
const SERVE = [process.execPath, join(import.meta.dirname, '../support/network-servers.mjs')];

describe.skipIf(WHY !== undefined)(`the keys of a network (${WHY ?? 'in the lab'})`, () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await makeLab();
    // The mount namespace is the lab's alone.
    await lab.host
      .shell(`mount -t tmpfs tmpfs /mnt && touch /mnt/nothing && echo nameserver ${RESOLVER} > /mnt/resolv.conf
      mount --bind /mnt/resolv.conf /etc/resolv.conf
      mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200`);
    // As systemd-resolved's stub, which no packet from outside reaches.
    await lab.host.serve({ dns: { host: RESOLVER, port: 53, names: NAMES } });
    for (const address of [WORLD.ipv4, `[${WORLD.ipv6}]`]) await lab.host.get(`http://${address}/`);
  });
  afterAll(() => lab.end());

  const missing = ({ caller, needs }: (typeof WAYS)[number]): boolean =>
    caller === undefined || (needs !== undefined && !existsSync(needs));

  describe.each(WAYS)('$way', (one) => {
    const { hidden } = one;
    const caller = one.caller ?? self;
    const isRoot = caller.user === undefined;
    beforeAll(async () => {
      if (hidden === undefined) return;
      await lab.host.shell(`mount --bind /mnt/nothing $(readlink -f ${hidden})`);
    });
    afterAll(async () => {
      if (hidden !== undefined) await lab.host.shell(`umount $(readlink -f ${hidden})`);
    });

    const up = (keys: Keys, words: readonly string[] = []): Promise<Ended> => {
      const folder = networkFolder(keys, ['network'], caller);
      return lab.host.boxctl(['up', '--allow', 'all', ...words], callerOptions(caller, folder));
    };
    const sh = (script: string, keys: Keys = {}): Promise<Ended> =>
      up({ command: ['sh', '-c', script.replaceAll('$', '$$$$')], ...keys });
    /** The errno of each attempt of test/conformance/attacks/network.c. */
    async function attempts(keys: Keys, ...words: readonly string[]): Promise<readonly number[]> {
      const { stdout, stderr } = await up({ command: ['/w/network', ...words.join(' -- ').split(' ')], ...keys });
      expect(stderr).not.toContain('error');
      return stdout.match(/\d+$/gmu)?.map(Number) ?? [];
    }

    test.skipIf(missing(one))(
      '`mac_address`, `hostname`, `dns`, `dns_search`, `dns_opt` and `extra_hosts` are what the container sees; it may change its files, and the host’s stay',
      async () => {
        const before = ['/etc/hosts', '/etc/hostname'].map((path) => readFileSync(path, 'utf8'));
        const { stdout, stderr } = await sh(
          `cat /sys/class/net/eth0/address /etc/hostname /etc/resolv.conf; grep -e mine -e gate -e six -e web /etc/hosts
           for f in hosts hostname resolv.conf; do echo changed > /etc/$f && cat /etc/$f; done`,
          {
            mac_address: '02-42-AC-11-00-03',
            hostname: 'web',
            dns: ['192.0.2.53', '2001:DB8::53'],
            dns_search: ['a.test', 'b.test'],
            dns_opt: ['ndots:3', 'timeout:1'],
            extra_hosts: ['mine=198.51.100.10', 'gate:host-gateway', 'six=[::1]'],
            expose: [3000, '80-90/udp'],
          },
        );
        const [ipv4, ipv6] = isRoot ? ['10\\.215\\.\\S+', 'fd62:\\S+'] : ['10\\.215\\.0\\.1', 'fd62:6f78:6374:6c::1'];
        expect(stdout, stderr).toMatch(
          new RegExp(
            `^02:42:ac:11:00:03\nweb\nsearch a\\.test b\\.test\nnameserver 192\\.0\\.2\\.53\nnameserver 2001:db8::53
options ndots:3 timeout:1\n198\\.51\\.100\\.10\tmine\n10\\.215\\.0\\.0\tgate\nfd62:6f78:6374:6c::\tgate\n::1\tsix
${ipv4}\tweb\n${ipv6}\tweb\n(?:changed\n){3}$`,
            'u',
          ),
        );
        expect(['/etc/hosts', '/etc/hostname'].map((path) => readFileSync(path, 'utf8'))).toEqual(before);
        expect(await lab.host.out('cat', '/mnt/resolv.conf')).toBe(`nameserver ${RESOLVER}\n`);
      },
    );

    test.skipIf(missing(one))(
      'a port is published at the address and the protocol of its entry alone, in the short and the long form, as a range and as a free one',
      async () => {
        const ports = [
          `127.0.0.1:9053:${SERVER}/udp`,
          `[::1]:9054:${SERVER}/udp`,
          { target: SERVER, published: 8080, host_ip: '127.0.0.1', protocol: 'tcp' },
          { target: SERVER, published: '8081', host_ip: HOST.ipv6 },
          `9100-9102:${SERVER - 2}-${SERVER}`,
          `127.0.0.1::${SERVER}`,
        ];
        const container = await startServer(lab.host, { ports }, [], caller);
        const all = ['127.0.0.1', '::1', HOST.ipv4, HOST.ipv6].join(',');
        const outer = [HOST.ipv4, HOST.ipv6].join(',');
        const answers = [8080, 8081, 9102].map((port) => client(lab.host, 'reach', all, port));
        expect(await Promise.all(answers)).toEqual(['127.0.0.1', HOST.ipv6, all]);
        const outside = [8080, 8081, 9102].map((port) => client(lab.world, 'reach', outer, port));
        expect(await Promise.all(outside)).toEqual(['', HOST.ipv6, outer]);
        expect(await client(lab.host, 'udp', '127.0.0.1', 9053, 1)).toBe('1 127.0.0.1:9053');
        expect(await client(lab.host, 'udp', '::1', 9054, 1)).toBe('1 ::1:9054');
        const unanswered = [client(lab.host, 'udp', '::1', 9053, 1), client(lab.world, 'udp', HOST.ipv4, 9053, 1)];
        for (const text of await Promise.all(unanswered)) expect(text).toMatch(/^0/u);
        await expect.poll(() => container.stderr()).toMatch(/is published at 127\.0\.0\.1:\d+\n/u);
        const free = Number(/published at 127\.0\.0\.1:(\d+)/u.exec(container.stderr())?.[1]);
        expect(await client(lab.host, 'reach', all, free)).toBe('127.0.0.1');

        // Another container reaches it by the gateway's address, where its egress says so.
        const gateway = [`tcp 10.215.0.0 9102`, `tcp ${HOST.ipv4} 9102`];
        expect(await attempts({ egress: ['host-gateway:9102'] }, ...gateway)).toEqual([0, ECONNREFUSED]);

        // The same port of the host is taken for whoever comes second, and free at another address.
        for (const [entry, id] of [
          [`127.0.0.1:9053:1/udp`, 'port.9053.udp4.bind'],
          ['9054:1/udp', 'port.9054.udp6.bind'],
          ['8080:1', 'port.8080.tcp4.bind'],
        ] as const) {
          const { status, stderr } = await up({ ports: ['127.0.0.1:7999:1', entry], command: ['true'] });
          expect({ status, stderr }).toMatchObject({ status: 125, stderr: expect.stringContaining(id) as string });
          expect(stderr).toMatch(/container\.yaml:\d+:5: error: .*EADDRINUSE/u);
        }
        expect(await up({ ports: ['[::1]:8080:1'], command: ['true'] })).toMatchObject({ status: 0, stderr: '' });
      },
    );

    test.skipIf(missing(one))(
      'egress lets through subnets, names with a port and `*` with a port and a protocol; the last event tells of each destination that it refused',
      async () => {
        const egress = ['world.test:80', `${SECOND.ipv4}/32`, '*:7/udp'];
        const words = [
          `tcp ${WORLD.ipv4} 80`,
          `tcp ${WORLD.ipv6} 80`,
          `tcp ${SECOND.ipv4} 80`,
          `udp ${WORLD.ipv4} 7 four`,
          `udp ${SECOND.ipv6} 7 six`,
          `tcp ${WORLD.ipv4} 443`,
          `tcp ${SECOND.ipv6} 80`,
          `udp ${WORLD.ipv4} 53 x`,
          'tcp 169.254.169.254 80',
          `tcp ${HOST.ipv4} 80`,
          `udp ${HOST.ipv6} 7 x`,
        ];
        const command = ['/w/network', ...words.join(' -- ').split(' ')];
        const { stdout, stderr } = await up({ egress, command }, ['--json']);
        const errors = stdout.match(/\d+$/gmu)?.map(Number) ?? [];
        expect(errors.slice(0, 5)).toEqual([0, 0, 0, 0, 0]);
        expect(errors.slice(5, 7)).toEqual([ECONNREFUSED, ECONNREFUSED]);
        for (const error of errors.slice(7)) expect([ECONNREFUSED, EHOSTUNREACH, EACCES]).toContain(error);
        const last = JSON.parse(stderr.trim().split('\n').at(-1) ?? '') as {
          refused: { destinations: readonly { to: { address: string; protocol: string; port: number } }[] };
        };
        const told = last.refused.destinations.map(({ to }) => `${to.protocol} ${to.address} ${to.port}`);
        expect(told.toSorted()).toEqual(
          words
            .slice(5)
            .map((text) => text.split(' ').slice(0, 3).join(' '))
            .toSorted(),
        );
      },
    );

    test.skipIf(missing(one))(
      'with `egress: none`, nothing is reached: no host, no name server, no address of clouds',
      async () => {
        const words = [
          `tcp ${WORLD.ipv4} 80`,
          `tcp ${WORLD.ipv6} 80`,
          `tcp ${HOST.ipv4} 53`,
          'tcp 169.254.169.254 80',
          'tcp 127.0.0.11 53',
          'tcp 10.215.0.0 80',
        ];
        const all = await attempts({ egress: 'none' }, ...words);
        expect(all).toEqual(words.map(() => ECONNREFUSED));
      },
    );

    test.skipIf(missing(one))(
      `a resolver of the host on ${RESOLVER} answers the container by UDP and TCP, where egress lets its questions through`,
      async () => {
        const asks =
          'grep nameserver /etc/resolv.conf; nslookup world.test | grep -c Address; /w/network tcp 127.0.0.11 53';
        const open = await sh(asks);
        expect(open.stdout).toMatch(/^nameserver 127\.0\.0\.11\n[34]\ntcp,127\.0\.0\.11,53 0\n$/u);
        const some = await sh(asks, { egress: ['*:53/udp'] });
        expect(some.stdout).toMatch(/^nameserver 127\.0\.0\.11\n[34]\n/u);
        // The host’s own loopback stays closed.
        expect(await attempts({}, `tcp ${RESOLVER} 53`)).toEqual([ECONNREFUSED]);
      },
    );

    test.skipIf(missing(one))(
      'a network namespace that `network_mode` has the path of is joined, or the error says why not',
      async () => {
        const path = `/proc/${lab.second.pid}/ns/net`;
        const { status, stdout, stderr } = await up({
          network_mode: path,
          command: ['sh', '-c', 'ip -o -4 addr show dev eth0; cat /etc/resolv.conf'],
        });
        if (isRoot) {
          expect(stdout).toContain(` ${SECOND.ipv4}/24 `);
          expect(stdout).toContain('# The name servers of the host are on its loopback');
        } else {
          expect(status).toBe(125);
          expect(stderr).toMatch(/container\.yaml:\d+:\d+: error: .*EACCES[^]*belongs to a process of somebody else/u);
        }
        const file = join(tempFolder({ open: true }), 'file');
        writeFileSync(file, '', { mode: 0o644 });
        const wrong = await up({ network_mode: file, command: ['true'] });
        expect(wrong.stderr).toMatch(/container\.yaml:\d+:\d+: error: .*EINVAL[^]*no namespace of this kind/u);
      },
    );

    test.skipIf(missing(one))(
      'the host is not reached by an address of an interface without a carrier, by one that is down, or by a subnet of its own',
      async () => {
        const addresses = ['172.17.0.1', '172.18.0.1', '10.66.0.7', '2001:db8:98::1'];
        await lab.host.shell(`ip link add quiet0 type veth peer name quiet1
          ip addr add 172.17.0.1/16 dev quiet0; ip addr add 172.18.0.1/16 dev quiet1
          ip addr add 2001:db8:98::1/64 dev quiet0 nodad; ip link set quiet0 up
          ip route add local 10.66.0.0/24 dev lo`);
        const server = lab.host.start([...SERVE, JSON.stringify({ echo: [SERVER] })]);
        await new Promise((resolve) => server.stdout?.once('data', resolve));
        // The host itself reaches them.
        expect(await client(lab.host, 'reach', addresses.join(','), SERVER)).toBe(addresses.join(','));
        const words = addresses.flatMap((address) => [`tcp ${address} ${SERVER}`, `udp ${address} ${SERVER} x`]);
        for (const error of await attempts({}, ...words)) expect([ECONNREFUSED, EHOSTUNREACH, EACCES]).toContain(error);
        server.stdin?.end();
        await lab.host.shell('ip link del quiet0; ip route del local 10.66.0.0/24 dev lo');
      },
    );

    test.skipIf(missing(one))(
      'nothing that it sends arrives at a container of root on a network that it is not on',
      async () => {
        const inner = {
          name: 'keys-inner',
          internal: true,
          ipam: { config: [{ subnet: '10.77.0.0/24' }, { subnet: '2001:db8:77::/64' }] },
        };
        const networks = { inner: { ...inner, ipv4_address: '10.77.0.9', ipv6_address: '2001:db8:77::9' } };
        const container = await startServer(lab.host, { networks });
        const words = ['10.77.0.9', '2001:db8:77::9'].flatMap((to) => [
          `udp ${to} ${SERVER} evil`,
          `tcp ${to} ${SERVER}`,
        ]);
        expect(await attempts({}, ...words)).not.toContain(0);
        // Nor what a program of the host sends. Another container on the network is heard.
        expect(await client(lab.host, 'udp', '10.77.0.9', SERVER, 1)).toMatch(/^0/u);
        expect(container.stdout()).not.toContain('evil');
        const folder = networkFolder(
          { networks: { inner }, command: ['/w/network', 'udp', '10.77.0.9', `${SERVER}`, 'evil'] },
          ['network'],
        );
        await lab.host.boxctl(['up', '--allow', 'all'], callerOptions(self, folder));
        await expect.poll(() => container.stdout()).toContain('evil');
      },
    );
  });
});
