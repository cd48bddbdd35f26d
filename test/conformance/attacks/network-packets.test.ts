/**
 * Packets of unusual protocols, with source routes, extension headers and fragments: what a container makes by hand reaches
 * neither the host nor neighbours nor link-local addresses, and does not get around the ports of `egress`.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunOptions } from '../../support/boxctl.ts';
import { callerOptions, self } from '../../support/container.ts';
import { networkFolder, SERVER, startServer } from '../../support/network-container.ts';
import { HOST, makeLab, ROUTER, whyNoLab, WORLD, type Lab, type Place } from '../../support/network-lab.ts';
import { addressBytes } from '../../../src/text/addresses.ts';

const METADATA = '169.254.169.254';
const NET_ADMIN = { cap_add: ['NET_ADMIN', 'NET_RAW'], cap_drop: [] as string[] };
const why = whyNoLab();

const PROTOCOLS = { ipip: 4, ipv6: 41, gre: 47, esp: 50, ah: 51, sctp: 132, udplite: 136 } as const;
const UDP = 17;
const u16 = (value: number): readonly number[] => [value >> 8, value & 0xff];

interface Parts {
  readonly protocol?: number;
  readonly options?: readonly number[];
  /** In units of 8 bytes. */
  readonly offset?: number;
  readonly more?: boolean;
}
/** The program in the container puts the container’s addresses in place of these. */
const OWN = { 4: [10, 215, 255, 255], 6: Array.from({ length: 16 }, () => 0xee) } as const;

function ipv4(
  to: string,
  payload: readonly number[],
  { protocol = UDP, options = [], offset = 0, more = false }: Parts = {},
) {
  const words = 5 + options.length / 4;
  const length = 4 * words + payload.length;
  const head = [0x40 + words, 0, ...u16(length), 0x12, 0x34, ...u16((more ? 0x2000 : 0) + offset), 64, protocol, 0, 0];
  return [...head, ...OWN[4], ...addressBytes(to), ...options, ...payload];
}
function ipv6(to: string, next: number, payload: readonly number[]): readonly number[] {
  return [0x60, 0, 0, 0, ...u16(payload.length), next, 64, ...OWN[6], ...addressBytes(to), ...payload];
}
const text = (words: string): readonly number[] => [...new TextEncoder().encode(words)];
/** Without a checksum, which IPv6 does not take: what counts is whether the packet arrives. */
const udp = (port: number, words = 'evil'): readonly number[] => [
  ...u16(5555),
  ...u16(port),
  ...u16(8 + words.length),
  0,
  0,
  ...text(words),
];
const fragmentHeader = (next: number, offset: number, more: boolean): readonly number[] => [
  next,
  0,
  ...u16(offset * 8 + (more ? 1 : 0)),
  0,
  0,
  0,
  7,
];
/** Of type 0, 2 or 4, with one segment left: `to`. */
const routing = (next: number, type: number, to: string): readonly number[] => [
  next,
  2,
  type,
  1,
  0,
  0,
  0,
  0,
  ...addressBytes(to),
];
const hopByHop = (next: number): readonly number[] => [next, 0, 5, 2, 0, 0, 1, 0];

const hex = (bytes: readonly number[]): string => Buffer.from(bytes).toString('hex');

