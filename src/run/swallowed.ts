/** Connections of a container that a firewall of the host has dropped, in words. */
import { admission, type Firewall } from '../host/firewall.ts';
import type { Because } from '../model/because.ts';
import type { Network } from '../model/network.ts';
import type { Subnet } from '../text/addresses.ts';

export interface Swallowed {
  /** Packets that began a connection. One that is sent again counts again. */
  readonly packets: number;
  /** One sentence without full stop. */
  readonly message: string;
  /** Commands that let the container's packets through. */
  readonly hint: string;
  readonly because: Because;
}

/** The ranges from which containers of this network send, and to which they are answered. */
function rangesOf({ pool, networks }: Network): readonly Subnet[] {
  const subnets = networks.flatMap(({ subnet4, subnet6 }) => [subnet4, subnet6]);
  return [pool.ipv4, pool.ipv6, ...subnets.filter((subnet) => subnet !== undefined)];
}

export function describeSwallowed(
  packets: number,
  network: Network,
  because: Because,
  firewalls: readonly Firewall[],
): Swallowed {
  const ranges = rangesOf(network);
  const found = firewalls.flatMap(({ name, ...rest }) => {
    const commands = admission({ name, ...rest }, ranges);
    return commands === undefined ? [] : [{ name, commands }];
  });
  const what = packets === 1 ? 'a packet' : `${packets} packets`;
  const whom = found.length === 0 ? 'rules of the host' : found.map(({ name }) => name).join(' and ');
  const message = `${what} with which connections of the container begin ${packets === 1 ? 'was' : 'were'} dropped on the way through this host, by ${whom}`;
  const hint =
    found.length === 0
      ? '`nft list ruleset` and `iptables-save` show the rules for forwarded packets: let those of boxctl’s addresses through'
      : `to let the addresses of containers through: ${found.map(({ commands }) => commands).join(' && ')}`;
  return { packets, message, hint, because };
}
