/** Hosts as references write them. */
import { subnetOf } from '../text/addresses.ts';
import { specialKind } from '../text/special-addresses.ts';

const HOST = /^(?:(?<name>[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?\.?)|\[(?<ipv6>[0-9a-f:.]+)\])(?::(?<port>\d{1,5}))?$/iu;

/** Whether the text is a host and perhaps a port, and nothing else of an address: it becomes part of one. */
export const isHost = (text: string): boolean => HOST.test(text);

/**
 * Whether a host, with or without a port, is this machine itself: `localhost`, 127.0.0.0/8, `[::1]`. What is sent there
 * cannot be read on the way, so it may be sent without TLS.
 */
export function isLoopback(host: string): boolean {
  const { name, ipv6 } = HOST.exec(host)?.groups ?? {};
  if (name?.toLowerCase() === 'localhost') return true;
  const subnet = subnetOf(ipv6 ?? name ?? '');
  return subnet !== undefined && specialKind(subnet) === 'loopback';
}
