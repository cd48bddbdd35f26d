/** `ports`: expands the short and the long form and ranges, and refuses two entries for the same port of the host. */
import type { ContainerFile } from '../../generated/container.ts';
import { specialKind } from '../../text/special-addresses.ts';
import { subnetOf } from '../../text/addresses.ts';
import { clip, each, addProblem, type Context } from '../context.ts';
import type { PortRange, Protocol, PublishedPort } from './network.ts';
import { addressAt, portsAt, splitProtocol } from './values.ts';

type Item = NonNullable<ContainerFile['ports']>[number];
type PortPath = PublishedPort['specPath'];
type LongForm = Exclude<Item, string | number>;

/** The launcher has up to two sockets for each, one for IPv4 and one for IPv6. */
const MOST_PORTS = 1024;

interface Mapping {
  readonly host: PortRange | 'free';
  readonly inside: PortRange;
  readonly hostAddress: string | undefined;
  readonly protocol: Protocol;
}

export function normalisePorts(context: Context, raw: ContainerFile['ports']): readonly PublishedPort[] {
  const all: PublishedPort[] = [];
  for (const [item, path] of each(context, raw ?? [], 'ports')) {
    const mapping = typeof item === 'object' ? longForm(context, item, path) : shortForm(context, String(item), path);
    if (mapping === undefined) continue;
    const ports = expand(mapping, path);
    if (all.length + ports.length > MOST_PORTS) {
      addProblem(context, path, 'E_SPEC_PORT', `more than ${MOST_PORTS} ports are published`, {
        hint: 'each port of a range is a listening socket of its own: publish those that are needed',
      });
      break;
    }
    all.push(...ports);
  }
  refuseClashes(context, all);
  return all;
}

const FORM = 'write HOST:CONTAINER, such as "8080:80", or ADDRESS:HOST:CONTAINER, such as "127.0.0.1:8080:80"';

/** Reads the text from its end, since an IPv6 address without brackets may be at its beginning. */
function shortForm(context: Context, text: string, path: PortPath): Mapping | undefined {
  const split = splitProtocol(context, text, path);
  if (split === undefined) return undefined;
  const { rest, protocol = 'tcp' } = split;
  const [, around, target = ''] = /^(?:(.*):)?([^:]*)$/su.exec(rest) ?? [];
  const inside = portsAt(context, target, path, 1);
  if (inside === undefined) return undefined;
  if (around === undefined) return { host: 'free', inside, hostAddress: undefined, protocol };
  const [, address, published = ''] = /^(?:(.*):)?([^:\]]*)$/su.exec(around) ?? [undefined, undefined, around];
  if (address === undefined && published === '') {
    addProblem(context, path, 'E_SPEC_PORT', `\`${path}\` has no port before the colon; found "${clip(text)}"`, {
      hint: `for one that is free, write "0:${clip(target)}"`,
    });
    return undefined;
  }
  const whole = around.replace(/^\[(.*)\]$/u, '$1');
  if (subnetOf(whole) !== undefined && (address === undefined || subnetOf(address) === undefined)) {
    const shown = whole.includes(':') ? `[${whole}]` : whole;
    addProblem(context, path, 'E_SPEC_PORT', `\`${path}\` has no port of the host; found "${clip(text)}"`, {
      hint: `with one that is free, "${clip(`${shown}::${target}`)}"`,
    });
    return undefined;
  }
  if (address === '' || /^\d+$/u.test(address ?? '')) {
    addProblem(context, path, 'E_SPEC_PORT', `\`${path}\` has no address before the ports; found "${clip(text)}"`, {
      hint: FORM,
    });
    return undefined;
  }
  const hostAddress = address === undefined ? undefined : hostAddressAt(context, address, path);
  const host = published === '' ? 'free' : hostPortsAt(context, published, path);
  if (host === undefined || (address !== undefined && hostAddress === undefined)) return undefined;
  return paired(context, { host, inside, hostAddress, protocol }, path);
}

function longForm(context: Context, item: LongForm, path: PortPath): Mapping | undefined {
  const { target, published, host_ip: address, protocol = 'tcp' } = item;
  // Values with a problem were taken out of the map, so they look absent here.
  if (['published', 'host_ip', 'protocol', 'target'].some((key) => context.bad.has(`${path}.${key}`))) return undefined;
  const hostAddress = address === undefined ? undefined : hostAddressAt(context, address, `${path}.host_ip`);
  const host = published === undefined ? 'free' : hostPortsAt(context, String(published), `${path}.published`);
  if (host === undefined || (address !== undefined && hostAddress === undefined)) return undefined;
  const inside = { first: target, last: target };
  return paired(context, { host, inside, hostAddress, protocol }, path);
}

