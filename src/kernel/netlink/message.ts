/** A netlink message as data, in the kernel's names (netlink(7), rtnetlink(7)). */

/** In place of a number: the pid of the container's first process, seen from the host. The launcher fills it in. */
export const CHILD = '$CHILD';

/** In place of a number: the interface number that the call ioctl_siocgifindex returned. The launcher fills it in. */
export const LINK = '$LINK';

/** A number, its name, names of bits joined by `|`, text, bytes, or nested attributes. */
export type Value = number | string | Uint8Array | Attributes | readonly Attributes[];

export interface Attributes {
  readonly [name: string]: Value;
}

export interface Message {
  /** `RTM_NEWLINK`, `NFT_MSG_NEWRULE` (declared in route.ts and nftables.ts). */
  readonly type: string;
  /** NLM_F_… joined by `|`. */
  readonly flags: string;
  /** Fields of the structure that every message of the type begins with. A field that is left out is 0. */
  readonly header: Readonly<Record<string, number | string>>;
  readonly attributes: Attributes;
}
