/**
 * Netlink messages as people read them: each in the words of nft(8), ip(8), tc(8) or conntrack(8), made from what is really sent. A message that
 * has no words is printed by its attributes, so that nothing of it is hidden.
 */
import type { Call } from '../kernel/calls.ts';
import { rowOfMessage } from '../kernel/netlink/encode.ts';
import type { Message } from '../kernel/netlink/message.ts';
import { formatByAttributes } from './netlink-attributes.ts';
import { conntrackText } from './conntrack-text.ts';
import { NotInWords, Reader } from './netlink-reader.ts';
import { declaredSet, nftText, type SetType, type SetTypes } from './nft-text.ts';
import { routeText } from './route-text.ts';
import type { Because } from '../model/because.ts';
import type { Plan } from '../plan/plan.ts';
import { redactor } from '../text/borrowed.ts';
import { numberOf } from './redacted.ts';

/** Those that a request of the type usually has. NLM_F_ACK, by which the launcher waits for an answer, is never told. */
const USUAL: Readonly<Record<string, readonly string[]>> = {
  RTM_NEWLINK: ['NLM_F_CREATE', 'NLM_F_EXCL'],
  RTM_NEWADDR: ['NLM_F_CREATE', 'NLM_F_EXCL'],
  RTM_NEWROUTE: ['NLM_F_CREATE', 'NLM_F_EXCL'],
  RTM_NEWQDISC: ['NLM_F_CREATE', 'NLM_F_EXCL'],
  RTM_NEWNEIGH: ['NLM_F_CREATE', 'NLM_F_REPLACE'],
  NFT_MSG_NEWTABLE: ['NLM_F_CREATE'],
  NFT_MSG_NEWCHAIN: ['NLM_F_CREATE'],
  NFT_MSG_NEWRULE: ['NLM_F_CREATE', 'NLM_F_APPEND'],
  NFT_MSG_NEWSET: ['NLM_F_CREATE'],
  NFT_MSG_NEWSETELEM: ['NLM_F_CREATE'],
  NFT_MSG_NEWOBJ: ['NLM_F_CREATE'],
};
const NEVER_TOLD = 'NLM_F_ACK';

/** Flags that are not as usual for the type: those besides, and those that are missing. */
function unusual({ type, flags }: Message): string {
  const usual = ['NLM_F_REQUEST', ...(USUAL[type] ?? [])];
  const given = flags.split('|').filter((flag) => flag !== NEVER_TOLD);
  const more = given.filter((flag) => !usual.includes(flag)).join('|');
  const missing = usual.filter((flag) => !given.includes(flag)).join('|');
  return `${more === '' ? '' : ` ${more}`}${missing === '' ? '' : ` without ${missing}`}`;
}

const NO_SETS: SetTypes = new Map();

function readerOf({ type, header, attributes }: Message): Reader {
  const row = rowOfMessage(type);
  return new Reader(row.attributes(), { ...header, ...attributes }, row.header);
}

/** Undefined where there are no words for it. */
function attempt<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch (error) {
    if (error instanceof NotInWords) return undefined;
    throw error;
  }
}

/** The words of a message; undefined where there are none for all of it. */
export function messageInWords(message: Message, sets: SetTypes = NO_SETS): string | undefined {
  const { type } = message;
  const words = attempt(() =>
    Reader.all(
      readerOf(message),
      (reader) => routeText(type, reader) ?? nftText(type, reader, sets) ?? conntrackText(type, reader),
    ),
  );
  return words === undefined ? undefined : `${type} ${words}${unusual(message)}`;
}

/** `RTM_NEWADDR 10.215.0.1/32 dev 2 nodad permanent`. `sets`: of what the elements of sets are made. */
export function formatMessage(message: Message, sets: SetTypes = NO_SETS): string {
  return messageInWords(message, sets) ?? formatByAttributes(message);
}

/** Gives the words of a message. `because`: who asked for it. */
export type WriteMessage = (message: Message, because?: Because) => string;

/**
 * The words of the messages of a plan. `shown` is the plan as it is printed: where it has values of the caller's environment
 * replaced, so have the words. What follows from a borrowed number is told by attributes, in which each number is replaced.
 */
export function messageWriter(plan: Plan, shown: Plan = plan): WriteMessage {
  const sets = setTypes(plan.steps.flatMap(({ call }) => messagesOf(call)));
  if (shown === plan || plan.borrowed.length === 0) return (message) => formatMessage(message, sets);
  const redact = redactor(plan.borrowed);
  const originals = new Map<Message, Message>();
  for (const [index, { call }] of shown.steps.entries()) {
    const before = plan.steps[index];
    const messages = before === undefined ? [] : messagesOf(before.call);
    for (const [at, message] of messagesOf(call).entries()) originals.set(message, messages[at] ?? message);
  }
  return (message, because) => {
    const path = because?.kind === 'spec' ? because.path : undefined;
    if (numberOf(plan.borrowed, path) !== undefined) return formatByAttributes(message);
    return redact(formatMessage(originals.get(message) ?? message, sets), path);
  };
}

/** The sets that messages make. */
export function setTypes(messages: readonly Message[]): SetTypes {
  const types = new Map<string, SetType>();
  for (const message of messages) {
    if (message.type !== 'NFT_MSG_NEWSET') continue;
    const found = attempt(() => declaredSet(readerOf(message)));
    if (found !== undefined) types.set(...found);
  }
  return types;
}

/** All messages of a call. */
export function messagesOf(call: Call): readonly Message[] {
  if (call.name === 'netlink_once') return [...call.args.question, ...call.args.messages];
  return call.name === 'netlink' ? call.args.messages : [];
}

const severalOf = (messages: readonly Message[]): readonly Message[] => (messages.length > 1 ? messages : []);
const isEdge = ({ type }: Message): boolean => type === 'NFNL_MSG_BATCH_BEGIN' || type === 'NFNL_MSG_BATCH_END';
/** Few enough for the line of their call. */
const isShort = (messages: readonly Message[]): boolean => messages.filter((message) => !isEdge(message)).length <= 2;

/** One or two messages in full, also within a transaction; of more, how many there are of each type. */
export function formatMessages(
  messages: readonly Message[],
  write: WriteMessage = (one) => formatMessage(one),
): string {
  if (isShort(messages)) {
    const texts = messages.map((message) => (isEdge(message) ? message.type : write(message)));
    return texts.length === 1 ? texts.join('') : `[${texts.join(', ')}]`;
  }
  const counts = new Map<string, number>();
  for (const { type } of messages) counts.set(type, (counts.get(type) ?? 0) + 1);
  return `[${[...counts].map(([type, count]) => (count === 1 ? type : `${count} ${type}`)).join(', ')}]`;
}

/** The messages of a call that are too many for its line, in the order of `Step.messageReasons`. */
export function listedMessages(call: Call): readonly Message[] {
  // Of a question of several, the reasons are there as well (`netlink_once`).
  if (call.name === 'netlink_once') return [call.args.question, call.args.messages].flatMap(severalOf);
  return call.name === 'netlink' && !isShort(call.args.messages) ? call.args.messages : [];
}
