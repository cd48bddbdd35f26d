/** Hosts as references write them. */
import { subnetOf, type Subnet } from '../text/addresses.ts';
import { specialKind } from '../text/special-addresses.ts';

const HOST = /^(?:(?<name>[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?\.?)|\[(?<ipv6>[0-9a-f:.]+)\])(?::(?<port>\d{1,5}))?$/iu;

/** Whether the text is a host and perhaps a port, and nothing else of an address: it becomes part of one. */
export const isHost = (text: string): boolean => HOST.test(text);

const addressOf = (host: string): Subnet | undefined => {
  const { name, ipv6 } = HOST.exec(host)?.groups ?? {};
  return subnetOf(ipv6 ?? name ?? '');
};

/**
 * Whether a host, with or without a port, is this machine itself: `localhost`, 127.0.0.0/8, `[::1]`. What is sent there
 * cannot be read on the way, so it may be sent without TLS.
 */
export function isLoopback(host: string): boolean {
  if (/^localhost(?::\d+)?$/iu.test(host)) return true;
  const address = addressOf(host);
  return address !== undefined && specialKind(address) === 'loopback';
}

/** Whether it is this machine, or an address that only this machine can mean: link-local, as of the metadata of a cloud. */
export function isLocal(host: string): boolean {
  const address = addressOf(host);
  return isLoopback(host) || (address !== undefined && specialKind(address) !== undefined);
}
