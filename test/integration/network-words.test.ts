/** The words of a plan's rules beside those of nft(8), which reads the rules out of the kernel. */
import { existsSync } from 'node:fs';
import type { ChildProcess } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { callerOptions, self, specFolder } from '../support/container.ts';
import { makeLab, whyNoLab, type Lab } from '../support/network-lab.ts';

const WHY = whyNoLab() ?? (existsSync('/usr/sbin/nft') ? undefined : 'needs nftables');

const FILE = {
  network_mode: 'bridge',
  stop_signal: 'SIGKILL',
  ports: ['8080:80', '53:53/udp'],
  egress: ['10.0.0.0/8', '198.51.100.10:80-90', '*:53/udp', '[2001:db8::/32]:443', 'host-gateway:81'],
  command: ['sh', '-c', 'echo ready; sleep 30'],
};
const OPEN = { ...FILE, egress: undefined };

/** Bytes in hexadecimal, as nft(8) writes them without the zeros in front. */
const bytesOf = (hex: string, size: number): readonly number[] =>
  hex
    .slice(2)
    .padStart(2 * size, '0')
    .match(/../gu)
    ?.map((byte) => Number.parseInt(byte, 16)) ?? [];

function addressOf(hex: string, size: 4 | 16): string {
  const bytes = bytesOf(hex, size);
  if (size === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, at) => (bytes[2 * at] ?? 0) * 256 + (bytes[2 * at + 1] ?? 0));
  // As URL shortens it.
  return new URL(`http://[${groups.map((group) => group.toString(16)).join(':')}]`).hostname.slice(1, -1);
}
const prefixOf = (hex: string): number => [...BigInt(hex).toString(2)].filter((bit) => bit === '1').length;

/** What nft(8) prints as raw bytes where it does not know the protocol, in words. */
const PLACES = [
  ['@nh,96,32', 'ip saddr', 4],
  ['@nh,128,32', 'ip daddr', 4],
  ['@nh,64,128', 'ip6 saddr', 16],
  ['@nh,192,128', 'ip6 daddr', 16],
] as const;

/** One way of writing for what both can write in several. */
function normalised(rule: string): string {
  let text = rule.trim().replaceAll(/\s+/gu, ' ');
  for (const [raw, words, size] of PLACES) {
    text = text
      .replaceAll(new RegExp(`${raw} & (0x\\w+) == (0x\\w+)`, 'gu'), (_, mask: string, value: string) => {
        return `${words} ${addressOf(value, size)}/${prefixOf(mask)}`;
      })
      .replaceAll(new RegExp(`${raw} (!= )?(0x\\w+)`, 'gu'), (_, not: string | undefined, value: string) => {
        return `${words} ${not ?? ''}${addressOf(value, size)}`;
      })
      .replaceAll(`${raw} `, `${words} `);
  }
  return (
    text
      .replace('@nh,48,16', 'ip frag-off')
      .replace('@nh,72,8 0x11', 'ip protocol udp')
      .replaceAll('@nh,48,8 0x2c', 'ip6 nexthdr ipv6-frag')
      .replace('@nh,48,8 0x11 @nh,48,8 set 0xfd', 'ip6 nexthdr udp ip6 nexthdr set 253')
      .replace('@nh,64,16 set @nh,64,16 & 0xfffd | 0xfd', 'ip protocol set 253')
      .replace(/@ll,48,48 != (0x\w+)/u, (_, value: string) => {
        const hex = bytesOf(value, 6).map((byte) => byte.toString(16).padStart(2, '0'));
        return `ether saddr != ${hex.join(':')}`;
      })
      .replace('tcp flags != syn / syn,ack', 'tcp flags & (syn | ack) != syn')
      .replace(/socket mark (0x\w+)\/4/u, 'socket mark & 0xf0000000 == $1')
      .replace(/(?<=\^ )(\d+)\.(\d+)\.(\d+)\.(\d+)/u, (address) => {
        return `0x${address
          .split('.')
          .map((byte) => Number(byte).toString(16).padStart(2, '0'))
          .join('')}`;
      })
      // nft(8) leaves out what the next words imply for it.
      .replaceAll(/meta (?:nfproto ipv4|protocol ip) (?=.*\b(?:ip [sd]addr|ip protocol|icmp type))/gu, '')
      .replaceAll(/meta (?:nfproto ipv6|protocol ip6) (?=.*\b(?:ip6 [sd]addr|ip6 nexthdr|icmpv6 type))/gu, '')
      .replace('reject with icmpx port-unreachable', 'reject')
      .replaceAll(/meta l4proto (?:ipv6-icmp|icmp) (?=icmp)/gu, '')
      .replaceAll(/0x0*(?=[\da-f])/gu, '0x')
  );
}