describe.skipIf(why !== undefined)(`packets made by hand (${why ?? 'in the lab'})`, () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await makeLab();
    await lab.router.shell(`ip addr add ${METADATA}/32 dev lo`);
    await lab.host.shell(`ip route add ${METADATA}/32 via ${ROUTER.ipv4}`);
  });
  afterAll(() => lab.end());

  /** Counts packets that match, before any other rule of the place has seen them. */
  async function watch(place: Place, rules: Readonly<Record<string, string>>): Promise<void> {
    const lines = Object.entries(rules).map(
      ([name, match]) => `add counter inet watch ${name}\nadd rule inet watch seen ${match} counter name ${name}`,
    );
    await place.shell(`nft delete table inet watch 2>/dev/null || true
      nft -f - <<'END'
add table inet watch
add chain inet watch seen { type filter hook prerouting priority -450; }
${lines.join('\n')}
END`);
  }
  async function seen(place: Place): Promise<Readonly<Record<string, number>>> {
    const list = await place.out('nft', 'list', 'counters', 'table', 'inet', 'watch');
    const found = list.matchAll(/counter (\w+) \{\s+packets (\d+)/gu);
    return Object.fromEntries([...found].map(([, name = '', packets]) => [name, Number(packets)]));
  }
  async function send(
    packets: readonly (readonly number[])[],
    spec: Readonly<Record<string, unknown>> = {},
    options: RunOptions = {},
  ): Promise<void> {
    const command = ['/w/network', ...packets.flatMap((packet) => ['hex', hex(packet)])];
    const folder = networkFolder({ ...NET_ADMIN, command, ...spec }, ['network']);
    const ended = await lab.host.boxctl(['up', '--allow', 'all'], callerOptions(self, folder, options));
    expect(ended.stdout.match(/^hex,\w+ 0$/gmu), ended.stderr).toHaveLength(packets.length);
  }

  test('of other protocols, with source routes, extension headers or in fragments do not reach the host, neighbours or link-local addresses', async () => {
    const command = ['sh', '-c', `ip -o addr show dev eth0; exec /w/server ${SERVER}`];
    const neighbour = await startServer(lab.host, { command });
    const [neighbour4 = '', neighbour6 = ''] = [/ inet (\S+)\/32/u, / inet6 (fd\S+)\/128/u].map(
      (pattern) => pattern.exec(neighbour.stdout())?.[1],
    );
    const goals4 = [HOST.ipv4, METADATA, neighbour4, '10.215.0.0'];
    const goals6 = [HOST.ipv6, neighbour6, 'fd62:6f78:6374:6c::'];
    // Datagrams to the host's address may be for published ports of others. Their number is another one until boxctl's rules know.
    const hidden = 253;
    await watch(lab.host, {
      goals: `iifname "boxctl*" ip daddr { ${goals4.join(', ')} } ip protocol != ${hidden}`,
      options: `iifname "boxctl*" ip daddr { ${goals4.join(', ')} } ip hdrlength != 5`,
      goals6: `iifname "boxctl*" ip6 daddr { ${goals6.join(', ')} } meta l4proto != ${hidden}`,
      hidden: `meta l4proto ${hidden} ip daddr != ${HOST.ipv4}`,
      hidden6: `meta l4proto ${hidden} ip6 daddr != ${HOST.ipv6}`,
      allowed: `iifname "boxctl*" ip daddr ${WORLD.ipv4}`,
      allowed6: `iifname "boxctl*" ip6 daddr ${WORLD.ipv6}`,
    });
    await watch(lab.world, { by_gre: 'meta l4proto gre', by_sctp: 'meta l4proto sctp' });
    const protocols = Object.values(PROTOCOLS);
    const route = (kind: number, by: string): readonly number[] => [kind, 7, 4, ...addressBytes(by), 0];
    const whole = udp(SERVER, 'evil-in-fragments');
    const packets = [
      ...goals4.flatMap((to) => [
        ...protocols.map((protocol) => ipv4(to, udp(7), { protocol })),
        ipv4(to, udp(7), { options: route(131, WORLD.ipv4) }),
        ipv4(to, udp(7), { options: route(137, WORLD.ipv4) }),
        ipv4(to, whole.slice(0, 8), { more: true }),
        ipv4(to, whole.slice(8), { offset: 1 }),
        ipv4(to, whole.slice(0, 16), { more: true }),
        ipv4(to, whole.slice(8), { offset: 1 }),
      ]),
      ...goals6.flatMap((to) => [
        ...protocols.map((protocol) => ipv6(to, protocol, udp(7))),
        ipv6(to, 0, [...hopByHop(UDP), ...udp(7)]),
        ...[0, 2, 4].map((type) => ipv6(to, 43, [...routing(UDP, type, WORLD.ipv6), ...udp(7)])),
        ipv6(to, 44, [...fragmentHeader(UDP, 0, true), ...whole.slice(0, 8)]),
        ipv6(to, 44, [...fragmentHeader(UDP, 1, false), ...whole.slice(8)]),
        ipv6(to, 60, [UDP, 0, 1, 4, 0, 0, 0, 0, ...udp(7)]),
      ]),
      // Towards the world, where the other address is named by the route alone.
      ...goals4.map((by) => ipv4(WORLD.ipv4, udp(7), { options: route(131, by) })),
      ...goals6.flatMap((by) => [0, 2, 4].map((type) => ipv6(WORLD.ipv6, 43, [...routing(UDP, type, by), ...udp(7)]))),
    ];
    const allowedPackets = [PROTOCOLS.gre, PROTOCOLS.sctp].map((protocol) => ipv4(WORLD.ipv4, udp(7), { protocol }));
    for (let at = 0; at < packets.length; at += 40) await send(packets.slice(at, at + 40));
    await send(
      allowedPackets,
      {},
      { once: 'they are counted, and GRE has no port by which a second container would be told apart' },
    );
    const { allowed = 0, allowed6 = 0, ...others } = await seen(lab.host);
    expect(others).toEqual({ goals: 0, options: 0, goals6: 0, hidden: 0, hidden6: 0 });
    // So that the others say something.
    expect(allowed).toBeGreaterThan(0);
    expect(allowed6).toBeGreaterThan(0);
    expect(await seen(lab.world)).toEqual({ by_gre: 1, by_sctp: 1 });
    for (const place of [lab.host, lab.router]) expect(place.requests).toEqual([]);
    expect(neighbour.stdout()).not.toContain('evil');
  });

  test('do not get around the ports of `egress` by fragments, extension headers or other protocols', async () => {
    const egress = [`${WORLD.ipv4}:7/udp`, `[${WORLD.ipv6}]:7/udp`];
    // Before fragments are put together.
    await watch(lab.world, {
      other: 'ip frag-off & 0x1fff == 0 udp dport != 7',
      others: 'ip6 saddr != fe80::/10 udp dport != 7',
      foreign: 'meta l4proto { gre, sctp, esp, udplite }',
      allowed: 'udp dport 7',
    });
    const whole = udp(9, 'evil-in-fragments');
    await send(
      [
        ipv4(WORLD.ipv4, whole),
        ipv4(WORLD.ipv4, whole.slice(0, 8), { more: true }),
        ipv4(WORLD.ipv4, whole.slice(8), { offset: 1 }),
        ipv4(WORLD.ipv4, udp(9), { options: [1, 1, 1, 0] }),
        ...Object.values(PROTOCOLS).map((protocol) => ipv4(WORLD.ipv4, udp(7), { protocol })),
        ipv6(WORLD.ipv6, UDP, whole),
        ipv6(WORLD.ipv6, 44, [...fragmentHeader(UDP, 0, true), ...whole.slice(0, 8)]),
        ipv6(WORLD.ipv6, 0, [...hopByHop(UDP), ...udp(9)]),
        ipv6(WORLD.ipv6, 43, [...routing(UDP, 0, HOST.ipv6), ...udp(9)]),
        ...Object.values(PROTOCOLS).map((protocol) => ipv6(WORLD.ipv6, protocol, udp(7))),
        ipv4(WORLD.ipv4, udp(7)),
      ],
      { egress },
    );
    const { allowed = 0, ...others } = await seen(lab.world);
    expect(others).toEqual({ other: 0, others: 0, foreign: 0 });
    expect(allowed).toBeGreaterThan(0);
  });
});
