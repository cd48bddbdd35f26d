/** Writes entries of `egress` in one form, and compares entries of `egress` and `ports` with what was permitted. */
import { containsSubnet, formatSubnet, parseSubnet, subnetOf, widthOf, type Subnet } from '../../text/addresses.ts';
import type { EgressTarget, PortRange } from './network.ts';

const portsText = ({ first, last }: PortRange): string => (first === last ? `${first}` : `${first}-${last}`);

/** A subnet of one address is written as the address. */
function subnetText(subnet: Subnet): string {
  return subnet.prefix === widthOf(subnet.family) ? subnet.address : formatSubnet(subnet);
}

function targetText(to: EgressTarget['to'], hasPorts: boolean): string {
  if (to.kind === 'any') return '*';
  if (to.kind === 'host') return 'host-gateway';
  if (to.kind === 'name') return to.name;
  const text = subnetText(to.subnet);
  return to.subnet.family === 6 && hasPorts ? `[${text}]` : text;
}

/** `example.com:443`, `10.0.0.0/8`, `*:53/udp`. With a port, `tcp` is not written. */
export function formatTarget({ to, ports, protocol }: Omit<EgressTarget, 'specPath'>): string {
  const shown = protocol === undefined || (protocol === 'tcp' && ports !== undefined) ? '' : `/${protocol}`;
  return `${targetText(to, ports !== undefined)}${ports === undefined ? '' : `:${portsText(ports)}`}${shown}`;
}

interface Pattern {
  readonly target: string;
  readonly ports: PortRange;
  /** Undefined: all protocols. */
  readonly protocol: string | undefined;
}

const ALL_PORTS: PortRange = { first: 0, last: 65_535 };

function patternOf(text: string): Pattern {
  const [, rest = text, protocol] = /^(.*?)(?:\/(tcp|udp))?$/su.exec(text) ?? [];
  const [, around = rest, port, last = port] =
    /^(\[.*\](?:\/\d+)?|[^:[]*):(\d{1,5})(?:-(\d{1,5}))?$/su.exec(rest) ?? ([] as readonly (string | undefined)[]);
  const target = around.replace(/^\[(.*)\]((?:\/\d+)?)$/su, '$1$2').toLowerCase();
  if (port === undefined) return { target, ports: ALL_PORTS, protocol };
  return { target, ports: { first: Number(port), last: Number(last) }, protocol: protocol ?? 'tcp' };
}

const subnetIn = (text: string): Subnet | undefined => parseSubnet(text)?.subnet ?? subnetOf(text);

function coversTarget(one: string, other: string): boolean {
  if (one === '*' || one === other) return true;
  const [outer, inner] = [subnetIn(one), subnetIn(other)];
  return outer !== undefined && inner !== undefined && containsSubnet(outer, inner);
}

const coversPorts = (one: PortRange, other: PortRange): boolean => one.first <= other.first && other.last <= one.last;

/** Whether `given` allows all that `wanted` allows. Both are written by `formatTarget`. */
export function coversEgress(given: string, wanted: string): boolean {
  const [one, other] = [patternOf(given), patternOf(wanted)];
  if (one.protocol !== undefined && one.protocol !== other.protocol) return false;
  return coversPorts(one.ports, other.ports) && coversTarget(one.target, other.target);
}

/**
 * Whether `given` allows all that `wanted` publishes: `8080`, `127.0.0.1:8080`, `[::1]:8000-8010/udp`. No address means
 * every address, and no protocol means `tcp`.
 */
export function coversPort(given: string, wanted: string): boolean {
  const parse = (text: string): Pattern => patternOf(/^\d/u.test(text) && !text.includes(':') ? `*:${text}` : text);
  const [one, other] = [parse(given), parse(wanted)];
  if (one.protocol !== undefined && one.protocol !== other.protocol) return false;
  return coversPorts(one.ports, other.ports) && (one.target === '*' || one.target === other.target);
}