/** The rules of each chain, `inet boxctl forward`, as nft(8) lists them. */
function listed(ruleset: string): ReadonlyMap<string, readonly string[]> {
  const chains = new Map<string, string[]>();
  let table = '';
  let rules: string[] | undefined;
  for (const line of ruleset.split('\n')) {
    table = /^table (\w+ \S+) /u.exec(line)?.[1] ?? table;
    const chain = /^\tchain (\S+) /u.exec(line)?.[1];
    if (chain !== undefined) chains.set(`${table} ${chain}`, (rules = []));
    else if (line === '\t}') rules = undefined;
    else if (rules !== undefined && line.trim() !== '' && !line.includes('type filter') && !line.includes('type nat')) {
      rules.push(normalised(line));
    }
  }
  return chains;
}

/** The same of what `boxctl up --verbose` writes, without the second of two transactions for the same table. */
function told(all: string): ReadonlyMap<string, readonly string[]> {
  const chains = new Map<string, string[]>();
  const once = all.replaceAll(/(NFNL_MSG_BATCH_END nf_tables\n)(?: +NF[A-Z_]+ .*\n)+/gu, '$1');
  // Where a transaction has a few messages, they are in the line of the call.
  const output = once.replaceAll(/, (?=(?:NFT|NFNL)_MSG_)/gu, '\n');
  for (const [, chain = ''] of output.matchAll(/^ *NFT_MSG_NEWCHAIN (\S+ \S+ [^:\s]+)/gmu)) chains.set(chain, []);
  for (const [, chain = '', rule = ''] of output.matchAll(/^ *NFT_MSG_NEWRULE (\S+ \S+ \S+): (.*)$/gmu)) {
    chains.get(chain)?.push(normalised(rule));
  }
  return chains;
}

describe.skipIf(WHY !== undefined)(`rules in words (${WHY ?? 'as root'})`, () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await makeLab();
  });
  afterAll(() => lab.end());

  /** What the container's start said, and what nft(8) lists while it runs. */
  async function whileRunning(keys: object): Promise<{ readonly stderr: string; readonly ruleset: string }> {
    let child: ChildProcess | undefined;
    let output = '';
    const folder = specFolder(JSON.parse(JSON.stringify(keys)) as Record<string, unknown>);
    const ended = lab.host.boxctl(['up', '--verbose', '--allow', 'all'], {
      ...callerOptions(self, folder),
      held: true,
      onStart: (process) => {
        child = process;
        process.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
      },
    });
    try {
      await Promise.race([vi.waitFor(() => expect(output).toContain('ready'), { timeout: 20_000 }), ended]);
      const ruleset = await lab.host.shell('nft list ruleset');
      child?.kill('SIGTERM');
      return { stderr: (await ended).stderr, ruleset };
    } finally {
      child?.kill('SIGTERM');
    }
  }

  test.each([
    ['with a list of what it may reach', FILE],
    ['that may reach the world', OPEN],
  ])('are those that nft lists, for a container %s', async (_title, keys) => {
    const { stderr, ruleset } = await whileRunning(keys);
    const [words, kernel] = [told(stderr), listed(ruleset)];
    expect([...words.keys()].toSorted()).toEqual([...kernel.keys()].toSorted());
    expect([...words.values()].flat().length).toBeGreaterThan(40);
    for (const [chain, rules] of words) {
      // nft(8) takes the four parts of this address for another one: `[::fd62:6f78:6374:6c:0:0]`.
      const comparable = (rule: string): boolean => !/dnat ip6 to \[.*socket mark/u.test(rule);
      const inKernel = kernel.get(chain) ?? [];
      expect({ chain, count: rules.length }).toEqual({ chain, count: inKernel.length });
      expect({ chain, rules: rules.filter(comparable) }).toEqual({ chain, rules: inKernel.filter(comparable) });
    }
  });
});
