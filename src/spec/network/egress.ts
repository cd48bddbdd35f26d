/** `egress`: the addresses, host names and ports that the container may reach. */
import type { ContainerFile } from '../../generated/container.ts';
import { formatSubnet, parseAddress, parseSubnet, subnetOf, type Subnet } from '../../text/addresses.ts';
import { specialKind } from '../../text/special-addresses.ts';
import { clip, each, addProblem, type Context } from '../context.ts';
import { didYouMean } from '../suggest.ts';
import type { EgressTarget } from './network.ts';
import { addressAt, isHostName, portsAt, splitProtocol } from './values.ts';

/** Each entry is a rule of the container's table. More of them would make the start slow. */
const MOST_TARGETS = 500;

/** Undefined: the key is absent. Empty (`none`): the container reaches nothing. */
export function normaliseEgress(context: Context, raw: ContainerFile['egress']): readonly EgressTarget[] | undefined {
  if (raw === undefined) return undefined;
  if (typeof raw === 'string') {
    if (raw === 'none') return [];
    addProblem(context, 'egress', 'E_SPEC_EGRESS', `\`egress\` must be none or a list; found "${clip(raw)}"`, {
      hint:
        raw === 'all' || raw === '*' ? 'leave it out where all may be reached' : `write \`egress: ["${clip(raw)}"]\``,
    });
    return undefined;
  }
  if (raw.length > MOST_TARGETS) {
    addProblem(context, 'egress', 'E_SPEC_RANGE', `\`egress\` has more than ${MOST_TARGETS} entries`, {
      hint: 'join neighbouring addresses to subnets',
    });
    return undefined;
  }
  const items = each(context, raw, 'egress');
  const none = items.find(([text]) => text === 'none');
  if (none !== undefined) {
    if (raw.length > 1) {
      const message = '`none` says that nothing is reached, and stands beside others';
      addProblem(context, none[1], 'E_SPEC_CONFLICT', message, { hint: 'take it out, or the others' });
    }
    return [];
  }
  return items.flatMap(([text, path]) => targetOf(context, text, path) ?? []);
}

const FORM =
  'TARGET[:PORT[-PORT]][/PROTOCOL], such as "example.com:443", "10.0.0.0/8", "*:53/udp" or "[2001:db8::7]:443"';

interface Parts {
  readonly target: string;
  readonly ports: string | undefined;
}

/** IPv6 before a port is in brackets: `[fd00::/8]:443` or `[fd00::]/8:443`. */
function partsOf(text: string): Parts | undefined {
  const bracketed = /^\[([^\]]*)\](\/\d+)?(?::(.*))?$/su.exec(text);
  if (bracketed !== null) return { target: `${bracketed[1] ?? ''}${bracketed[2] ?? ''}`, ports: bracketed[3] };
  const subnet = /^([^/]*\/\d+)(?::(.*))?$/su.exec(text);
  if (subnet !== null) return { target: subnet[1] ?? '', ports: subnet[2] };
  if (parseAddress(text) !== undefined) return { target: text, ports: undefined };
  const plain = /^([^:/[\]]*)(?::([^:]*))?$/su.exec(text);
  return plain === null ? undefined : { target: plain[1] ?? '', ports: plain[2] };
}

function targetOf(context: Context, text: string, specPath: EgressTarget['specPath']): EgressTarget | undefined {
  const url = /^[a-z][a-z0-9+.-]*:\/\/([^/:]*)(?::(\d+))?/iu.exec(text);
  if (url !== null) {
    const port = url[2] ?? (/^https:/iu.test(text) ? '443' : /^http:/iu.test(text) ? '80' : 'PORT');
    addProblem(context, specPath, 'E_SPEC_EGRESS', `"${clip(text)}" is a URL, and packets have none`, {
      hint: `write the host and its port: "${clip(`${url[1] ?? ''}:${port}`)}"`,
    });
    return undefined;
  }
  const split = splitProtocol(context, text, specPath);
  if (split === undefined) return undefined;
  const parts = partsOf(split.rest);
  if (parts === undefined) {
    const isIpv6 = /^[0-9a-f:.]+$/iu.test(split.rest);
    addProblem(context, specPath, 'E_SPEC_EGRESS', `"${clip(text)}" is not what can be reached`, {
      hint: isIpv6 ? 'an IPv6 address before a port is in brackets: "[2001:db8::7]:443"' : `write ${FORM}`,
    });
    return undefined;
  }
  const ports = parts.ports === undefined ? undefined : portsAt(context, parts.ports, specPath, 1);
  if (parts.ports !== undefined && ports === undefined) return undefined;
  const to = toOf(context, parts.target, specPath);
  if (to === undefined) return undefined;
  const protocol = split.protocol ?? (ports === undefined ? undefined : 'tcp');
  return { to, ...(ports === undefined ? {} : { ports }), ...(protocol === undefined ? {} : { protocol }), specPath };
}

