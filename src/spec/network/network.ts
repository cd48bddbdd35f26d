/** What a file says of the container's network, with every short form expanded. */
import type { SpecPath } from '../spec-path.ts';
import type { Subnet } from '../../text/addresses.ts';

export type Protocol = 'tcp' | 'udp';

/** Both ends included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** One port of the container that can be reached on the host. Ranges are expanded. */
export interface PublishedPort {
  readonly protocol: Protocol;
  /** An address of the host; `0.0.0.0` is all of IPv4, `::` all of IPv6. Absent: all of both. */
  readonly hostAddress?: string;
  /** 0: one that is free. */
  readonly hostPort: number;
  /** Inside. */
  readonly port: number;
  readonly specPath: `ports.${number}`;
}

/** A part of what the container may reach. */
export interface EgressTarget {
  readonly to:
    /** Every address but those of the host, link-local ones and those of other containers. */
    | { readonly kind: 'any' }
    /** The host itself, by the address of the container's gateway. */
    | { readonly kind: 'host' }
    | { readonly kind: 'subnet'; readonly subnet: Subnet }
    /** Looked up once, before the start. */
    | { readonly kind: 'name'; readonly name: string };
  /** Absent: all of them. */
  readonly ports?: PortRange;
  /** Absent: all of them. */
  readonly protocol?: Protocol;
  readonly specPath: `egress.${number}`;
}

/** A range of addresses that a file chooses for a network. */
export interface NetworkSubnet {
  readonly subnet: Subnet;
  /** No container is given it. */
  readonly gateway?: string;
  readonly specPath: `networks.${string}.ipam.config.${number}`;
}

/** A network that the container shares with others. */
export interface NetworkAttachment {
  /** As the file calls it. */
  readonly name: string;
  /** Its name on the host, where files of other folders find it. Absent: it belongs to the file's folder. */
  readonly hostName?: string;
  /** Others say what it is like: this file does not. */
  readonly external: boolean;
  /** It has no way to the world. */
  readonly internal: boolean;
  /** At most one for each family; a family without one is given a free one. */
  readonly subnets: readonly NetworkSubnet[];
  /** Whether it has addresses of this family. */
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  /** The container's own in it; absent: one that is free. */
  readonly ipv4Address?: string;
  readonly ipv6Address?: string;
  /** Further names of the container, for the others on it. */
  readonly aliases: readonly string[];
  readonly specPath: `networks.${string}`;
}

/** `network_mode: bridge`: an interface of the container's own. */
export interface SpecNetwork {
  readonly ports: readonly PublishedPort[];
  /** Empty: the container is on none together with others. */
  readonly networks: readonly NetworkAttachment[];
  /** Undefined: all but the host, link-local addresses and other containers. Empty: nothing. */
  readonly egress: readonly EgressTarget[] | undefined;
  /** Six bytes in lower case, with colons. */
  readonly macAddress?: string;
}

/** What /etc/resolv.conf says (resolv.conf(5)); absent parts are the host's. */
export interface SpecDns {
  readonly servers?: readonly string[];
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}

/** A line of /etc/hosts. */
export interface ExtraHost {
  readonly name: string;
  /** Or the address by which the container reaches the host. */
  readonly address: string | 'host-gateway';
  readonly specPath: SpecPath;
}
