/** A machine for classic BPF as seccomp uses it, and the plain reading of a profile: what the compiler is held against. */
import type { OciSeccomp, OciSeccompArg } from '../../../src/oci/config.ts';

export interface Call {
  readonly arch: number;
  readonly nr: number;
  readonly args: readonly bigint[];
}

const KNOWN_OPCODES = new Set([0x20, 0x54, 0x05, 0x15, 0x25, 0x35, 0x06]);

/** Executes a filter as the kernel would, and throws where the kernel would have refused it. */
export function runFilter(program: Uint8Array, call: Call): number {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, call.nr, true);
  data.setUint32(4, call.arch, true);
  for (const [index, value] of call.args.entries()) data.setBigUint64(16 + 8 * index, value, true);
  let accumulator = 0;
  for (let pc = 0; pc * 8 < program.byteLength; pc += 1) {
    const code = view.getUint16(pc * 8, true);
    const jt = view.getUint8(pc * 8 + 2);
    const jf = view.getUint8(pc * 8 + 3);
    const k = view.getUint32(pc * 8 + 4, true);
    if (!KNOWN_OPCODES.has(code)) throw new Error(`opcode ${code}`);
    if (code === 0x20) {
      if (k % 4 !== 0 || k >= 64) throw new Error(`load at ${k}`);
      accumulator = data.getUint32(k, true);
    } else if (code === 0x54) accumulator = (accumulator & k) >>> 0;
    else if (code === 0x05) pc += k;
    else if (code === 0x15) pc += accumulator === k ? jt : jf;
    else if (code === 0x25) pc += accumulator > k ? jt : jf;
    else if (code === 0x35) pc += accumulator >= k ? jt : jf;
    else return k;
  }
  throw new Error('ran off the end');
}

const ACTIONS = {
  SCMP_ACT_KILL_PROCESS: 0x80000000,
  SCMP_ACT_KILL_THREAD: 0,
  SCMP_ACT_TRAP: 0x30000,
  SCMP_ACT_ERRNO: 0x50000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_ALLOW: 0x7fff0000,
} as const;

function holds(arg: OciSeccompArg, args: readonly bigint[]): boolean {
  const actual = args[arg.index] ?? 0n;
  const value = BigInt(arg.value);
  switch (arg.op) {
    case 'SCMP_CMP_NE':
      return actual !== value;
    case 'SCMP_CMP_LT':
      return actual < value;
    case 'SCMP_CMP_LE':
      return actual <= value;
    case 'SCMP_CMP_EQ':
      return actual === value;
    case 'SCMP_CMP_GE':
      return actual >= value;
    case 'SCMP_CMP_GT':
      return actual > value;
    case 'SCMP_CMP_MASKED_EQ':
      return (actual & value) === BigInt(arg.valueTwo ?? 0);
  }
}

/** The profile read rule by rule. `name` is undefined for a number that the table does not know. */
export function readProfile(profile: OciSeccomp, name: string | undefined, args: readonly bigint[]): number {
  const value = (action: keyof typeof ACTIONS, errno = 1): number =>
    action === 'SCMP_ACT_ERRNO' ? ACTIONS[action] + errno : ACTIONS[action];
  if (name === undefined && profile.defaultAction === 'SCMP_ACT_ERRNO') return ACTIONS.SCMP_ACT_ERRNO + 38;
  const rule = profile.syscalls.find(
    (entry) => name !== undefined && entry.names.includes(name) && (entry.args ?? []).every((arg) => holds(arg, args)),
  );
  return rule === undefined ? value(profile.defaultAction, profile.defaultErrnoRet) : value(rule.action, rule.errnoRet);
}
