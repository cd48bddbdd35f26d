/** /etc/boxctl/network.yaml: which addresses containers of this machine are given. Root's file, read for a network alone. */
import { closeSync, constants, fstatSync } from 'node:fs';
import { openSync, readOpened } from '../inputs/outside.ts';
import { BoxctlError } from '../errors.ts';
import { MAX_FILE_SIZE } from '../files/read.ts';
import { parseSubnet, type Subnet } from '../text/addresses.ts';
import { Paths } from '../yaml/paths.ts';
import { TextProblems } from '../yaml/problems.ts';
import { parseTree, type Tree } from '../yaml/tree.ts';

export const NETWORK_CONFIG = '/etc/boxctl/network.yaml';

/** What the file says; what it leaves out is boxctl's own choice. */
export interface NetworkConfig {
  readonly pool?: { readonly ipv4?: Subnet; readonly ipv6?: Subnet };
  /** What subnets of networks are taken from: of IPv4 /24, of IPv6 /112. */
  readonly subnets?: { readonly ipv4?: Subnet; readonly ipv6?: Subnet };
}

/** The longest prefix that has room: of the pool, exactly that. */
const PREFIXES = { pool: { ipv4: 20, ipv6: 116 }, subnets: { ipv4: 24, ipv6: 112 } } as const;

function readOwn(file: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return undefined;
    throw new BoxctlError('E_NETWORK_CONFIG', `${file} cannot be read`, { hint: 'it must be a file, and no link' });
  }
  try {
    const status = fstatSync(fd);
    if (!status.isFile() || status.uid !== 0 || (status.mode & 0o022) !== 0 || status.size > MAX_FILE_SIZE) {
      throw new BoxctlError('E_NETWORK_CONFIG', `${file} is not used: others than root could have written it`, {
        hint: `chown root ${file}; chmod go-w ${file}`,
      });
    }
    return readOpened(fd).toString('utf8');
  } finally {
    closeSync(fd);
  }
}

/** Throws where the text is not what it must be: an address in the wrong place would be somebody else's. */
export function parseNetworkConfig(text: string, file: string): NetworkConfig {
  const problems = new TextProblems(file, text);
  const tree = parseTree(text, problems);
  const paths = tree === undefined ? undefined : new Paths(tree);
  const wrong = (path: string, message: string, hint?: string): void =>
    problems.add('E_NETWORK_CONFIG', message, { path, at: paths?.where(path) ?? { start: 0, end: 1 }, hint });
  const subnetAt = (node: Tree, path: string, family: 4 | 6, prefix: number, exact: boolean): Subnet | undefined => {
    const parsed = node.kind === 'scalar' && typeof node.value === 'string' ? parseSubnet(node.value) : undefined;
    const fits = exact ? parsed?.subnet.prefix === prefix : (parsed?.subnet.prefix ?? 129) <= prefix;
    if (parsed?.isExact === true && parsed.subnet.family === family && fits) return parsed.subnet;
    const example = family === 4 ? `10.99.0.0/${prefix}` : `fd12:3456:789a::/${prefix}`;
    wrong(
      path,
      `must be a range of IPv${family} with a prefix of ${exact ? '' : 'at most '}${prefix}`,
      `such as ${example}`,
    );
    return undefined;
  };
  const config: { -readonly [Key in keyof NetworkConfig]: NetworkConfig[Key] } = {};
  if (tree !== undefined && tree.kind !== 'map') wrong('', 'must be a map with `pool` and `subnets`');
  for (const [key, { value }] of tree?.kind === 'map' ? tree.entries : []) {
    if (key !== 'pool' && key !== 'subnets') wrong(key, `there is no key \`${key}\``, 'the keys are: pool, subnets');
    else if (value.kind !== 'map') wrong(key, 'must be a map with `ipv4` and `ipv6`');
    else {
      const part: { ipv4?: Subnet; ipv6?: Subnet } = {};
      for (const [name, entry] of value.entries) {
        const path = `${key}.${name}`;
        if (name !== 'ipv4' && name !== 'ipv6') {
          wrong(path, `there is no key \`${name}\` here`, 'the keys are: ipv4, ipv6');
          continue;
        }
        const found = subnetAt(entry.value, path, name === 'ipv4' ? 4 : 6, PREFIXES[key][name], key === 'pool');
        if (found !== undefined) part[name] = found;
      }
      config[key] = part;
    }
  }
  const diagnostics = problems.sorted();
  if (diagnostics.length > 0) throw new BoxctlError('E_NETWORK_CONFIG', `${file} has mistakes`, { diagnostics });
  return config;
}

/** @throws BoxctlError E_NETWORK_CONFIG */
export function readNetworkConfig(file = NETWORK_CONFIG): NetworkConfig {
  const text = readOwn(file);
  return text === undefined ? {} : parseNetworkConfig(text, file);
}
