/** Plans netlink sockets, and steps that send messages over them. */
import type { Call, Fd } from '../../kernel/calls.ts';
import { AF, NETLINK, SOCK, SOCKET_OPTION, SOL } from '../../kernel/constants.ts';
import type { Message } from '../../kernel/netlink/message.ts';
import type { Because } from '../../model/because.ts';
import type { PlanContext } from '../context.ts';
import type { Hints } from '../hints.ts';
import { call, type Place } from '../steps.ts';
import { newRate } from './messages.ts';
import { transaction, type Part } from './nft.ts';

export const NO_VETH = 'this kernel has no veth interfaces (CONFIG_VETH)';
const RATE_HINTS: Hints = {
  ENOENT: 'this kernel has no queueing discipline tbf (CONFIG_NET_SCH_TBF): leave `limits.network` out',
};

export const TABLE_HINTS: Hints = {
  EOPNOTSUPP: 'this kernel lacks a part of nf_tables: Debian’s and Ubuntu’s kernels have all of it as modules',
  ENOENT: 'this kernel lacks a part of nf_tables: Debian’s and Ubuntu’s kernels have all of it as modules',
  EPERM: 'boxctl needs CAP_NET_ADMIN over the host’s network namespace for this',
};

/** Opens a netlink socket. Its answers have the place of an error (NETLINK_EXT_ACK), not the message (NETLINK_CAP_ACK). */
export function openNetlink({ steps }: PlanContext, place: Place, id: string, protocol: number): Fd {
  // The kernel removes the tables of a socket of netfilter when it is closed, and closing would wait for that. Nobody needs to wait for
  // their end once the command has ended: they are removed late.
  const isNetfilter = protocol === NETLINK.NETLINK_NETFILTER;
  const close = isNetfilter ? 'close_later' : 'close';
  const args = { domain: AF.AF_NETLINK, type: SOCK.SOCK_RAW + SOCK.SOCK_CLOEXEC, protocol };
  const undo = place.side === 'host' ? [call(close, { fd: id })] : ('kernel' as const);
  const late = place.side === 'host' && isNetfilter ? ({ late: true } as const) : {};
  const fd = steps.add(place, id, 'socket', args, { undo, ...late });
  const level = SOL.SOL_NETLINK;
  steps.add(place, `${id}.cap_ack`, 'setsockopt', { fd, level, optname: SOCKET_OPTION.NETLINK_CAP_ACK, value: 1 });
  steps.add(place, `${id}.ext_ack`, 'setsockopt', { fd, level, optname: SOCKET_OPTION.NETLINK_EXT_ACK, value: 1 });
  return fd;
}

/** Adds a step that sends one message. `allow`: errors of the kernel that are none of the step. */
export type Send = (id: string, message: Message, because?: Because, allow?: readonly string[]) => void;

export function sender({ steps }: PlanContext, place: Place, fd: Fd): Send {
  return (id, message, because, allow = []) => {
    const where = because === undefined ? place : { ...place, because };
    const options = allow.length === 0 ? {} : { allow };
    steps.add(where, id, 'netlink', { fd, messages: [message] }, { undo: 'kernel', ...options });
  };
}

/** Adds the step of `limits.network`, if the file has that rate. `link`: the end of the pair that sends in this direction. */
export function sendRate(
  context: PlanContext,
  place: Place,
  fd: Fd,
  id: string,
  link: number,
  direction: 'egress' | 'ingress',
): void {
  const rate = context.model.network?.rates[direction];
  if (rate === undefined) return;
  const because = context.model.because(`network.rates.${direction}`);
  sender(context, { ...place, because, hints: RATE_HINTS }, fd)(id, newRate(link, rate));
}

interface TableOptions {
  readonly question?: Message;
  readonly allow?: readonly string[];
  readonly undo?: readonly Call[] | 'kernel';
  readonly mends?: true;
  readonly late?: true;
}

/** Adds a step that sends a transaction of nf_tables; with a question, only if the kernel answers that with ENOENT. */
export function sendTable(
  { steps }: PlanContext,
  place: Place,
  id: string,
  fd: Fd,
  parts: readonly Part[],
  { question, allow = [], undo = 'kernel', mends, late }: TableOptions = {},
): void {
  const all = transaction(parts);
  const messages = all.map(({ message }) => message);
  const messageReasons = all.map(({ because }) => because ?? place.because);
  const options = {
    messageReasons,
    ...(allow.length === 0 ? {} : { allow }),
    ...(mends === undefined ? {} : { mends }),
    ...(late === undefined ? {} : { late }),
  };
  if (question === undefined) steps.add(place, id, 'netlink', { fd, messages }, { undo, ...options });
  else steps.add(place, id, 'netlink_once', { fd, question: [question], messages }, options);
}
