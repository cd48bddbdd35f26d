/** `networks`: the networks that the container shares with others, and their subnets and addresses. */
import type { ContainerFile } from '../../generated/container.ts';
import {
  addressAt as addressIn,
  containsAddress,
  formatSubnet,
  indexIn,
  overlapsSubnet,
  parseSubnet,
  widthOf,
  type Family,
  type Subnet,
} from '../../text/addresses.ts';
import { overlapsSpecial } from '../../text/special-addresses.ts';
import { clip, clipKey, each, addProblem, type Context } from '../context.ts';
import type { NetworkAttachment, NetworkSubnet } from './network.ts';
import { addressAt, isHostName } from './values.ts';

type RawNetworks = Exclude<NonNullable<ContainerFile['networks']>, readonly string[]>;
type RawNetwork = NonNullable<RawNetworks[string]>;
type NetworkPath = NetworkAttachment['specPath'];
type RawConfig = NonNullable<NonNullable<RawNetwork['ipam']>['config']>[number];

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/u;
/** The route to a larger network would take the place of the container's route to the internet. */
const LEAST_PREFIX = 8;

export function normaliseNetworks(context: Context, raw: ContainerFile['networks']): readonly NetworkAttachment[] {
  const all = Array.isArray(raw)
    ? each(context, raw, 'networks').map(([name, path]) => attachment(context, name, {}, path, clip(name)))
    : Object.entries(raw ?? {})
        .filter(([name]) => !name.startsWith('x-'))
        .map(([name, value]) => attachment(context, name, value ?? {}, `networks.${name}`, clipKey(name)));
  const found = all.filter((one) => one !== undefined);
  refuseClashes(context, found);
  return found;
}

function attachment(
  context: Context,
  name: string,
  raw: RawNetwork,
  specPath: NetworkPath,
  shown: string,
): NetworkAttachment | undefined {
  if (!NAME.test(name)) {
    addProblem(context, specPath, 'E_SPEC_VALUE', `"${shown}" is not a name of a network`, {
      hint: 'a letter or digit, then letters, digits, `_`, `.` or `-`, at most 63 in all',
    });
    return undefined;
  }
  const { external = false, internal = false, enable_ipv4: ipv4 = true, enable_ipv6: ipv6 = true } = raw;
  if (external) refuseBesideExternal(context, raw, specPath);
  if (!ipv4 && !ipv6) {
    const message = `\`${specPath}\` has neither IPv4 nor IPv6`;
    addProblem(context, `${specPath}.enable_ipv6`, 'E_SPEC_CONFLICT', message, { hint: 'leave one of them on' });
  }
  const subnets = subnetsOf(context, raw, specPath);
  const addresses = {
    ...ownAddress(context, raw, 4, subnets, specPath, ipv4),
    ...ownAddress(context, raw, 6, subnets, specPath, ipv6),
  };
  const hostName = external ? (raw.name ?? name) : raw.name;
  return {
    name,
    ...(hostName === undefined ? {} : { hostName }),
    external,
    internal,
    subnets,
    ipv4,
    ipv6,
    ...addresses,
    aliases: aliasesOf(context, raw, specPath),
    specPath,
  };
}

function refuseBesideExternal(context: Context, raw: RawNetwork, path: NetworkPath): void {
  for (const key of ['internal', 'ipam', 'enable_ipv4', 'enable_ipv6'] as const) {
    if (raw[key] === undefined) continue;
    const message = `\`${key}\` says what \`${path}\` is like, and it is external: other files say so`;
    addProblem(context, `${path}.${key}`, 'E_SPEC_CONFLICT', message, { hint: `take \`${key}\` or \`external\` out` });
  }
}

function aliasesOf(context: Context, raw: RawNetwork, path: NetworkPath): readonly string[] {
  return each(context, raw.aliases ?? [], `${path}.aliases`).flatMap(([text, item]) => {
    if (isHostName(text)) return [text];
    addProblem(context, item, 'E_SPEC_HOSTNAME', `"${clip(text)}" is not a host name`, {
      hint: 'letters, digits and `-`, in parts joined by dots',
    });
    return [];
  });
}

function subnetsOf(context: Context, raw: RawNetwork, path: NetworkPath): readonly NetworkSubnet[] {
  const found: NetworkSubnet[] = [];
  for (const [config, item] of each(context, raw.ipam?.config ?? [], `${path}.ipam.config`)) {
    const subnet = subnetAt(context, config.subnet, `${item}.subnet`);
    if (subnet === undefined) continue;
    const { family } = subnet;
    if (found.some((other) => other.subnet.family === family)) {
      addProblem(context, `${item}.subnet`, 'E_SPEC_CONFLICT', `\`${path}\` has two subnets of IPv${family}`, {
        hint: 'a network has one of each family: make a second network of the other',
      });
      continue;
    }
    if ((family === 4 ? raw.enable_ipv4 : raw.enable_ipv6) === false) {
      const message = `\`${path}\` has a subnet of IPv${family}, and \`enable_ipv${family}\` is false`;
      addProblem(context, `${item}.subnet`, 'E_SPEC_CONFLICT', message, { hint: 'take one of them out' });
    }
    const gateway = gatewayOf(context, config, subnet, item);
    found.push({ subnet, ...(gateway === undefined ? {} : { gateway }), specPath: item });
  }
  return found;
}

