/**
 * Firewalls of the host that swallow what a container sends: a chain of forwarded packets that drops what no rule of its own
 * lets through. boxctl cannot overrule it, since in nftables a packet must be let through by every chain.
 */
import { execFileSync } from 'node:child_process';
import type { HostReader } from '../host/read.ts';
import { lookUp, STANDARD_PATH } from '../files/programs.ts';
import { isRecord } from '../text/json.ts';

export interface Firewall {
  /** Whose it is, and which chain. */
  readonly name: string;
  /** What lets the pool's packets through, for one of its ranges. */
  readonly admit: (range: string, family: 4 | 6) => string;
}

const FIREWALLD: Firewall['admit'] = (range) => `firewall-cmd --permanent --zone=trusted --add-source=${range}`;
const UFW: Firewall['admit'] = (range) => `ufw route allow from ${range} && ufw route allow to ${range}`;
const DOCKER: Firewall['admit'] = (range, family) => {
  const program = family === 4 ? 'iptables' : 'ip6tables';
  return `${program} -I DOCKER-USER -s ${range} -j ACCEPT && ${program} -I DOCKER-USER -d ${range} -j ACCEPT`;
};

interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly hook: string | undefined;
  readonly policy: string | undefined;
}

/** What `nft -j list chains` prints. */
function parseChains(text: string): readonly Chain[] {
  const parsed: unknown = JSON.parse(text);
  const list = isRecord(parsed) && Array.isArray(parsed['nftables']) ? (parsed['nftables'] as unknown[]) : [];
  return list.flatMap((entry): readonly Chain[] => {
    const chain = isRecord(entry) ? entry['chain'] : undefined;
    if (!isRecord(chain)) return [];
    const word = (key: string): string | undefined => (typeof chain[key] === 'string' ? chain[key] : undefined);
    const [family = '', table = '', name = ''] = [word('family'), word('table'), word('name')];
    return [{ family, table, name, hook: word('hook'), policy: word('policy') }];
  });
}

/** By the chains that there are. */
export function firewallsOf(text: string): readonly Firewall[] {
  const chains = parseChains(text);
  const has = (name: string): boolean => chains.some((chain) => chain.name === name);
  const dropping = chains.filter(
    ({ hook, policy, table }) => hook === 'forward' && policy === 'drop' && !table.startsWith('boxctl'),
  );
  const found = dropping.map(({ family, table, name }): Firewall => {
    if (has('ufw-before-forward')) return { name: 'ufw', admit: UFW };
    if (has('DOCKER-USER')) return { name: 'Docker (FORWARD drops)', admit: DOCKER };
    const rule = `nft insert rule ${family} ${table} ${name}`;
    return {
      name: `the chain ${name} of the table ${family} ${table}, which drops`,
      admit: (range, version) => {
        const word = version === 4 ? 'ip' : 'ip6';
        return `${rule} ${word} saddr ${range} accept && ${rule} ${word} daddr ${range} accept`;
      },
    };
  });
  // Its chain ends with a rule that refuses.
  const firewalld: readonly Firewall[] = chains.some(({ table }) => table === 'firewalld')
    ? [{ name: 'firewalld', admit: FIREWALLD }]
    : [];
  return [...new Map([...firewalld, ...found].map((one) => [one.name, one])).values()];
}

/** What firewalls leave in files, where there is no program to list the kernel's rules. */
function byTraces(read: HostReader): readonly Firewall[] {
  return [
    ...(read.exists('/run/firewalld') ? [{ name: 'firewalld', admit: FIREWALLD }] : []),
    ...(/^ENABLED=yes/mu.test(read.text('/etc/ufw/ufw.conf') ?? '') ? [{ name: 'ufw', admit: UFW }] : []),
    ...(read.exists('/sys/class/net/docker0') ? [{ name: 'Docker, if its FORWARD drops', admit: DOCKER }] : []),
  ];
}

/** `nft` is a program of the system's own, and changes nothing here. */
export function gatherFirewalls(read: HostReader): readonly Firewall[] {
  const nft = lookUp('nft', STANDARD_PATH.join(':')).found;
  if (nft === undefined) return byTraces(read);
  try {
    const text = execFileSync(nft, ['-j', 'list', 'chains'], {
      encoding: 'utf8',
      env: {},
      timeout: 5000,
      maxBuffer: 16 * 1024 * 1024,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return firewallsOf(text);
  } catch {
    return byTraces(read);
  }
}
