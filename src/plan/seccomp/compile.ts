/**
 * A profile of system calls becomes the filter that the kernel runs before each of them: a balanced tree over ranges of
 * numbers with the same answer, so that no call pays for the length of the list.
 */
import { BoxctlError } from '../../errors.ts';
import type { OciSeccomp, OciSeccompAction, OciSeccompRule } from '../../oci/config.ts';
import { LISTENER_FLAGS } from '../../kernel/constants.ts';
import { compareArgument } from './arguments.ts';
import { Assembler, BPF, type Place } from './bpf.ts';
import { MACHINES, SUBORDINATE, type SeccompArch } from '../../kernel/machines.ts';

/** Longest program that the kernel takes (BPF_MAXINSNS). */
const MAX_INSTRUCTIONS = 4096;
const NR_OFFSET = 0;
const ARCH_OFFSET = 4;
/** Numbers from here on are x32's, a second way to most calls that no rule speaks of. */
const X32_BIT = 0x4000_0000;
const EPERM = 1;
const ENOSYS = 38;

/** linux/seccomp.h. The low 16 bits of RET_ERRNO are the error. */
const RET = {
  SCMP_ACT_KILL_PROCESS: 0x8000_0000,
  SCMP_ACT_KILL_THREAD: 0,
  SCMP_ACT_TRAP: 0x0003_0000,
  SCMP_ACT_ERRNO: 0x0005_0000,
  SCMP_ACT_LOG: 0x7ffc_0000,
  SCMP_ACT_ALLOW: 0x7fff_0000,
} as const satisfies Record<OciSeccompAction, number>;

/** SECCOMP_RET_USER_NOTIF. */
const RET_USER_NOTIF = 0x7fc0_0000;

export interface FilterOptions {
  /** What the profile would log is put before a listener instead, which lets it go on (seccomp_unotify(2)). */
  readonly observe?: boolean;
}

type Answer = (action: OciSeccompAction, errno: number | undefined) => number;

const answer: Answer = (action, errno) =>
  action === 'SCMP_ACT_ERRNO' ? RET.SCMP_ACT_ERRNO | ((errno ?? EPERM) & 0xffff) : RET[action];

const observed: Answer = (action, errno) => (action === 'SCMP_ACT_LOG' ? RET_USER_NOTIF : answer(action, errno));

/**
 * The listener itself has to pass: nobody else could answer for the call that hands it over, which is told by its flags
 * from any other (native/launcher/handover.h).
 */
const HANDOVER: OciSeccompRule = {
  names: ['sendmsg'],
  action: 'SCMP_ACT_ALLOW',
  args: [{ index: 2, value: LISTENER_FLAGS, op: 'SCMP_CMP_EQ' }],
};

/** What happens to the numbers from `start` up to the next range. */
interface Range {
  readonly start: number;
  /** An answer for all, or rules that look at the arguments. */
  readonly what: number | readonly OciSeccompRule[];
}

/** The rules of each number, in the order of the profile, up to the first that asks for nothing more. */
function rulesByNumber(profile: OciSeccomp, numbers: Readonly<Record<string, number>>): Map<number, OciSeccompRule[]> {
  const rules = new Map<number, OciSeccompRule[]>();
  for (const rule of profile.syscalls) {
    for (const name of rule.names) {
      const number = Object.hasOwn(numbers, name) ? numbers[name] : undefined;
      // A name of another machine, or of a kernel to come.
      if (number === undefined) continue;
      const list = rules.get(number) ?? [];
      if (!list.some((earlier) => isUnconditional(earlier))) list.push(rule);
      rules.set(number, list);
    }
  }
  return rules;
}

function isUnconditional(rule: OciSeccompRule): boolean {
  return (rule.args ?? []).length === 0;
}

function ranges(profile: OciSeccomp, numbers: Readonly<Record<string, number>>, say: Answer): readonly Range[] {
  const fallback = say(profile.defaultAction, profile.defaultErrnoRet);
  // Programs ask whether a new call is there and take ENOSYS for no; EPERM they take for a failure.
  const unknown = profile.defaultAction === 'SCMP_ACT_ERRNO' ? RET.SCMP_ACT_ERRNO | ENOSYS : fallback;
  const rules = rulesByNumber(profile, numbers);
  const list: Range[] = [];
  const add = (start: number, what: Range['what']): void => {
    if (list.at(-1)?.what !== what) list.push({ start, what });
  };
  let next = 0;
  for (const number of [...new Set(Object.values(numbers))].toSorted((a, b) => a - b)) {
    if (number > next) add(next, unknown);
    const own = rules.get(number);
    const [first] = own ?? [];
    const simple = first !== undefined && isUnconditional(first) ? say(first.action, first.errnoRet) : own;
    add(number, simple ?? fallback);
    next = number + 1;
  }
  add(next, unknown);
  return list;
}

