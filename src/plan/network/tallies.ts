/** What the launcher reads from the container's own table at the end: the count and the destinations of refused packets. */
import type { Message } from '../../kernel/netlink/message.ts';
import type { Network } from '../../model/network.ts';
import type { Tally } from '../plan.ts';
import { byDefault } from '../steps.ts';
import { ownedTableName, REFUSED } from './owned-table.ts';

/** `socket`: the socket that owns the table. */
export function talliesOf({ index }: Network, socket: string): readonly Tally[] {
  const table = ownedTableName(index);
  const question = (type: string, flags: string, attributes: Message['attributes']): Tally => ({
    socket,
    question: { type, flags, header: { nfgen_family: 'NFPROTO_NETDEV' }, attributes },
    because: byDefault('what is refused is refused at once, and counted'),
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
