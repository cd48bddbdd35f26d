/**
 * A container that does what it can against its network: the host, other containers and the way out. It runs in a lab of
 * network namespaces (test/support/network-lab.ts), and the test looks at what has arrived elsewhere.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  client,
  networkFolder,
  SERVER,
  settledState,
  startIn,
  startServer,
  type Running,
} from '../../support/network-container.ts';
import {
  HOST,
  makeLab,
  networkState,
  ROUTER,
  SECOND,
  whyNoLab,
  WORLD,
  type Addresses,
  type Lab,
} from '../../support/network-lab.ts';
import { until } from '../../support/background.ts';
import { callerOptions, self } from '../../support/container.ts';
import { tempFolder } from '../../support/temp.ts';

const METADATA = '169.254.169.254';
/** Ports of the host's own servers. */
const [ECHO, HTTP] = [9000, 9001];
const why = whyNoLab();

/** Every right over its own network namespace that a file can ask for. */
const NET_ADMIN = { cap_add: ['NET_ADMIN', 'NET_RAW'], cap_drop: [] as string[] };
const OWN = `set -- $(ip -o addr show dev eth0 scope global | sed 's/.*inet6\\? \\([^/]*\\).*/\\1/'); OWN4=$1; OWN6=$2`;

/** A `$` is doubled in a container file. */
const shell = (script: string): readonly string[] => ['sh', '-c', script.replaceAll('$', '$$$$')];

function addressesIn(output: string): Addresses {
  const [ipv4 = '', ipv6 = ''] = ['inet', 'inet6'].map(
    (family) => new RegExp(`eth0 +${family} ([^/ ]+)/(?:32|128)`, 'u').exec(output)?.[1],
  );
  return { ipv4, ipv6 };
}

/** What came of each attempt, by its words. */
function results(stdout: string): Readonly<Record<string, number>> {
  const lines = stdout.split('\n').filter((line) => /^[a-z-]+\S* \d+$/u.test(line));
  return Object.fromEntries(lines.map((line) => line.split(' ')).map(([words, errno]) => [words, Number(errno)]));
}

