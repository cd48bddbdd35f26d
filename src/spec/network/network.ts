/** The network part of a specification, with every short form expanded. */
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
  /** 0: any free port. */
  readonly hostPort: number;
  /** The port inside the container. */
  readonly port: number;
  readonly specPath: `ports.${number}`;
}

/** An entry of `egress`. */
export interface EgressTarget {
  readonly to:
    /** Every address except the host's, link-local ones and other containers'. */
    | { readonly kind: 'any' }
    /** The host itself, by the address of the container's gateway. */
    | { readonly kind: 'host' }
    | { readonly kind: 'subnet'; readonly subnet: Subnet }
    /** A host name, which is looked up once, before the start. */
    | { readonly kind: 'name'; readonly name: string };
  /** Absent: all ports. */
  readonly ports?: PortRange;
  /** Absent: all protocols. */
  readonly protocol?: Protocol;
  readonly specPath: `egress.${number}`;
}

/** A range of addresses that a file chooses for a network. */
export interface NetworkSubnet {
  readonly subnet: Subnet;
  /** An address that no container is given. */
  readonly gateway?: string;
  readonly specPath: `networks.${string}.ipam.config.${number}`;
}

/** A network that the container shares with others. */
export interface NetworkAttachment {
  /** The file's name for it. */
  readonly name: string;
  /** A name by which files of every folder share it. Absent: only files of this folder share it. */
  readonly hostName?: string;
  /** Other files describe it: this one may not set its subnets, families or `internal`. */
  readonly external: boolean;
  /** None of its packets leaves the host. */
  readonly internal: boolean;
  /** At most one for each family. boxctl chooses a free subnet for a family without one. */
  readonly subnets: readonly NetworkSubnet[];
  /** Whether it has addresses of this family. */
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  /** The container's own address in it; absent: boxctl chooses a free one. */
  readonly ipv4Address?: string;
  readonly ipv6Address?: string;
  /** Further names by which other containers on it find this one. */
  readonly aliases: readonly string[];
  readonly specPath: `networks.${string}`;
}

/** `network_mode: bridge`: an interface of the container's own. */
export interface SpecNetwork {
  readonly ports: readonly PublishedPort[];
  /** Empty: the container reaches no other container. */
  readonly networks: readonly NetworkAttachment[];
  /** Undefined: everything except the host, link-local addresses and other containers. Empty: nothing. */
  readonly egress: readonly EgressTarget[] | undefined;
  /** Six bytes in lower case, with colons. */
  readonly macAddress?: string;
}

/** Lines of /etc/resolv.conf (resolv.conf(5)). Where a part is absent, the container has the host's. */
export interface SpecDns {
  readonly servers?: readonly string[];
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}

/** A line of /etc/hosts. */
export interface ExtraHost {
  readonly name: string;
  /** `host-gateway`: the address by which the container reaches the host. */
  readonly address: string | 'host-gateway';
  readonly specPath: SpecPath;
}
