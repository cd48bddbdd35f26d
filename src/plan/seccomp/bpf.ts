/**
 * An assembler for classic BPF (linux/filter.h). It writes backwards: jumps only go forward, so every target is known
 * when its jump is written, and one that is out of reach of the eight bits gets a stepping stone.
 */

/** Opcodes (linux/bpf_common.h): class | size | mode, or class | operation | source. */
export const BPF = {
  LD_ABS: 0x20,
  AND: 0x54,
  JA: 0x05,
  JEQ: 0x15,
  JGT: 0x25,
  JGE: 0x35,
  RET: 0x06,
} as const;

interface Instruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

/** How many instructions lie behind the place: it stays true while more are written in front. */
export type Place = number;

/** A conditional jump reaches 255 instructions; one is kept for the second stepping stone. */
const REACH = 254;
const INSTRUCTION_SIZE = 8;

export class Assembler {
  readonly #backwards: Instruction[] = [];
  readonly #returns = new Map<number, Place>();

  get length(): number {
    return this.#backwards.length;
  }

  #put(code: number, k: number, jt = 0, jf = 0): Place {
    this.#backwards.push({ code, jt, jf, k });
    return this.#backwards.length - 1;
  }

  /** Instructions between the next one that is written and the target. */
  #distance(target: Place): number {
    return this.#backwards.length - 1 - target;
  }

  #reachable(target: Place): Place {
    return this.#distance(target) < REACH ? target : this.#put(BPF.JA, this.#distance(target));
  }

  /** Where the program ends with this value; one that is near is used again. */
  ret(value: number): Place {
    const known = this.#returns.get(value);
    if (known !== undefined && this.#distance(known) < REACH) return known;
    const place = this.#put(BPF.RET, value);
    this.#returns.set(value, place);
    return place;
  }

  /** Makes the place the one that follows what is written next. */
  goTo(target: Place): Place {
    return this.#distance(target) === 0 ? target : this.#put(BPF.JA, this.#distance(target));
  }

  /** Loads 32 bits of struct seccomp_data and goes on with what was written last. */
  load(offset: number): Place {
    return this.#put(BPF.LD_ABS, offset);
  }

  and(mask: number): Place {
    return this.#put(BPF.AND, mask);
  }

  jump(code: number, k: number, yes: Place, no: Place): Place {
    const near = this.#reachable(yes);
    const other = this.#reachable(no);
    return this.#put(code, k, this.#distance(near), this.#distance(other));
  }

  /** Array of struct sock_filter, little endian. */
  bytes(): Uint8Array {
    const view = new DataView(new ArrayBuffer(this.#backwards.length * INSTRUCTION_SIZE));
    for (const [index, { code, jt, jf, k }] of this.#backwards.toReversed().entries()) {
      const at = index * INSTRUCTION_SIZE;
      view.setUint16(at, code, true);
      view.setUint8(at + 2, jt);
      view.setUint8(at + 3, jf);
      view.setUint32(at + 4, k, true);
    }
    return new Uint8Array(view.buffer);
  }
}