describe.skipIf(why !== undefined)(`a hostile container (${why ?? 'in the lab'})`, () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await makeLab();
    await lab.host.serve({ echo: [ECHO], http: [HTTP] });
    // Where clouds keep credentials: behind the router.
    await lab.router.shell(`ip addr add ${METADATA}/32 dev lo`);
    await lab.router.serve({ http: [80], echo: [7] });
    await lab.host.shell(`ip route add ${METADATA}/32 via ${ROUTER.ipv4}`);
    expect(await lab.host.get(`http://${METADATA}/host`)).toContain('/host');
  });
  afterAll(() => lab.end());

  /** Texts of datagrams and requests that have arrived anywhere but at the container. */
  const arrived = (): readonly string[] =>
    [lab.host, lab.router, lab.world, lab.second].flatMap((place) =>
      place.requests.map(({ text = '', from, protocol }) => `${protocol} ${text} from ${from}`),
    );
  const evil = (): readonly string[] => arrived().filter((line) => line.includes('evil'));

  const startNeighbour = (spec: Readonly<Record<string, unknown>> = {}): Promise<Running> => {
    const command = ['sh', '-c', `ip -o addr show dev eth0; exec /w/server ${SERVER}`];
    return startServer(lab.host, { command, ...spec });
  };
  /** `starts`: how often it was made. */
  async function attack(script: string, spec: Readonly<Record<string, unknown>> = {}) {
    const folder = networkFolder({ command: shell(`${OWN}; ${script}`), ...spec }, ['network']);
    let starts = 0;
    const options = callerOptions(self, folder, { onStart: () => void starts++ });
    const ended = await lab.host.boxctl(['up', '--allow', 'all'], options);
    return { ...ended, results: results(ended.stdout), starts };
  }

  async function linkLocalOfHost(): Promise<string> {
    return /inet6 (fe80\S+)\//u.exec(await lab.host.out('ip', '-o', '-6', 'addr', 'show', 'dev', 'up0'))?.[1] ?? '';
  }

  test.each([
    ['with the usual capabilities', {}],
    ['with all rights over its own network', NET_ADMIN],
  ])(
    'reaches no service of the host, of link-local addresses or of a neighbour, however it names them, %s',
    async (_title, spec) => {
      const neighbour = addressesIn((await startNeighbour()).stdout());
      const linkLocal = await linkLocalOfHost();
      const goals: readonly (readonly [string, number])[] = [
        ...[
          HOST.ipv4,
          HOST.ipv6,
          '10.215.0.0',
          'fd62:6f78:6374:6c::',
          `::ffff:${HOST.ipv4}`,
          `64:ff9b::${HOST.ipv4}`,
          linkLocal,
          '192.0.2.255',
          '0.0.0.0',
          '::',
        ].map((address) => [address, HTTP] as const),
        [METADATA, 80],
        [`::ffff:${METADATA}`, 80],
        ['fd00:ec2::254', 80],
        [neighbour.ipv4, SERVER],
        [neighbour.ipv6, SERVER],
      ];
      const words = goals.flatMap(([address, port]) => [
        `tcp ${address} ${port}`,
        `udp ${address} ${port === HTTP ? ECHO : port === 80 ? 7 : port} evil-scan`,
      ]);
      const { results: found } = await attack(`/w/network ${words.join(' -- ')} -- tcp ${WORLD.ipv4} 80`, spec);
      expect(Object.keys(found)).toHaveLength(words.length + 1);
      expect(Object.entries(found).filter(([, errno]) => errno === 0)).toEqual([[`tcp,${WORLD.ipv4},80`, 0]]);
      expect(evil()).toEqual([]);
    },
  );

  test('scans of the ports of the host and of all neighbours are refused at once, and counted', async () => {
    await startNeighbour();
    const script = `for i in 1 2 3 4 5 6 7 8; do for p in 22 80 ${HTTP} ${SERVER}; do echo tcp 10.215.0.$i $p --; done; done > /tmp/w; for p in 1 22 25 53 80 111 443 ${HTTP} ${ECHO}; do echo tcp ${HOST.ipv4} $p --; done >> /tmp/w; /w/network $(grep -v " $OWN4 " /tmp/w)`;
    const { results: found, stderr } = await attack(script, { tmpfs: ['/tmp'] });
    expect(Object.keys(found).length).toBeGreaterThan(36);
    expect([...new Set(Object.values(found))]).toEqual([111]);
    expect(stderr).toMatch(/\d+ packets of the container were refused by the rules of its network/u);
  });

  test('frames with a foreign source, hardware address or VLAN tag, or to the host, neighbours or link-local addresses, arrive nowhere; honest ones do', async () => {
    const other = await startNeighbour();
    const neighbour = addressesIn(other.stdout());
    const linkLocal = await linkLocalOfHost();
    const frames = [
      // The sender is somebody else.
      `raw ${neighbour.ipv4} ${WORLD.ipv4} 7 evil-raw-neighbour`,
      `raw ${HOST.ipv4} ${WORLD.ipv4} 7 evil-raw-host`,
      `raw ${SECOND.ipv4} ${WORLD.ipv4} 7 evil-raw-world`,
      `frame own ${neighbour.ipv4} ${WORLD.ipv4} 7 evil-neighbour4`,
      `frame own ${neighbour.ipv6} ${WORLD.ipv6} 7 evil-neighbour6`,
      `frame own ${HOST.ipv4} ${WORLD.ipv4} 7 evil-host4`,
      `frame own ${HOST.ipv6} ${WORLD.ipv6} 7 evil-host6`,
      `frame own 127.0.0.1 ${WORLD.ipv4} 7 evil-loopback`,
      `frame own 0.0.0.0 ${WORLD.ipv4} 7 evil-zero`,
      `frame own fe80::1 ${WORLD.ipv6} 7 evil-link-local`,
      `frame 02:11:22:33:44:55 $OWN4 ${WORLD.ipv4} 7 evil-mac4`,
      `frame 02:11:22:33:44:55 $OWN6 ${WORLD.ipv6} 7 evil-mac6`,
      `vlan $OWN4 ${WORLD.ipv4} 7 evil-vlan`,
      // The receiver is the host, a neighbour, or nobody's.
      `frame own $OWN4 127.0.0.1 ${ECHO} evil-to-loopback4`,
      `frame own $OWN6 ::1 ${ECHO} evil-to-loopback6`,
      `frame own 127.0.0.1 127.0.0.1 ${ECHO} evil-loopback-both`,
      `frame own $OWN4 ${HOST.ipv4} ${ECHO} evil-to-host4`,
      `frame own $OWN6 ${HOST.ipv6} ${ECHO} evil-to-host6`,
      `frame own ${HOST.ipv4} ${HOST.ipv4} ${ECHO} evil-host-itself`,
      `frame own $OWN6 ::ffff:${HOST.ipv4} ${ECHO} evil-mapped`,
      `frame own $OWN6 ${linkLocal} ${ECHO} evil-to-link-local`,
      `frame own fe80::1 ${linkLocal} ${ECHO} evil-link-local-both`,
      `frame own $OWN4 10.215.0.0 ${ECHO} evil-to-gateway`,
      `frame own $OWN4 ${METADATA} 7 evil-to-metadata`,
      `frame own $OWN4 ${neighbour.ipv4} ${SERVER} evil-to-neighbour4`,
      `frame own $OWN6 ${neighbour.ipv6} ${SERVER} evil-to-neighbour6`,
      `frame own ${HOST.ipv4} ${neighbour.ipv4} ${SERVER} evil-host-to-neighbour`,
      `frame own $OWN4 192.0.2.255 ${ECHO} evil-broadcast`,
      `frame own $OWN4 255.255.255.255 ${ECHO} evil-everybody`,
      `frame own $OWN4 224.0.0.251 ${ECHO} evil-multicast4`,
      `frame own $OWN6 ff02::1 ${ECHO} evil-multicast6`,
      // What may be sent, so that the others say something.
      `frame own $OWN4 ${WORLD.ipv4} 7 control4`,
      `frame own $OWN6 ${WORLD.ipv6} 7 control6`,
    ];
    const { results: found, starts } = await attack(`/w/network ${frames.join(' -- ')}; sleep 0.5`, NET_ADMIN);
    expect(Object.keys(found)).toHaveLength(frames.length);
    expect(Object.entries(found).filter(([words, errno]) => errno !== 0 && !words.startsWith('raw'))).toEqual([]);
    const honest = (): readonly string[] => arrived().filter((line) => line.includes('control'));
    const each = [`udp control4 from ${HOST.ipv4}`, `udp control6 from ${HOST.ipv6}`];
    await until(() => honest().length >= each.length * starts || undefined);
    expect(evil()).toEqual([]);
    expect(other.stdout()).not.toContain('evil');
    expect(honest().toSorted()).toEqual(each.flatMap((line) => Array.from({ length: starts }, () => line)));
  });

  test('does not change neighbours, addresses or routes of the host by forged ARP, router advertisements and redirects', async () => {
    const other = await startNeighbour();
    const neighbour = addressesIn(other.stdout());
    await lab.host.get(`http://${WORLD.ipv4}/warm`);
    const folder = networkFolder(
      {
        ...NET_ADMIN,
        command: shell(
          `${OWN}; echo ready; read x; /w/network arp ${HOST.ipv4} -- arp ${ROUTER.ipv4} -- arp ${neighbour.ipv4} -- arp 10.215.0.0 -- advertise; echo done; sleep 60`,
        ),
        stdin_open: true,
      },
      ['network'],
    );
    const container = await startIn(lab.host, folder);
    const table = async (): Promise<object> => {
      const all = await lab.host.out('ip', 'neigh');
      return {
        ...(await networkState(lab.host)),
        known: all
          .replaceAll(/ (?:REACHABLE|STALE|DELAY|PROBE)/gu, '')
          .split('\n')
          // Of others, no hardware address is known.
          .filter((line) => line.includes(' lladdr '))
          .toSorted(),
      };
    };
    // Interfaces of the tests before go late, and the addresses of these two are tentative for a while.
    let before = await table();
    await until(async () => {
      await sleep(500);
      const last = before;
      before = await table();
      const interfaces = new Set(JSON.stringify(before).match(/boxctl\d+/gu));
      return interfaces.size === 2 && isDeepStrictEqual(last, before) ? true : undefined;
    });
    container.child.stdin?.write('go\n');
    await until(() => container.stdout().includes('done') || undefined);
    // The host may take what was sent for true a little later.
    await sleep(300);
    expect(container.stdout()).toMatch(/advertise 0\ndone/u);
    expect(await table()).toEqual(before);
    expect(await lab.host.get(`http://${WORLD.ipv4}/still`)).toContain('/still');
    expect(await lab.host.get(`http://127.0.0.1:${HTTP}/own`)).toContain('/own');
  });

  test('reaches no more by giving itself addresses, routes, rules and another hardware address', async () => {
    const neighbour = addressesIn((await startNeighbour()).stdout());
    const script = [
      `ip addr add ${HOST.ipv4}/32 dev eth0`,
      `ip addr add ${SECOND.ipv4}/24 dev eth0`,
      `ip addr add 169.254.1.7/16 dev eth0`,
      `ip -6 addr add ${HOST.ipv6}/128 dev eth0`,
      `ip route add ${METADATA} via 10.215.0.0 dev eth0 onlink src $OWN4`,
      `ip route add ${neighbour.ipv4} via 10.215.0.0 dev eth0 onlink src $OWN4`,
      `ip route add 192.0.2.0/24 via 10.215.0.0 dev eth0 onlink src $OWN4`,
      `ip route del local 127.0.0.0/8 dev lo table local`,
      `ip route add 127.0.0.0/8 via 10.215.0.0 dev eth0 onlink`,
      `ip rule add from all lookup 100 pref 1`,
      `ip route add default via ${neighbour.ipv4} dev eth0 onlink table 100`,
    ].join(' 2>&1; ');
    const words = [
      `tcp ${METADATA} 80`,
      `tcp ${neighbour.ipv4} ${SERVER}`,
      `tcp 127.0.0.1 ${HTTP}`,
      `tcp ${ROUTER.ipv4} 80`,
      `udp ${SECOND.ipv4} 7 evil-own-address`,
      'own-mac',
      `udp ${WORLD.ipv4} 7 evil-own-mac`,
    ];
    const { results: found } = await attack(`${script}; /w/network ${words.join(' -- ')}`, NET_ADMIN);
    expect(Object.entries(found).filter(([, errno]) => errno === 0)).toEqual([['own-mac', 0]]);
    expect(evil()).toEqual([]);
  });

  test('leaves nothing on the host after it has renamed and removed its interface and made others', async () => {
    const before = await settledState(lab.host);
    const script = [
      'ip link add link eth0 name v type vlan id 7; ip link set v up',
      'ip link add name b type bridge; ip link set b up; ip link set eth0 master b',
      'ip link add name d type dummy; ip link set d up',
      'ip link set eth0 down; ip link set eth0 name uplink; ip link set uplink up',
      'ip link add name boxctl1 type veth peer name boxctl2',
      'ip link del uplink; ip -o link',
    ];
    const { status, stdout } = await attack(`(${script.join('; ')}) 2>&1`, { ...NET_ADMIN, ports: [`8085:${SERVER}`] });
    expect({ status, gone: !stdout.includes('uplink') }).toEqual({ status: 0, gone: true });
    expect(await settledState(lab.host)).toEqual(before);
  });

  test('gets no way to the host by a name that its own name server gives the host’s address (DNS rebinding)', async () => {
    const names = {
      'rebind.test': HOST,
      'metadata.test': { ipv4: METADATA, ipv6: 'fe80::1' },
      'loop.test': { ipv4: '127.0.0.1', ipv6: '::1' },
    };
    const other = await makeLab();
    try {
      await other.host.serve({ http: [HTTP] });
      await other.router.serve({ dns: { port: 53, names } });
      const resolv = join(tempFolder(), 'resolv.conf');
      writeFileSync(resolv, `nameserver ${ROUTER.ipv4}\n`);
      await other.host.out('mount', '--bind', resolv, '/etc/resolv.conf');
      const run = (spec: Readonly<Record<string, unknown>>) => {
        const command = `for n in rebind metadata loop; do wget -T 3 -q -O - http://$n.test:${HTTP}/evil-rebind 2>&1; done; true`;
        const folder = networkFolder({ command: shell(command), ...spec });
        return other.host.boxctl(['up', '--allow', 'all'], callerOptions(self, folder));
      };
      await run({});
      for (const name of Object.keys(names)) await run({ egress: [`${name}:${HTTP}`, `${ROUTER.ipv4}:53/udp`] });
      expect(other.host.requests.filter(({ protocol }) => protocol === 'http')).toEqual([]);
      expect(other.router.requests.filter(({ protocol }) => protocol.startsWith('dns')).length).toBeGreaterThan(0);
    } finally {
      await other.end();
    }
  });

  test('that keeps taking its interface down does not disturb the published port of another one, and ends when it is asked to', async () => {
    const command = [
      'sh',
      '-c',
      `(while :; do ip link set eth0 down; ip link set eth0 up; ip addr flush dev lo; sleep 0.02; done) 2>/dev/null & exec /w/server ${SERVER}`,
    ];
    const container = await startServer(lab.host, { ...NET_ADMIN, command, ports: [`8086:${SERVER + 4}`] });
    await startServer(lab.host, { ports: [`8087:${SERVER}`] });
    for (let i = 0; i < 5; i++) {
      await client(lab.host, 'get', '127.0.0.1', 8086);
      expect(await client(lab.host, 'many', '127.0.0.1', 8087, 20)).toBe('20');
    }
    await container.end();
  });
});