function hostPortsAt(context: Context, text: string, path: string): PortRange | 'free' | undefined {
  const range = portsAt(context, text, path, 0);
  return range?.last === 0 ? 'free' : range;
}

/** An address on which a socket of the host can listen; undefined for another, which is reported. */
function hostAddressAt(context: Context, text: string, path: string): string | undefined {
  const found = addressAt(context, text, path, 'an address of this host');
  const subnet = found === undefined ? undefined : subnetOf(found.text);
  if (found === undefined || subnet === undefined) return undefined;
  const kind = specialKind(subnet);
  const isAll = found.text === '0.0.0.0' || found.text === '::';
  if (isAll || kind === undefined || kind === 'loopback' || (kind === 'link-local' && found.family === 4)) {
    return found.text;
  }
  const why =
    kind === 'link-local' ? 'is link-local, and means nothing without its interface' : `is ${NOT_AN_OWN[kind]}`;
  addProblem(context, path, 'E_SPEC_ADDRESS', `nothing can listen at "${clip(text)}": it ${why}`, {
    hint: 'give an address of this host, or leave it out for all of them',
  });
  return undefined;
}

const NOT_AN_OWN = { unspecified: 'no address of a host', multicast: 'a multicast address', mapped: 'IPv4' } as const;

const lengthOf = ({ first, last }: PortRange): number => last - first + 1;

function paired(context: Context, mapping: Mapping, path: PortPath): Mapping | undefined {
  const { host, inside } = mapping;
  if (host === 'free' || lengthOf(host) === lengthOf(inside)) return mapping;
  const [outer, inner] = [lengthOf(host), lengthOf(inside)];
  const count = (n: number): string => `${n} port${n === 1 ? '' : 's'}`;
  addProblem(context, path, 'E_SPEC_PORT', `\`${path}\` has ${count(outer)} of the host for ${count(inner)} inside`, {
    hint:
      inner === 1
        ? 'for a port that is free, leave the port of the host out, or write 0'
        : 'a range is as long on both sides: "9000-9010:8000-8010"',
  });
  return undefined;
}

function expand({ host, inside, hostAddress, protocol }: Mapping, specPath: PortPath): readonly PublishedPort[] {
  return Array.from({ length: Math.min(lengthOf(inside), MOST_PORTS + 1) }, (_, index) => ({
    protocol,
    ...(hostAddress === undefined ? {} : { hostAddress }),
    hostPort: host === 'free' ? 0 : host.first + index,
    port: inside.first + index,
    specPath,
  }));
}

/** The addresses of the host that a port is bound to; `*` is every address of the family. */
function boundTo({ hostAddress }: PublishedPort): readonly (readonly [family: 4 | 6, address: string])[] {
  if (hostAddress === undefined)
    return [
      [4, '*'],
      [6, '*'],
    ];
  const family = hostAddress.includes(':') ? 6 : 4;
  return [[family, hostAddress === '0.0.0.0' || hostAddress === '::' ? '*' : hostAddress]];
}

function overlap(a: PublishedPort, b: PublishedPort): boolean {
  return boundTo(a).some(([family, address]) =>
    boundTo(b).some(([other, its]) => family === other && (address === its || address === '*' || its === '*')),
  );
}

function refuseClashes(context: Context, ports: readonly PublishedPort[]): void {
  const seen = new Map<string, PublishedPort[]>();
  for (const port of ports) {
    if (port.hostPort === 0) continue;
    const key = `${port.protocol} ${port.hostPort}`;
    const others = seen.get(key) ?? [];
    const other = others.find((one) => overlap(one, port));
    seen.set(key, [...others, port]);
    if (other === undefined) continue;
    const at = context.paths.where(other.specPath);
    const line = at === undefined ? '' : ` of line ${context.problems.position(at).line}`;
    const where = port.hostAddress === undefined ? '' : ` on ${clip(port.hostAddress)}`;
    const message = `\`${port.specPath}\` wants ${port.protocol} port ${clip(port.hostPort)} of the host${where}, as \`${other.specPath}\`${line} does already`;
    addProblem(context, port.specPath, 'E_SPEC_PORT', message, {
      hint: 'one port of the host leads to one port inside',
    });
  }
}

/** `expose` has no effect. Its items must be valid ports all the same. */
export function checkExpose(context: Context, raw: ContainerFile['expose']): void {
  for (const [item, path] of each(context, raw ?? [], 'expose')) {
    const split = splitProtocol(context, String(item), path);
    if (split !== undefined) portsAt(context, split.rest, path, 1);
  }
}
