/** What a container was given for its run, and no other container has meanwhile. */
import type { Subnet } from '../text/addresses.ts';

export interface Claims {
  /** Where the ids of `uid_map: auto` begin in the pool of `autoPool`. */
  readonly ids?: { readonly offset: number };
  /** For a file with a network of its own. Without it, the model has made-up addresses, and nothing may be started from it. */
  readonly network?: NetworkClaim;
  /** For `network_mode: container:NAME`. */
  readonly joined?: {
    readonly path: string;
    /** Of an ordinary user's container: its user namespace, and whether setgroups(2) is allowed there. */
    readonly user?: { readonly path: string; readonly setsGroups: boolean };
  };
}

export interface NetworkClaim {
  /** From 1 to 4095. 1 where a program carries the packets, and nothing was claimed. */
  readonly index: number;
  readonly pool: { readonly ipv4: Subnet; readonly ipv6: Subnet };
  /** For each of the specification's, in its order. */
  readonly networks: readonly ClaimedNetwork[];
  /** The addresses of each name in `egress`. A name that is missing fits nothing. */
  readonly resolved: ReadonlyMap<string, readonly string[]>;
  /** Absent where nothing was claimed. */
  readonly file?: ClaimFile;
}

/** By what such a claim is made for another start of the same container (native/front/claim.cc). */
export interface ClaimFile {
  /** How the paths begin that end with a number, and are there while an interface has it. */
  readonly inUse: string;
  /** The folder with the lock under which claims are made. */
  readonly folder: string;
  /** How the file of the ranges begins that the addresses are of. */
  readonly ranges: string;
  /** What the file of the claim has after the number. */
  readonly text: string;
}

export interface ClaimedNetwork {
  readonly subnet4?: Subnet;
  readonly subnet6?: Subnet;
  /** The container's own in them. */
  readonly address4?: string;
  readonly address6?: string;
}
