/**
 * Firewalls of the host that drop what containers send: a chain of forwarded packets that drops what none of its rules lets
 * through. boxctl cannot overrule it, since in nftables a packet must be let through by every chain.
 */
import { execFileSync } from 'node:child_process';
import { lookUp, STANDARD_PATH } from '../files/programs.ts';
import { formatSubnet, type Family, type Subnet } from '../text/addresses.ts';
import { isRecord } from '../text/json.ts';
import type { HostReader } from './read.ts';

/** The command that lets packets of a range through. */
type Admit = (range: string, family: Family) => string;

export interface Firewall {
  /** Whose it is, or which chain. */
  readonly name: string;
  /** The families whose packets it drops. */
  readonly families: readonly Family[];
  readonly admit: Admit;
  /** What has to be done once after all ranges are admitted. */
  readonly afterwards?: string;
  /** Ranges that its rules name already, as text. */
  readonly admitted: ReadonlySet<string>;
}

const both = (make: (range: string, direction: 's' | 'd') => string, range: string): string =>
  `${make(range, 's')} && ${make(range, 'd')}`;

const FIREWALLD: Admit = (range) => `firewall-cmd --permanent --zone=trusted --add-source=${range}`;
const UFW: Admit = (range) => `ufw route allow from ${range} && ufw route allow to ${range}`;
/** `chain` of a table that is iptables’ own. nft(8) must not change it. */
const iptables =
  (chain: string, variant = ''): Admit =>
  (range, family) => {
    const program = family === 4 ? `iptables${variant}` : `ip6tables${variant}`;
    return both((one, direction) => `${program} -I ${chain} -${direction} ${one} -j ACCEPT`, range);
  };

interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly hook: string | undefined;
  readonly policy: string | undefined;
}

interface Rule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly expr: readonly unknown[];
}

interface Ruleset {
  readonly chains: readonly Chain[];
  readonly rules: readonly Rule[];
}

/** What `nft -j list ruleset` prints. */
function parseRuleset(text: string): Ruleset {
  const parsed: unknown = JSON.parse(text);
  const list = isRecord(parsed) && Array.isArray(parsed['nftables']) ? (parsed['nftables'] as unknown[]) : [];
  const objects = (kind: string): readonly Readonly<Record<string, unknown>>[] =>
    list.flatMap((entry) => {
      const object = isRecord(entry) ? entry[kind] : undefined;
      return isRecord(object) ? [object] : [];
    });
  const word = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  return {
    chains: objects('chain').map(({ family, table, name, hook, policy }) => ({
      family: word(family) ?? '',
      table: word(table) ?? '',
      name: word(name) ?? '',
      hook: word(hook),
      policy: word(policy),
    })),
    rules: objects('rule').map(({ family, table, chain, expr }) => ({
      family: word(family) ?? '',
      table: word(table) ?? '',
      chain: word(chain) ?? '',
      expr: Array.isArray(expr) ? (expr as unknown[]) : [],
    })),
  };
}

/** Whether the rule drops or rejects every packet: it has no condition. */
function dropsAll({ expr }: Rule): boolean {
  const [last, ...others] = expr.filter((one) => !isRecord(one) || !('counter' in one)).toReversed();
  if (!isRecord(last) || others.length > 0) return false;
  const target = isRecord(last['xt']) ? last['xt']['name'] : undefined;
  return 'drop' in last || 'reject' in last || target === 'REJECT';
}

const FAMILIES: Readonly<Record<string, readonly Family[]>> = { ip: [4], ip6: [6], inet: [4, 6] };

/** The subnets that rules of the tables name as a source. */
function sourcesOf(rules: readonly Rule[]): ReadonlySet<string> {
  const found = new Set<string>();
  for (const { expr } of rules) {
    for (const { match } of expr.filter(isRecord)) {
      if (!isRecord(match) || !isRecord(match['left']) || !isRecord(match['right'])) continue;
      const payload = match['left']['payload'];
      const prefix = match['right']['prefix'];
      if (!isRecord(payload) || payload['field'] !== 'saddr' || !isRecord(prefix)) continue;
      found.add(`${String(prefix['addr'])}/${String(prefix['len'])}`);
    }
  }
  return found;
}

/** By the rules of nf_tables, among which are those of iptables-nft. */
export function firewallsOf(text: string): readonly Firewall[] {
  const { chains, rules } = parseRuleset(text);
  const dropping = chains.filter(({ family, table, name, hook, policy }) => {
    if (hook !== 'forward' || table.startsWith('boxctl')) return false;
    const own = rules.filter((rule) => rule.family === family && rule.table === table && rule.chain === name);
    const last = own.at(-1);
    return policy === 'drop' || (last !== undefined && dropsAll(last));
  });
  const found = new Map<string, Firewall>();
  for (const { family, table, name } of dropping) {
    const inTable = (rule: { readonly family: string; readonly table: string }): boolean =>
      rule.family === family && rule.table === table;
    const has = (chain: string): boolean => chains.some((one) => inTable(one) && one.name === chain);
    const kind = kindOf(family, table, name, has);
    const other = found.get(kind.name);
    found.set(kind.name, {
      ...kind,
      families: [...new Set([...(other?.families ?? []), ...(FAMILIES[family] ?? [])])],
      admitted: new Set([...(other?.admitted ?? []), ...sourcesOf(rules.filter(inTable))]),
    });
  }
  return [...found.values()];
}

