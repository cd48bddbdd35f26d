/**
 * Removes tracked connections of an address's last container. The kernel keeps a connection for minutes after its last
 * packet, and a UDP client that goes on sending keeps it for ever. Its packets would then go to the next container with
 * the address, and not to the container that has the published port now.
 */
import type { Fd } from '../../kernel/calls.ts';
import type { Message } from '../../kernel/netlink/message.ts';
import type { Network } from '../../model/network.ts';
import { onHost, type PlanContext } from '../context.ts';
import { byDefault, call, type Place } from '../steps.ts';
import { FAMILIES, ownAddress } from './names.ts';

/** A kernel before Linux 6.11 cannot remove connections by one of their addresses. The container starts all the same. */
const ALLOWED = ['EINVAL', 'ENOENT', 'EOPNOTSUPP'];

/** Messages that remove the connections whose replies come from the container's address. */
function forgetting(network: Network): readonly Message[] {
  return FAMILIES.flatMap((family): readonly Message[] => {
    const own = ownAddress(network, family);
    if (own === undefined) return [];
    const source = family.family === 4 ? 'CTA_IP_V4_SRC' : 'CTA_IP_V6_SRC';
    return [
      {
        type: 'IPCTNL_MSG_CT_DELETE',
        flags: 'NLM_F_REQUEST|NLM_F_ACK',
        header: { nfgen_family: family.af },
        attributes: {
          CTA_TUPLE_REPLY: { CTA_TUPLE_IP: { [source]: own } },
          CTA_FILTER: { CTA_FILTER_ORIG_FLAGS: 0, CTA_FILTER_REPLY_FLAGS: 'CTA_FILTER_F_CTA_IP_SRC' },
        },
      },
    ];
  });
}

/** Removes connections at the start, and at the end if the container has ports. `fd`: a netlink socket of netfilter. */
export function planForgetConnections({ steps }: PlanContext, network: Network, fd: Fd): void {
  const because = byDefault('an address brings no connections of its last container');
  const place: Place = { ...onHost('network', because), meanwhile: true };
  const messages = forgetting(network);
  const undo = network.ports.length === 0 ? 'none' : [call('netlink', { fd, messages }, { allow: ALLOWED })];
  steps.add(place, 'connections', 'netlink', { fd, messages }, { allow: ALLOWED, undo });
}
