/** The part of the model for the container's network. OCI's configuration has no field for it but the namespace. */
import type { PortRange, Protocol, PublishedPort } from '../spec/network/network.ts';
import type { Subnet } from '../text/addresses.ts';

export type { PortRange, Protocol } from '../spec/network/network.ts';
export type { Subnet } from '../text/addresses.ts';

/** What carries the packets: the kernel, or a program of the user. */
export type NetworkDriver = 'veth' | 'pasta' | 'slirp4netns';

/**
 * The paths for `because`: `network`, `network.egress`, `network.dns`, `network.mac`, `network.rates.egress`,
 * `network.rates.ingress`, and for each item of a list `network.ports.0`, `network.networks.0`, `network.egress.0`.
 */
export interface Network {
  readonly driver: NetworkDriver;
  /** The container's number on the host, from 1 to 4095; 1 where a program carries the packets. */
  readonly index: number;
  /** The hardware address of the container's end, in lower case with colons. */
  readonly mac: string;
  /** The container's own address: the pool's first plus `index`. Undefined: the container has no address of the family. */
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  /** The subnets of all containers' own addresses. */
  readonly pool: { readonly ipv4: Subnet; readonly ipv6: Subnet };
  /** The first address of the pool: the container's default gateway, and the address by which it reaches the host. */
  readonly gateway: { readonly ipv4: string; readonly ipv6: string };
  readonly networks: readonly JoinedNetwork[];
  /** False: all its networks are internal, and none of its packets leaves the host. */
  readonly toWorld: boolean;
  readonly ports: readonly PublishedPort[];
  /** Undefined: everything except the host, link-local addresses and other containers. Empty: nothing. */
  readonly egress: readonly EgressRule[] | undefined;
  /** Whether some rule of `egress` allows the host or link-local addresses, which are refused otherwise. */
  readonly reaches: { readonly host: boolean; readonly linkLocal: boolean };
  readonly dns: Dns;
  /** Lines of /etc/hosts: the names of `egress`. */
  readonly hosts: readonly HostLine[];
  /** Limits in bits per second. `egress`: what the container sends. `ingress`: what it receives. */
  readonly rates: { readonly egress?: number; readonly ingress?: number };
}

export interface HostLine {
  readonly address: string;
  readonly names: readonly string[];
}

/** A network that the container shares with others. */
export interface JoinedNetwork {
  /** Unique on the host. */
  readonly id: string;
  /** The file's name for it. */
  readonly name: string;
  readonly subnet4?: Subnet;
  readonly subnet6?: Subnet;
  /** The container's own address in it. */
  readonly address4?: string;
  readonly address6?: string;
  readonly internal: boolean;
  /** By which others on it find the container: its name, its host name and its aliases, without repetitions. */
  readonly names: readonly string[];
  /** Where those stand, in the folder of the network's state. */
  readonly folder: string;
}

/** Allows packets to one of the addresses and one of the ports, by the protocol. */
export interface EgressRule {
  /**
   * `any`: all except the host's, link-local ones and those of other containers. `host`: the container's gateway. An empty
   * list allows nothing.
   */
  readonly addresses: readonly Subnet[] | 'any' | 'host';
  /** Undefined: all ports. */
  readonly ports?: PortRange;
  /** Undefined: TCP, UDP and, if `ports` is undefined too, all other protocols. */
  readonly protocol?: Protocol;
  /** The host name that the addresses were looked up for. */
  readonly name?: string;
}

export interface Dns {
  /** The name servers of the container's /etc/resolv.conf, at most three. */
  readonly servers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
  /**
   * For the host's name servers that the container cannot reach: those on loopback, an address of the host, or a link-local
   * one. The launcher listens on `at`, port 53, UDP and TCP, in the container's network namespace, and relays to `to`.
   */
  readonly relays: readonly DnsRelay[];
}

export interface DnsRelay {
  /** An address of the container's loopback interface. */
  readonly at: string;
  /** The address of the host's name server, which listens on port 53. */
  readonly to: string;
}