function subnetAt(context: Context, text: string, path: string): Subnet | undefined {
  const refuse = (message: string, hint: string): undefined =>
    addProblem(context, path, 'E_SPEC_ADDRESS', message, { hint });
  const parsed = parseSubnet(text);
  if (parsed === undefined) return refuse(`"${clip(text)}" is not a subnet`, 'such as 172.30.0.0/24, or fd00:30::/64');
  const { subnet, isExact } = parsed;
  if (subnet.prefix < LEAST_PREFIX) {
    return refuse(`"${clip(text)}" is too large for a network of containers`, `at least /${LEAST_PREFIX}`);
  }
  if (!isExact) {
    return refuse(
      `"${clip(text)}" is an address within a subnet, and not the subnet`,
      `write ${clip(formatSubnet(subnet))}`,
    );
  }
  if (overlapsSpecial(subnet)) {
    return refuse(`"${clip(text)}" has no addresses for containers`, 'such as 172.30.0.0/24, or fd00:30::/64');
  }
  if (widthOf(subnet.family) - subnet.prefix < 2) {
    return refuse(`"${clip(text)}" has no room for two containers`, `at most /${widthOf(subnet.family) - 2}`);
  }
  return subnet;
}

function gatewayOf(context: Context, { gateway }: RawConfig, subnet: Subnet, item: string): string | undefined {
  if (gateway === undefined) return undefined;
  const found = addressAt(context, gateway, `${item}.gateway`);
  if (found === undefined || containsAddress(subnet, found.text)) return found?.text;
  const message = `the gateway "${clip(gateway)}" is not in the subnet ${clip(formatSubnet(subnet))}`;
  addProblem(context, `${item}.gateway`, 'E_SPEC_ADDRESS', message, { hint: 'give an address of it, or leave it out' });
  return undefined;
}

function ownAddress(
  context: Context,
  raw: RawNetwork,
  family: Family,
  subnets: readonly NetworkSubnet[],
  specPath: NetworkPath,
  enabled: boolean,
): Pick<NetworkAttachment, 'ipv4Address' | 'ipv6Address'> {
  const key = `ipv${family}_address` as const;
  const text = raw[key];
  const path = `${specPath}.${key}`;
  if (text === undefined) return {};
  const found = addressAt(context, text, path, `an IPv${family} address`, family);
  if (found === undefined) return {};
  if (found.family !== family) {
    const other = `ipv${found.family}_address`;
    addProblem(context, path, 'E_SPEC_ADDRESS', `"${clip(text)}" is an IPv${found.family} address`, {
      hint: `write it as \`${other}\``,
    });
    return {};
  }
  if (!enabled) {
    addProblem(context, path, 'E_SPEC_CONFLICT', `\`${key}\` is given, and \`enable_ipv${family}\` is false`, {
      hint: 'take one of them out',
    });
  }
  const own = subnets.find(({ subnet }) => subnet.family === family);
  if (own !== undefined) checkOwn(context, found.text, own, path);
  else if (raw.external !== true && raw.name === undefined) {
    const missing = `\`${specPath}\` says no subnet of IPv${family}`;
    addProblem(context, path, 'E_SPEC_ADDRESS', `an address of the container's own needs a subnet, and ${missing}`, {
      hint: `add \`ipam: {config: [{subnet: ${family === 4 ? '172.30.0.0/24' : '"fd00:30::/64"'}}]}\``,
    });
  }
  return { [`ipv${family}Address`]: found.text };
}

function checkOwn(context: Context, address: string, { subnet, gateway, specPath }: NetworkSubnet, path: string): void {
  const refuse = (why: string, hint: string): void =>
    addProblem(context, path, 'E_SPEC_ADDRESS', `${clip(address)} ${why}`, { hint });
  const at = context.paths.where(`${specPath}.subnet`);
  const line = at === undefined ? '' : ` of line ${context.problems.position(at).line}`;
  const shown = clip(formatSubnet(subnet));
  const size = 1n << BigInt(widthOf(subnet.family) - subnet.prefix);
  const index = indexIn(subnet, address);
  if (!containsAddress(subnet, address)) {
    refuse(`is not in the subnet ${shown}${line}`, `such as ${clip(addressIn(subnet, 2) ?? '')}`);
  } else if (address === gateway) {
    refuse('is the gateway, which no container is given', `another of ${shown}`);
  } else if (index === 0n || (subnet.family === 4 && index === size - 1n)) {
    refuse(`is the ${index === 0n ? 'first' : 'last'} address of ${shown}, which is no host's`, `another of ${shown}`);
  }
}

function refuseClashes(context: Context, all: readonly NetworkAttachment[]): void {
  for (const [index, one] of all.entries()) {
    for (const other of all.slice(0, index)) {
      const at = context.paths.where(other.specPath);
      const line = at === undefined ? '' : ` of line ${context.problems.position(at).line}`;
      if ((one.hostName ?? `@${one.name}`) === (other.hostName ?? `@${other.name}`)) {
        const message = `\`${one.specPath}\` is the network that \`${other.specPath}\`${line} is already`;
        addProblem(context, one.specPath, 'E_SPEC_CONFLICT', message, { hint: 'name it once' });
      }
      for (const { subnet, specPath } of one.subnets) {
        if (!other.subnets.some((its) => overlapsSubnet(its.subnet, subnet))) continue;
        const message = `${clip(formatSubnet(subnet))} overlaps a subnet of \`${other.specPath}\`${line}`;
        addProblem(context, `${specPath}.subnet`, 'E_SPEC_CONFLICT', message, { hint: 'give each network its own' });
      }
    }
  }
}