function emitRules(code: Assembler, rules: readonly OciSeccompRule[], fallback: number, say: Answer): Place {
  let otherwise = code.ret(fallback);
  for (const rule of rules.toReversed()) {
    let matched = code.ret(say(rule.action, rule.errnoRet));
    for (const arg of (rule.args ?? []).toReversed()) matched = compareArgument(code, arg, matched, otherwise);
    otherwise = matched;
  }
  return otherwise;
}

function emitTree(code: Assembler, list: readonly Range[], leaf: (range: Range) => Place): Place {
  const middle = list.length >> 1;
  const pivot = list[middle];
  if (pivot === undefined) throw new Error('a tree of no ranges');
  if (list.length === 1) return leaf(pivot);
  const right = emitTree(code, list.slice(middle), leaf);
  const left = emitTree(code, list.slice(0, middle), leaf);
  return code.jump(BPF.JGE, pivot.start, right, left);
}

/** Rules that have been written: what looks at arguments alone is the same for each machine, and written once. */
type Written = { readonly rules: readonly OciSeccompRule[]; readonly place: Place }[];

function areSame(some: readonly OciSeccompRule[], others: readonly OciSeccompRule[]): boolean {
  return some.length === others.length && some.every((rule, index) => rule === others[index]);
}

/** The tree of one machine's calls, whose number is in the accumulator. */
function emitMachine(
  code: Assembler,
  profile: OciSeccomp,
  numbers: Readonly<Record<string, number>>,
  say: Answer,
  written: Written,
): Place {
  const fallback = say(profile.defaultAction, profile.defaultErrnoRet);
  const list = ranges(profile, numbers, say);
  const conditional = new Map<Range, Place>();
  for (const range of list) {
    const { what } = range;
    if (typeof what === 'number') continue;
    let known = written.find(({ rules }) => areSame(rules, what));
    if (known === undefined) {
      known = { rules: what, place: emitRules(code, what, fallback, say) };
      written.push(known);
    }
    conditional.set(range, known.place);
  }
  return emitTree(code, list, (range) => {
    if (typeof range.what === 'number') return code.ret(range.what);
    const place = conditional.get(range);
    if (place === undefined) throw new Error('rules that were not written');
    return place;
  });
}

/**
 * The filter as an array of struct sock_filter (seccomp(2), SECCOMP_SET_MODE_FILTER), the same bytes for the same
 * profile. The first rule of a call that matches decides. A call of a machine that the profile does not name kills the
 * process; where the default is an error, numbers that boxctl does not know get ENOSYS.
 *
 * @throws BoxctlError `E_SECCOMP_TOO_LONG` where the kernel's 4096 instructions do not suffice.
 */
export function compileSeccomp(
  given: OciSeccomp,
  arch: SeccompArch,
  { observe = false }: FilterOptions = {},
): Uint8Array {
  const { audit, numbers } = MACHINES[arch];
  const say = observe ? observed : answer;
  const profile = observe ? { ...given, syscalls: [HANDOVER, ...given.syscalls] } : given;
  const code = new Assembler();
  const written: Written = [];
  const subordinate = SUBORDINATE[arch];
  let foreign = code.ret(observe ? RET_USER_NOTIF : RET.SCMP_ACT_KILL_PROCESS);
  if (profile.architectures.includes(subordinate.name)) {
    let entry = code.goTo(emitMachine(code, profile, subordinate.numbers(), say, written));
    entry = code.load(NR_OFFSET);
    // The accumulator still holds the machine where the jump comes from.
    foreign = code.jump(BPF.JEQ, subordinate.audit, entry, foreign);
  }
  let entry = emitMachine(code, profile, numbers(), say, written);
  if (arch === 'x86_64') entry = code.jump(BPF.JGE, X32_BIT, code.ret(RET.SCMP_ACT_ERRNO | ENOSYS), entry);
  entry = code.goTo(entry);
  entry = code.load(NR_OFFSET);
  code.jump(BPF.JEQ, audit, entry, foreign);
  code.load(ARCH_OFFSET);
  if (code.length > MAX_INSTRUCTIONS) {
    throw new BoxctlError(
      'E_SECCOMP_TOO_LONG',
      `the filter has ${code.length} instructions, and the kernel takes ${MAX_INSTRUCTIONS}`,
      { hint: 'use fewer rules that look at arguments' },
    );
  }
  return code.bytes();
}
