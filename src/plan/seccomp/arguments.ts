/** Comparisons of a system call's 64-bit arguments with a machine that compares 32 bits. */
import type { OciSeccompArg } from '../../oci/config.ts';
import { BPF, type Assembler, type Place } from './bpf.ts';

/** struct seccomp_data: nr, arch, instruction_pointer, args[6], all little endian on the supported machines. */
const ARGUMENTS = 16;
const low = (index: number): number => ARGUMENTS + 8 * index;
const high = (index: number): number => ARGUMENTS + 8 * index + 4;

interface Halves {
  readonly low: number;
  readonly high: number;
}

function halves(value: number): Halves {
  const bits = BigInt.asUintN(64, BigInt(value));
  return { low: Number(bits & 0xffff_ffffn), high: Number(bits >> 32n) };
}

function equal(code: Assembler, index: number, value: Halves, yes: Place, no: Place): Place {
  code.jump(BPF.JEQ, value.low, yes, no);
  const rest = code.load(low(index));
  code.jump(BPF.JEQ, value.high, rest, no);
  return code.load(high(index));
}

/** `operation` decides between equal high halves. */
function greater(code: Assembler, operation: number, index: number, value: Halves, yes: Place, no: Place): Place {
  code.jump(operation, value.low, yes, no);
  const rest = code.load(low(index));
  const same = code.jump(BPF.JEQ, value.high, rest, no);
  code.jump(BPF.JGT, value.high, yes, same);
  return code.load(high(index));
}

function maskedHalf(code: Assembler, offset: number, mask: number, value: number, yes: Place, no: Place): Place {
  if (mask === 0) return value === 0 ? yes : no;
  code.jump(BPF.JEQ, value, yes, no);
  if (mask !== 0xffff_ffff) code.and(mask);
  return code.load(offset);
}

/** Writes the test of one argument in front of its two continuations, and gives its place. */
export function compareArgument(code: Assembler, arg: OciSeccompArg, yes: Place, no: Place): Place {
  const { index } = arg;
  const value = halves(arg.value);
  switch (arg.op) {
    case 'SCMP_CMP_EQ':
      return equal(code, index, value, yes, no);
    case 'SCMP_CMP_NE':
      return equal(code, index, value, no, yes);
    case 'SCMP_CMP_GT':
      return greater(code, BPF.JGT, index, value, yes, no);
    case 'SCMP_CMP_LE':
      return greater(code, BPF.JGT, index, value, no, yes);
    case 'SCMP_CMP_GE':
      return greater(code, BPF.JGE, index, value, yes, no);
    case 'SCMP_CMP_LT':
      return greater(code, BPF.JGE, index, value, no, yes);
    case 'SCMP_CMP_MASKED_EQ': {
      // The OCI keeps the mask in `value` and what is left of the argument in `valueTwo`.
      const left = halves(arg.valueTwo ?? 0);
      const rest = maskedHalf(code, low(index), value.low, left.low, yes, no);
      return maskedHalf(code, high(index), value.high, left.high, rest, no);
    }
  }
}
