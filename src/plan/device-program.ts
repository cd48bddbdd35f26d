/**
 * Rules for devices as a program of the kernel's (BPF_PROG_TYPE_CGROUP_DEVICE; instruction-set.rst and linux/bpf.h): given
 * the device and what is to be done with it, 1 lets that happen.
 */

/** Without a minor number: all of that major one. */
export interface DeviceRule {
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number | undefined;
  /** Letters of r, w and m, in this order. */
  readonly access: string;
}

/** Class, operation and source of an instruction. */
const OP = {
  LOAD_W: 0x61,
  MOV64: 0xb7,
  MOV32_REG: 0xbc,
  AND32: 0x54,
  RSH32: 0x74,
  JNE: 0x55,
  EXIT: 0x95,
} as const;
const INSTRUCTION_SIZE = 8;

const R = { result: 0, context: 1, type: 2, access: 3, major: 4, minor: 5, rest: 6 } as const;
/** Offsets in struct bpf_cgroup_dev_ctx; its first word is `access << 16 | type`. */
const FIELD = { accessType: 0, major: 4, minor: 8 } as const;
const TYPES = { b: 1, c: 2 } as const;
const ACCESS: Readonly<Record<string, number>> = { m: 1, r: 2, w: 4 };
const ALL = 7;

interface Instruction {
  readonly code: number;
  readonly to: number;
  readonly from?: number;
  readonly off?: number;
  readonly imm?: number;
}

const EXIT: Instruction = { code: OP.EXIT, to: 0 };
const answer = (imm: 0 | 1): readonly Instruction[] => [{ code: OP.MOV64, to: R.result, imm }, EXIT];

/** Jumps to the next rule if type, number or access do not match. */
function ruleCode({ type, major, minor, access }: DeviceRule): readonly Instruction[] {
  const given = [...access].reduce((sum, letter) => sum | (ACCESS[letter] ?? 0), 0);
  const body: readonly Instruction[] = [
    { code: OP.JNE, to: R.type, imm: TYPES[type] },
    { code: OP.JNE, to: R.major, imm: major },
    ...(minor === undefined ? [] : [{ code: OP.JNE, to: R.minor, imm: minor }]),
    { code: OP.MOV32_REG, to: R.rest, from: R.access },
    { code: OP.AND32, to: R.rest, imm: ALL & ~given },
    { code: OP.JNE, to: R.rest, imm: 0 },
    ...answer(1),
  ];
  return body.map((one, index) => (one.code === OP.JNE ? { ...one, off: body.length - index - 1 } : one));
}

/** An array of struct bpf_insn, little-endian. What no rule allows is refused. */
export function deviceProgram(rules: readonly DeviceRule[]): Uint8Array {
  const program: readonly Instruction[] = [
    { code: OP.LOAD_W, to: R.type, from: R.context, off: FIELD.accessType },
    { code: OP.MOV32_REG, to: R.access, from: R.type },
    { code: OP.AND32, to: R.type, imm: 0xffff },
    { code: OP.RSH32, to: R.access, imm: 16 },
    { code: OP.LOAD_W, to: R.major, from: R.context, off: FIELD.major },
    { code: OP.LOAD_W, to: R.minor, from: R.context, off: FIELD.minor },
    ...rules.flatMap(ruleCode),
    ...answer(0),
  ];
  const view = new DataView(new ArrayBuffer(program.length * INSTRUCTION_SIZE));
  for (const [index, { code, to, from = 0, off = 0, imm = 0 }] of program.entries()) {
    const at = index * INSTRUCTION_SIZE;
    view.setUint8(at, code);
    view.setUint8(at + 1, (from << 4) | to);
    view.setInt16(at + 2, off, true);
    view.setInt32(at + 4, imm, true);
  }
  return new Uint8Array(view.buffer);
}
