/**
 * What the launcher reads at the end: from the container's own table the count and the destinations of refused packets, and
 * from the shared table which packets came through the rules of other programs.
 */
import type { Message } from '../../kernel/netlink/message.ts';
import type { Network } from '../../model/network.ts';
import type { Tally } from '../plan.ts';
import { byDefault } from '../steps.ts';
import { FAMILIES, ownAddress, sharedNetworks } from './names.ts';
import { ownedTableName, REFUSED } from './owned-table.ts';
import { connectionsQuestion, datagramsQuestion } from './shared-table.ts';

const REFUSES = byDefault('what is refused is refused at once, and counted');
const PASSES = byDefault('what a firewall of the host drops is told');

/** `socket`: the socket that owns the table. */
export function talliesOf({ index }: Network, socket: string): readonly Tally[] {
  const table = ownedTableName(index);
  const question = (type: string, flags: string, attributes: Message['attributes']): Tally => ({
    of: 'refused',
    socket,
    question: { type, flags, header: { nfgen_family: 'NFPROTO_NETDEV' }, attributes },
    because: REFUSES,
  });
  const elements = (set: string): Tally =>
    question('NFT_MSG_GETSETELEM', 'NLM_F_REQUEST|NLM_F_DUMP', {
      NFTA_SET_ELEM_LIST_TABLE: table,
      NFTA_SET_ELEM_LIST_SET: set,
    });
  return [
    question('NFT_MSG_GETOBJ', 'NLM_F_REQUEST', {
      NFTA_OBJ_TABLE: table,
      NFTA_OBJ_NAME: REFUSED.counter,
      NFTA_OBJ_TYPE: 'NFT_OBJECT_COUNTER',
    }),
    elements(REFUSED.set4),
    elements(REFUSED.set6),
  ];
}

/** The container's addresses on the host. */
export function addressesOf(network: Network): readonly (readonly [4 | 6, Uint8Array])[] {
  return FAMILIES.flatMap((family) => {
    const own = ownAddress(network, family);
    const others = sharedNetworks(network, family).map(({ address }) => address);
    return [...(own === undefined ? [] : [own]), ...others].map((address) => [family.family, address] as const);
  });
}

/** How many datagrams the shared table refused. */
export const datagramTallies = (network: Network, socket: string): readonly Tally[] =>
  addressesOf(network).map(([family, address]): Tally => ({
    of: 'datagrams',
    socket,
    question: datagramsQuestion(family, address),
    because: REFUSES,
  }));

/** How many connections the shared table let through, and how many of them no other program dropped. */
export function connectionTallies(network: Network, socket: string): readonly Tally[] {
  return addressesOf(network).flatMap(([family, address]) =>
    (['begun', 'passed'] as const).map((of): Tally => ({
      of,
      socket,
      question: connectionsQuestion(of, family, address),
      because: PASSES,
    })),
  );
}
