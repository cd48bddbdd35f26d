/** Messages of rtnetlink(7) about interfaces, addresses, neighbours, routes and queues: only what boxctl sends. */
import {
  address,
  child,
  choice,
  nest,
  once,
  struct,
  text,
  u32,
  u64,
  u8,
  type Header,
  type MessageRow,
  type Names,
  type Table,
} from './declare.ts';

const FAMILY: Names = { AF_UNSPEC: 0, AF_INET: 2, AF_INET6: 10 };
const SCOPE: Names = { RT_SCOPE_UNIVERSE: 0, RT_SCOPE_LINK: 253, RT_SCOPE_HOST: 254 };
const LINK_FLAGS: Names = { IFF_UP: 1 };

const IFINFOMSG: Header = [
  ['ifi_family', 'u8', FAMILY],
  ['__ifi_pad', 'u8'],
  ['ifi_type', 'u16'],
  ['ifi_index', 'i32'],
  ['ifi_flags', 'u32', LINK_FLAGS],
  ['ifi_change', 'u32', LINK_FLAGS],
];
const IFADDRMSG: Header = [
  ['ifa_family', 'u8', FAMILY],
  ['ifa_prefixlen', 'u8'],
  ['ifa_flags', 'u8'],
  ['ifa_scope', 'u8', SCOPE],
  ['ifa_index', 'u32'],
];
const NDMSG: Header = [
  ['ndm_family', 'u8', FAMILY],
  ['ndm_pad1', 'u8'],
  ['ndm_pad2', 'u16'],
  ['ndm_ifindex', 'i32'],
  ['ndm_state', 'u16', { NUD_PERMANENT: 0x80 }],
  ['ndm_flags', 'u8'],
  ['ndm_type', 'u8'],
];
const RTMSG: Header = [
  ['rtm_family', 'u8', FAMILY],
  ['rtm_dst_len', 'u8'],
  ['rtm_src_len', 'u8'],
  ['rtm_tos', 'u8'],
  ['rtm_table', 'u8', { RT_TABLE_MAIN: 254, RT_TABLE_LOCAL: 255 }],
  ['rtm_protocol', 'u8', { RTPROT_STATIC: 4, RTPROT_BOXCTL: 98 }],
  ['rtm_scope', 'u8', SCOPE],
  ['rtm_type', 'u8', { RTN_UNICAST: 1, RTN_LOCAL: 2, RTN_BLACKHOLE: 6, RTN_UNREACHABLE: 7, RTN_PROHIBIT: 8 }],
  ['rtm_flags', 'u32', { RTNH_F_ONLINK: 4 }],
];
const TCMSG: Header = [
  ['tcm_family', 'u8'],
  ['tcm__pad1', 'u8'],
  ['tcm__pad2', 'u16'],
  ['tcm_ifindex', 'i32'],
  ['tcm_handle', 'u32'],
  ['tcm_parent', 'u32', { TC_H_ROOT: 0xffff_ffff }],
  ['tcm_info', 'u32'],
];
/** struct tc_tbf_qopt: two structs tc_ratespec and three numbers. */
const TBF_QOPT: Header = [
  ['rate.cell_log', 'u8'],
  ['rate.linklayer', 'u8', { TC_LINKLAYER_ETHERNET: 1 }],
  ['rate.overhead', 'u16'],
  ['rate.cell_align', 'u16'],
  ['rate.mpu', 'u16'],
  ['rate.rate', 'u32'],
  ['peakrate.cell_log', 'u8'],
  ['peakrate.linklayer', 'u8'],
  ['peakrate.overhead', 'u16'],
  ['peakrate.cell_align', 'u16'],
  ['peakrate.mpu', 'u16'],
  ['peakrate.rate', 'u32'],
  ['limit', 'u32'],
  ['buffer', 'u32'],
  ['mtu', 'u32'],
];

/** Settings of IPv4 for one interface (IPV4_DEVCONF_… of linux/ip.h). */
const DEVCONF = once<Table>(() => ({
  IPV4_DEVCONF_FORWARDING: u32(1),
  IPV4_DEVCONF_ACCEPT_REDIRECTS: u32(4),
  IPV4_DEVCONF_SECURE_REDIRECTS: u32(5),
  IPV4_DEVCONF_SEND_REDIRECTS: u32(6),
  IPV4_DEVCONF_RP_FILTER: u32(8),
  IPV4_DEVCONF_SRC_VMARK: u32(24),
  IPV4_DEVCONF_ROUTE_LOCALNET: u32(26),
}));

const LINK = once<Table>(() => ({
  IFLA_ADDRESS: address(1),
  IFLA_IFNAME: text(3),
  IFLA_MTU: u32(4),
  IFLA_LINKINFO: nest(18, () => LINK_INFO),
  IFLA_NET_NS_PID: child(19),
  IFLA_AF_SPEC: nest(26, () => AF_SPEC),
  IFLA_TXQLEN: u32(13),
  IFLA_NUM_TX_QUEUES: u32(31),
  IFLA_NUM_RX_QUEUES: u32(32),
  IFLA_GROUP: u32(27),
}));
const LINK_INFO: Table = {
  IFLA_INFO_KIND: text(1),
  IFLA_INFO_DATA: choice(2, 'IFLA_INFO_KIND', () => ({
    veth: { VETH_INFO_PEER: nest(1, LINK, IFINFOMSG) },
    dummy: {},
  })),
};
const AF_SPEC: Table = {
  AF_INET: nest(2, () => ({ IFLA_INET_CONF: nest(1, DEVCONF) })),
  AF_INET6: nest(10, () => ({
    IFLA_INET6_ADDR_GEN_MODE: u8(8, { IN6_ADDR_GEN_MODE_EUI64: 0, IN6_ADDR_GEN_MODE_NONE: 1 }),
  })),
};

const ADDRESS = once<Table>(() => ({
  IFA_ADDRESS: address(1),
  IFA_LOCAL: address(2),
  IFA_FLAGS: u32(8, { IFA_F_NODAD: 2, IFA_F_PERMANENT: 0x80 }),
}));
const NEIGHBOUR = once<Table>(() => ({ NDA_DST: address(1), NDA_LLADDR: address(2) }));
const ROUTE = once<Table>(() => ({
  RTA_DST: address(1),
  RTA_OIF: u32(4),
  RTA_GATEWAY: address(5),
  RTA_PRIORITY: u32(6),
  RTA_PREFSRC: address(7),
  RTA_TABLE: u32(15),
}));
const QUEUE = once<Table>(() => ({
  TCA_KIND: text(1),
  TCA_OPTIONS: choice(2, 'TCA_KIND', () => ({
    tbf: {
      TCA_TBF_PARMS: struct(1, TBF_QOPT),
      TCA_TBF_RATE64: u64(4),
      TCA_TBF_BURST: u32(6),
    },
  })),
}));

export const ROUTE_MESSAGES: Readonly<Record<string, MessageRow>> = {
  RTM_NEWLINK: { type: 16, header: IFINFOMSG, attributes: LINK },
  RTM_DELLINK: { type: 17, header: IFINFOMSG, attributes: LINK },
  RTM_SETLINK: { type: 19, header: IFINFOMSG, attributes: LINK },
  RTM_NEWADDR: { type: 20, header: IFADDRMSG, attributes: ADDRESS },
  RTM_NEWROUTE: { type: 24, header: RTMSG, attributes: ROUTE },
  RTM_NEWNEIGH: { type: 28, header: NDMSG, attributes: NEIGHBOUR },
  RTM_NEWQDISC: { type: 36, header: TCMSG, attributes: QUEUE },
};
