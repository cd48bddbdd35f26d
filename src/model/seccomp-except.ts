/**
 * "Every value but these", written so that the order of the rules does not matter. libseccomp, with which other runtimes
 * read a bundle's profile, lets a rule without conditions override all the others of its call; so the allowed values are
 * listed by what tells them from the refused ones, bit by bit.
 */
import type { OciSeccompRule } from '../oci/config.ts';

const NIBBLE = 0xf;

/**
 * Allows the call where the lower 32 bits of an argument, all that the kernel looks at, are none of `values`, which must
 * differ in their last four bits alone. Most calls are decided by those.
 */
export function allowExcept(name: string, index: number, values: readonly number[]): OciSeccompRule[] {
  const [first = 0] = values;
  if (values.some((value) => value >>> 4 !== first >>> 4)) throw new Error('the values differ in more than four bits');
  const where = (mask: number, left: number): OciSeccompRule => ({
    names: [name],
    action: 'SCMP_ACT_ALLOW',
    args: [{ index, value: mask, valueTwo: left, op: 'SCMP_CMP_MASKED_EQ' }],
  });
  const refused = new Set(values.map((value) => value & NIBBLE));
  const byNibble = [...Array(NIBBLE + 1).keys()].filter((end) => !refused.has(end)).map((end) => where(NIBBLE, end));
  const byBit = [...Array(28).keys()].map((offset) => {
    const bit = 2 ** (offset + 4);
    return where(bit, Math.floor(first / bit) % 2 === 0 ? bit : 0);
  });
  return [...byNibble, ...byBit];
}
