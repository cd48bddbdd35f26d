/** The pair of interfaces between a container and the namespace that routes for it (veth(4)). */
import { CHILD, type Message } from '../../kernel/netlink/message.ts';
import type { Network } from '../../model/network.ts';
import { newLink } from './messages.ts';
import { GROUP, hostInterface, hostMac, INNER_INTERFACE, interfaceNumber, macBytes } from './names.ts';

/**
 * Otherwise the kernel makes as many queues as there can be processors, each with an entry in sysfs, which takes most of the time. An end
 * of a pair that has no XDP program hands a packet to the other end at once, whatever its queue.
 */
const ONE_QUEUE = { IFLA_NUM_TX_QUEUES: 1, IFLA_NUM_RX_QUEUES: 1 } as const;

/** Makes both ends, the inner one in the network namespace of the container's first process. `mtu`: of both, in bytes. */
export function newPair({ index, mac }: Network, mtu?: number): Message {
  const link = interfaceNumber(index);
  const size = mtu === undefined ? {} : { IFLA_MTU: mtu };
  return newLink(link, {
    IFLA_IFNAME: hostInterface(index),
    IFLA_ADDRESS: hostMac(index),
    ...size,
    ...ONE_QUEUE,
    IFLA_GROUP: GROUP,
    IFLA_LINKINFO: {
      IFLA_INFO_KIND: 'veth',
      IFLA_INFO_DATA: {
        VETH_INFO_PEER: {
          ifi_index: link,
          IFLA_IFNAME: INNER_INTERFACE,
          IFLA_ADDRESS: macBytes(mac),
          ...size,
          ...ONE_QUEUE,
          IFLA_NET_NS_PID: CHILD,
        },
      },
    },
  });
}
