/** The container's network as the planner receives it; OCI has no word for it beyond the namespace. */
import type { PortRange, Protocol, PublishedPort } from '../spec/network/network.ts';
import type { Subnet } from '../text/addresses.ts';

export type { PortRange, Protocol } from '../spec/network/network.ts';
export type { Subnet } from '../text/addresses.ts';

/** Who carries the packets: the kernel, or a program of the user's. */
export type NetworkDriver = 'veth' | 'pasta' | 'slirp4netns';

/**
 * Who asked for its parts: `because('network')`, and of lists each item by its index: `network.ports.0`, `network.networks.0`,
 * `network.egress.0`; `network.egress`, `network.dns`, `network.mac`, `network.rates.egress`, `network.rates.ingress`.
 */
export interface Network {
  readonly driver: NetworkDriver;
  /** Of the claim, from 1 to 4095; 1 where a program carries the packets. */
  readonly index: number;
  /** Of the container's end, in lower case with colons. */
  readonly mac: string;
  /** The container's own in the pool, which is `index` places after its first. Undefined: the family is not to be had. */
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  /** All addresses of containers. */
  readonly pool: { readonly ipv4: Subnet; readonly ipv6: Subnet };
  /** The way out as the container sees it, and the host's own address for it: the first address of the pool. */
  readonly gateway: { readonly ipv4: string; readonly ipv6: string };
  readonly networks: readonly JoinedNetwork[];
  /** False: it is on internal networks alone, and none of its packets leaves the host. */
  readonly toWorld: boolean;
  readonly ports: readonly PublishedPort[];
  /** Undefined: anywhere but the host, link-local addresses and other containers. Empty: nowhere. */
  readonly egress: readonly EgressRule[] | undefined;
  /** What is refused otherwise, and some rule of `egress` names. */
  readonly reaches: { readonly host: boolean; readonly linkLocal: boolean };
  readonly dns: Dns;
  /** Lines of /etc/hosts: the names of `egress`, then the containers on the same networks. */
  readonly hosts: readonly HostLine[];
  /** Bits per second of what the container sends, and of what it receives. */
  readonly rates: { readonly egress?: number; readonly ingress?: number };
}

export interface HostLine {
  readonly address: string;
  readonly names: readonly string[];
}

/** A network that the container shares with others. */
export interface JoinedNetwork {
  /** On the host: no two networks have the same. */
  readonly id: string;
  /** As the file calls it. */
  readonly name: string;
  readonly subnet4?: Subnet;
  readonly subnet6?: Subnet;
  /** The container's own in it. */
  readonly address4?: string;
  readonly address6?: string;
  readonly internal: boolean;
  readonly aliases: readonly string[];
}

/** Packets that may leave: those to one of the addresses, one of the ports, by the protocol. */
export interface EgressRule {
  /**
   * `any`: all but the host's, link-local ones and those of other containers. `host`: the container's gateway. A list may be
   * empty: then nothing fits.
   */
  readonly addresses: readonly Subnet[] | 'any' | 'host';
  /** Undefined: all, and all other messages of the protocol. */
  readonly ports?: PortRange;
  /** Undefined: all that there are. */
  readonly protocol?: Protocol;
  /** What the addresses were looked up for. */
  readonly name?: string;
}

export interface Dns {
  /** The name servers of the container's /etc/resolv.conf, at most three. */
  readonly servers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
  /**
   * Name servers of the host that the container cannot reach, since they are on loopback, on an address of the host, or
   * link-local: the launcher listens at `at`, port 53, UDP and TCP, in the container's network namespace, and passes on to `to`.
   */
  readonly relays: readonly DnsRelay[];
}

export interface DnsRelay {
  /** On the container's loopback interface. */
  readonly at: string;
  /** Of the host, where it is asked at port 53. */
  readonly to: string;
}
