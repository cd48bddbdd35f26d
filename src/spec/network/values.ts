/** Parses addresses, host names, ports and protocols for several keys of the network. */
import { formatAddress, parseAddress, subnetOf, type Address } from '../../text/addresses.ts';
import { specialKind } from '../../text/special-addresses.ts';
import { clip, addProblem, type Context } from '../context.ts';
import type { PortRange, Protocol } from './network.ts';

export const LAST_PORT = 65_535;

/**
 * An address as the kernel writes it; undefined for a wrong one, which is reported at `path`. `what` is the noun of the
 * message; the hint shows an address of `family`, or of both.
 */
export function addressAt(
  context: Context,
  text: string,
  path: string,
  what = 'an address',
  family?: Address['family'],
): { readonly text: string; readonly family: Address['family'] } | undefined {
  const bare = /^\[.*\]$/u.test(text) ? text.slice(1, -1) : text;
  const parsed = parseAddress(bare);
  if (parsed === undefined) {
    addProblem(context, path, 'E_SPEC_ADDRESS', `"${clip(text)}" is not ${what}`, { hint: hintFor(bare, family) });
    return undefined;
  }
  const formatted = formatAddress(parsed);
  const subnet = subnetOf(formatted);
  if (subnet !== undefined && specialKind(subnet) === 'mapped') {
    addProblem(context, path, 'E_SPEC_ADDRESS', `"${clip(text)}" is an IPv4 address in the form of IPv6`, {
      hint: 'write the IPv4 address itself',
    });
    return undefined;
  }
  return { text: formatted, family: parsed.family };
}

function hintFor(text: string, family: Address['family'] | undefined): string {
  if (text.includes('%')) return 'an address with a zone cannot be used here';
  if (/(?:^|\.)0\d/u.test(text)) return 'a number that begins with a zero could be meant as octal';
  if (text === 'localhost') return 'write 127.0.0.1, or ::1';
  if (family === 6) return 'such as 2001:db8::7';
  return `four numbers from 0 to 255, such as 192.0.2.7${family === 4 ? '' : ', or IPv6, such as 2001:db8::7'}`;
}

const LABEL = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/u;

/** hostname(7), and `_`. The last label may not be a number: the name could be taken for an address. */
export function isHostName(text: string): boolean {
  const labels = (text.endsWith('.') ? text.slice(0, -1) : text).split('.');
  return text.length <= 253 && labels.every((label) => LABEL.test(label)) && !/^\d+$/u.test(labels.at(-1) ?? '');
}

/** Parses `80` or `8000-8010`; undefined for something else, which is reported at `path`. */
export function portsAt(context: Context, text: string, path: string, least: 0 | 1): PortRange | undefined {
  const match = /^(0|[1-9]\d*)(?:-(0|[1-9]\d*))?$/u.exec(text);
  if (match === null) {
    const hint = 'a port is a number from 1 to 65535; a range is FIRST-LAST';
    addProblem(context, path, 'E_SPEC_PORT', text === '' ? 'a port is missing' : `"${clip(text)}" is not a port`, {
      hint,
    });
    return undefined;
  }
  const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])];
  if (last < first) {
    addProblem(context, path, 'E_SPEC_PORT', `the range "${clip(text)}" ends before it begins`, {
      hint: `write ${clip(`${last}-${first}`)}`,
    });
    return undefined;
  }
  // A range may not begin with 0: it would begin with "any free port".
  if (last > LAST_PORT || first < (match[2] === undefined ? least : 1)) {
    const from = match[2] === undefined ? least : 1;
    addProblem(context, path, 'E_SPEC_PORT', `ports are numbers from ${from} to ${LAST_PORT}; found "${clip(text)}"`);
    return undefined;
  }
  return { first, last };
}

/** Splits off `/tcp` or `/udp`; undefined for another protocol, which is reported. */
export function splitProtocol(
  context: Context,
  text: string,
  path: string,
): { readonly rest: string; readonly protocol: Protocol | undefined } | undefined {
  const match = /^(.*)\/([A-Za-z][\w-]*|)$/su.exec(text);
  if (match === null) return { rest: text, protocol: undefined };
  const word = (match[2] ?? '').toLowerCase();
  if (word === 'tcp' || word === 'udp') return { rest: match[1] ?? '', protocol: word };
  const message = word === '' ? 'a protocol is missing after `/`' : `"${clip(match[2] ?? '')}" is not a protocol`;
  addProblem(context, path, 'E_SPEC_PORT', message, { hint: 'it is `tcp` or `udp`' });
  return undefined;
}