function toOf(context: Context, text: string, path: string): EgressTarget['to'] | undefined {
  if (text === '*') return { kind: 'any' };
  if (text === 'host-gateway') return { kind: 'host' };
  if (text.includes('/')) return subnetAt(context, text, path);
  if (/^[\d.]+$/u.test(text) || text.includes(':')) {
    const found = addressAt(context, text, path);
    const subnet = found === undefined ? undefined : subnetOf(found.text);
    return subnet === undefined ? undefined : checked(context, subnet, text, path);
  }
  const refuse = (message: string, hint: string): undefined =>
    addProblem(context, path, 'E_SPEC_EGRESS', message, { hint });
  if (text === '') return refuse('a target is missing before the port', `write ${FORM}`);
  if (text === 'localhost' || text.endsWith('.localhost')) {
    return refuse(
      `"${clip(text)}" is the container itself`,
      'this host is `host-gateway`, with the port: "host-gateway:5432"',
    );
  }
  if (text.includes('*')) {
    return refuse(
      `"${clip(text)}" has a wildcard, and packets have addresses alone`,
      'names are looked up once, before the start: list each of them',
    );
  }
  if (isHostName(text)) {
    // A misspelt `host-gateway` would be looked up as a host name.
    const meant = text.includes('.') ? undefined : didYouMean(text, ['host-gateway']);
    if (meant !== undefined) return refuse(`"${clip(text)}" is no host`, `did you mean \`${meant}\`?`);
    return { kind: 'name', name: text.replace(/\.$/u, '').toLowerCase() };
  }
  return refuse(`"${clip(text)}" is neither an address nor a host name`, `write ${FORM}`);
}

function subnetAt(context: Context, text: string, path: string): EgressTarget['to'] | undefined {
  const parsed = parseSubnet(text);
  if (parsed === undefined) {
    addProblem(context, path, 'E_SPEC_ADDRESS', `"${clip(text)}" is not a subnet`, {
      hint: 'an address and the length of what all have in common: 10.0.0.0/8, or fd00::/8',
    });
    return undefined;
  }
  if (!parsed.isExact) {
    addProblem(context, path, 'E_SPEC_ADDRESS', `"${clip(text)}" is an address within a subnet, and not the subnet`, {
      hint: `write ${clip(formatSubnet(parsed.subnet))} for all of it`,
    });
    return undefined;
  }
  return checked(context, parsed.subnet, text, path);
}

/** Refuses subnets that no packet of a container can reach. Link-local ones can be reached where a file names them. */
function checked(context: Context, subnet: Subnet, text: string, path: string): EgressTarget['to'] | undefined {
  const kind = specialKind(subnet);
  if (kind === undefined || kind === 'link-local') return { kind: 'subnet', subnet };
  const [what, hint] = OUT_OF_REACH[kind];
  addProblem(context, path, 'E_SPEC_EGRESS', `"${clip(text)}" is ${what}`, { hint });
  return undefined;
}

const OUT_OF_REACH = {
  loopback: ['the container itself', 'this host is `host-gateway`, with the port: "host-gateway:5432"'],
  multicast: ['for many, and a container reaches single hosts', 'name the hosts'],
  unspecified: ['no address of a host', 'all of IPv4 is 0.0.0.0/0, all of IPv6 is ::/0, and all of both is `*`'],
  mapped: ['an IPv4 address in the form of IPv6', 'write the IPv4 address itself'],
} as const;
