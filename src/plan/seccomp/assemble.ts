/** Classic BPF for seccomp(2): instructions of 8 bytes, loads from `struct seccomp_data`, jumps forward only. */

/** One `struct sock_filter`. */
export interface Instruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}
export type Code = readonly Instruction[];

const LD_W_ABS = 0x20;
const ALU_AND_K = 0x54;
const JMP_JA = 0x05;
const RET_K = 0x06;
export const JEQ = 0x15;
export const JGT = 0x25;
export const JGE = 0x35;
/** A conditional jump can skip so many instructions. */
const FARTHEST = 255;
/** BPF_MAXINSNS. */
const MOST = 4096;

/** Offsets in `struct seccomp_data`. */
export const DATA_NR = 0;
export const DATA_ARCH = 4;
export const dataArg = (index: number, half: 'low' | 'high'): number => 16 + index * 8 + (half === 'high' ? 4 : 0);

export const load = (offset: number): Instruction => ({ code: LD_W_ABS, jt: 0, jf: 0, k: offset });
export const and = (mask: number): Instruction => ({ code: ALU_AND_K, jt: 0, jf: 0, k: mask });
export const ret = (value: number): Instruction => ({ code: RET_K, jt: 0, jf: 0, k: value });

/** `if (A <test> k) goto yes; else goto no;` with the distances counted from the next instruction. */
export function jump(code: number, k: number, yes: number, no: number): Instruction {
  if (yes > FARTHEST || no > FARTHEST) throw new RangeError(`a jump over ${Math.max(yes, no)} instructions`);
  return { code, jt: yes, jf: no, k };
}

/** Both branches end by themselves; the second begins where the first one's code stops. */
export function branch(code: number, k: number, yes: Code, no: Code): Code {
  if (no.length <= FARTHEST) return [jump(code, k, no.length, 0), ...no, ...yes];
  // Too far for a conditional jump: over an unconditional one.
  return [jump(code, k, 0, 1), { code: JMP_JA, jt: 0, jf: 0, k: no.length }, ...no, ...yes];
}

/** The program as the kernel reads it, little-endian. */
export function assemble(code: Code): Uint8Array {
  if (code.length > MOST) throw new RangeError(`a filter of ${code.length} instructions; the kernel takes ${MOST}`);
  const bytes = new Uint8Array(code.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [index, { code: operation, jt, jf, k }] of code.entries()) {
    view.setUint16(index * 8, operation, true);
    view.setUint8(index * 8 + 2, jt);
    view.setUint8(index * 8 + 3, jf);
    view.setUint32(index * 8 + 4, k, true);
  }
  return bytes;
}
