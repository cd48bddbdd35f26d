/** Messages about tracked connections (linux/netfilter/nfnetlink_conntrack.h): only what boxctl sends. */
import { address, nest, once, u32, type Header, type MessageRow, type Table } from './declare.ts';

const SUBSYSTEM = 1;

const NFGENMSG: Header = [
  ['nfgen_family', 'u8', { AF_UNSPEC: 0, AF_INET: 2, AF_INET6: 10 }],
  ['version', 'u8'],
  ['res_id', 'be16'],
];

/** The parts of a connection that CTA_FILTER compares. */
const PARTS = { CTA_FILTER_F_CTA_IP_SRC: 1, CTA_FILTER_F_CTA_IP_DST: 2 };

const TUPLE = once<Table>(() => ({
  CTA_TUPLE_IP: nest(1, () => ({
    CTA_IP_V4_SRC: address(1),
    CTA_IP_V4_DST: address(2),
    CTA_IP_V6_SRC: address(3),
    CTA_IP_V6_DST: address(4),
  })),
}));

const CONNECTION = once<Table>(() => ({
  CTA_TUPLE_ORIG: nest(1, TUPLE),
  CTA_TUPLE_REPLY: nest(2, TUPLE),
  CTA_FILTER: nest(25, () => ({
    CTA_FILTER_ORIG_FLAGS: u32(1, PARTS),
    CTA_FILTER_REPLY_FLAGS: u32(2, PARTS),
  })),
}));

export const CONNTRACK_MESSAGES: Readonly<Record<string, MessageRow>> = {
  IPCTNL_MSG_CT_DELETE: { type: SUBSYSTEM * 256 + 2, header: NFGENMSG, attributes: CONNECTION },
};