function kindOf(
  family: string,
  table: string,
  name: string,
  has: (chain: string) => boolean,
): Pick<Firewall, 'name' | 'admit' | 'afterwards'> {
  if (table === 'firewalld') return { name: 'firewalld', admit: FIREWALLD, afterwards: 'firewall-cmd --reload' };
  if (has('DOCKER-USER')) return { name: 'Docker (FORWARD drops)', admit: iptables('DOCKER-USER') };
  if (has(family === 'ip6' ? 'ufw6-before-forward' : 'ufw-before-forward')) return { name: 'ufw', admit: UFW };
  if (table === 'filter' && name === 'FORWARD') return { name: 'iptables (FORWARD drops)', admit: iptables('FORWARD') };
  const rule = `nft insert rule ${family} ${table} ${name}`;
  return {
    name: `the chain ${name} of the table ${family} ${table}, which drops`,
    admit: (range, version) => {
      const word = version === 4 ? 'ip' : 'ip6';
      return `${rule} ${word} saddr ${range} accept && ${rule} ${word} daddr ${range} accept`;
    },
  };
}

/** By what `iptables-legacy -S` prints: the rules of before nf_tables, which nft(8) does not list. */
export function legacyFirewallOf(text: string, family: Family): readonly Firewall[] {
  const lines = text.split('\n');
  const forward = lines.filter((line) => line.startsWith('-A FORWARD '));
  const drops = lines.includes('-P FORWARD DROP') || /^-A FORWARD -j (?:DROP|REJECT)\b/u.test(forward.at(-1) ?? '');
  if (!drops) return [];
  const has = (chain: string): boolean => lines.includes(`-N ${chain}`);
  const admitted = new Set(lines.flatMap((line) => /^-A \S+ -s (\S+\/\d+) -j ACCEPT$/u.exec(line)?.slice(1) ?? []));
  const rest = { families: [family], admitted };
  if (has('DOCKER-USER')) {
    return [{ name: 'Docker (FORWARD drops)', admit: iptables('DOCKER-USER', '-legacy'), ...rest }];
  }
  if (has(family === 4 ? 'ufw-before-forward' : 'ufw6-before-forward')) return [{ name: 'ufw', admit: UFW, ...rest }];
  return [{ name: 'iptables (FORWARD drops)', admit: iptables('FORWARD', '-legacy'), ...rest }];
}

/** What firewalls leave in files, where there is no program to list the kernel's rules. */
function byTraces(read: HostReader): readonly Firewall[] {
  const rest = { families: [4, 6] as const, admitted: new Set<string>() };
  return [
    ...(read.exists('/run/firewalld')
      ? [{ name: 'firewalld', admit: FIREWALLD, afterwards: 'firewall-cmd --reload', ...rest }]
      : []),
    ...(/^ENABLED=yes/mu.test(read.text('/etc/ufw/ufw.conf') ?? '') ? [{ name: 'ufw', admit: UFW, ...rest }] : []),
    ...(read.exists('/sys/class/net/docker0')
      ? [{ name: 'Docker, if its FORWARD drops', admit: iptables('DOCKER-USER'), ...rest }]
      : []),
  ];
}

/** What a program of the system's own prints; undefined if there is none, or if it fails. It changes nothing here. */
function printed(program: string, args: readonly string[]): string | undefined {
  const path = lookUp(program, STANDARD_PATH.join(':')).found;
  if (path === undefined) return undefined;
  try {
    return execFileSync(path, args, {
      encoding: 'utf8',
      env: {},
      timeout: 5000,
      maxBuffer: 64 * 1024 * 1024,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } catch {
    return undefined;
  }
}

const LEGACY = [
  ['/proc/net/ip_tables_names', 'iptables-legacy', 4],
  ['/proc/net/ip6_tables_names', 'ip6tables-legacy', 6],
] as const;

export function gatherFirewalls(read: HostReader): readonly Firewall[] {
  const ruleset = printed('nft', ['-j', 'list', 'ruleset']);
  const legacy = LEGACY.flatMap(([names, program, family]) => {
    if (!/^filter$/mu.test(read.text(names) ?? '')) return [];
    const text = printed(program, ['-S']);
    return text === undefined ? [] : legacyFirewallOf(text, family);
  });
  if (ruleset === undefined) return legacy.length > 0 ? legacy : byTraces(read);
  return [...firewallsOf(ruleset), ...legacy];
}

/** The commands that let packets of these ranges through, joined to one line; undefined: it lets them through already. */
export function admission(firewall: Firewall, ranges: readonly Subnet[]): string | undefined {
  const missing = ranges.filter(
    (range) => firewall.families.includes(range.family) && !firewall.admitted.has(formatSubnet(range)),
  );
  if (missing.length === 0) return undefined;
  const commands = missing.map((range) => firewall.admit(formatSubnet(range), range.family));
  return [...commands, ...(firewall.afterwards === undefined ? [] : [firewall.afterwards])].join(' && ');
}
