/** rtnetlink messages (rtnetlink(7)) for a container's interfaces, addresses, neighbours, routes and rates. */
import type { Attributes, LINK, Message } from '../../kernel/netlink/message.ts';
import { addressBytes, type Subnet } from '../../text/addresses.ts';
import type { FamilyOf } from './names.ts';

/** The number of an interface, or LINK: the number that ioctl_siocgifindex returned. */
type Link = number | typeof LINK;

const REQUEST = 'NLM_F_REQUEST|NLM_F_ACK';
const CREATE = `${REQUEST}|NLM_F_CREATE|NLM_F_EXCL`;

export const newLink = (index: Link, attributes: Attributes): Message => ({
  type: 'RTM_NEWLINK',
  flags: CREATE,
  header: { ifi_index: index },
  attributes,
});

export const setLink = (index: Link, attributes: Attributes): Message => ({
  type: 'RTM_SETLINK',
  flags: REQUEST,
  header: { ifi_index: index },
  attributes,
});

export const deleteLink = (index: Link): Message => ({
  type: 'RTM_DELLINK',
  flags: REQUEST,
  header: { ifi_index: index },
  attributes: {},
});

/** IFLA_AF_SPEC: the interface gives itself no link-local address. */
export const NO_LINK_LOCAL = { AF_INET6: { IFLA_INET6_ADDR_GEN_MODE: 'IN6_ADDR_GEN_MODE_NONE' } } as const;

export const linkUp = (index: Link): Message => ({
  type: 'RTM_SETLINK',
  flags: REQUEST,
  header: { ifi_index: index, ifi_flags: 'IFF_UP', ifi_change: 'IFF_UP' },
  attributes: {},
});

/** An address without a subnet. IPv6 does not look for duplicates of it first, which would take a second. */
export const newAddress = ({ af, width }: FamilyOf, link: Link, address: Uint8Array): Message => ({
  type: 'RTM_NEWADDR',
  flags: CREATE,
  header: { ifa_family: af, ifa_prefixlen: width, ifa_index: link },
  attributes: { IFA_LOCAL: address, IFA_ADDRESS: address, IFA_FLAGS: 'IFA_F_NODAD|IFA_F_PERMANENT' },
});

/** A permanent neighbour: the kernel sends no ARP or neighbour requests for it, and believes no answers to them. */
export const newNeighbour = ({ af }: FamilyOf, link: Link, address: Uint8Array, mac: Uint8Array): Message => ({
  type: 'RTM_NEWNEIGH',
  flags: `${REQUEST}|NLM_F_CREATE|NLM_F_REPLACE`,
  header: { ndm_family: af, ndm_ifindex: link, ndm_state: 'NUD_PERMANENT' },
  attributes: { NDA_DST: address, NDA_LLADDR: mac },
});

interface RouteOptions {
  readonly gateway?: Uint8Array;
  readonly source?: Uint8Array;
  /** Launchers of ordinary users' containers look for these, and refuse what they lead to (watch_addresses). */
  readonly protocol?: 'RTPROT_BOXCTL';
}

/** A route to one address, or a route to a subnet by a gateway. */
export function newRoute(
  { af, width, family }: FamilyOf,
  link: Link,
  to: Uint8Array | Subnet | 'default',
  { gateway, source, protocol }: RouteOptions = {},
): Message {
  const destination = to === 'default' ? undefined : to instanceof Uint8Array ? to : addressBytes(to.address);
  const length = to === 'default' ? 0 : to instanceof Uint8Array ? width : to.prefix;
  return {
    type: 'RTM_NEWROUTE',
    flags: CREATE,
    header: {
      rtm_family: af,
      rtm_dst_len: length,
      rtm_table: 'RT_TABLE_MAIN',
      rtm_protocol: protocol ?? 'RTPROT_STATIC',
      // Routes of IPv6 have no scope.
      rtm_scope: gateway === undefined && family === 4 ? 'RT_SCOPE_LINK' : 'RT_SCOPE_UNIVERSE',
      rtm_type: 'RTN_UNICAST',
      ...(gateway === undefined ? {} : { rtm_flags: 'RTNH_F_ONLINK' }),
    },
    attributes: {
      ...(destination === undefined ? {} : { RTA_DST: destination }),
      RTA_OIF: link,
      ...(gateway === undefined ? {} : { RTA_GATEWAY: gateway }),
      ...(source === undefined ? {} : { RTA_PREFSRC: source }),
    },
  };
}

/**
 * The route by which the kernel takes packets to one of its own IPv6 addresses. The kernel adds one itself, but later, by a
 * work item that waits for other changes of networks (addrconf_dad_work). Until then it drops packets to the address, such as
 * the answer to the first connection; on a busy host that takes seconds. The interface must be up.
 */
export const localRoute = ({ af, width }: FamilyOf, link: Link, address: Uint8Array): Message => ({
  type: 'RTM_NEWROUTE',
  // Several containers give the host their gateway's address, each on its own interface.
  flags: `${REQUEST}|NLM_F_CREATE`,
  header: {
    rtm_family: af,
    rtm_dst_len: width,
    rtm_table: 'RT_TABLE_LOCAL',
    rtm_protocol: 'RTPROT_STATIC',
    rtm_scope: 'RT_SCOPE_UNIVERSE',
    rtm_type: 'RTN_LOCAL',
  },
  attributes: { RTA_DST: address, RTA_OIF: link },
});

/** A queueing discipline that limits the rate of an interface (tc-tbf(8)). */
export function newRate(link: Link, bitsPerSecond: number): Message {
  const bytes = Math.max(1, Math.floor(bitsPerSecond / 8));
  // The bytes that may be sent at once: those of 10 ms, but at least one packet of segmentation offload (64 KiB).
  const burst = Math.max(64 * 1024 + 64, Math.ceil(bytes / 100));
  return {
    type: 'RTM_NEWQDISC',
    flags: CREATE,
    header: { tcm_ifindex: link, tcm_handle: 0x1_0000, tcm_parent: 'TC_H_ROOT' },
    attributes: {
      TCA_KIND: 'tbf',
      TCA_OPTIONS: {
        TCA_TBF_PARMS: {
          'rate.linklayer': 'TC_LINKLAYER_ETHERNET',
          'rate.rate': Math.min(bytes, 0xffff_ffff),
          // The queue holds the bytes of 50 ms. Further packets are dropped.
          limit: Math.min(0xffff_ffff, burst + Math.ceil(bytes / 20)),
          buffer: 0,
        },
        ...(bytes > 0xffff_ffff ? { TCA_TBF_RATE64: bytes } : {}),
        TCA_TBF_BURST: burst,
      },
    },
  };
}
