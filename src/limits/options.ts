/** The options of `boxctl update`, from the table of limits: docker's names for changing the limits of a running container. */
import { parseNumbers, parseSize } from '../text/units.ts';
import { LIMIT_ROWS, type LimitFields, type LimitKey, type Row } from './table.ts';

export interface UpdateOption {
  /** `memory-swap`. */
  readonly name: string;
  readonly key: LimitKey;
  readonly row: Row;
}

export const UPDATE_OPTIONS: readonly UpdateOption[] = LIMIT_ROWS.flatMap(([key, row]) =>
  row.option === undefined ? [] : [{ name: row.option.name, key, row }],
);

/** `unlimited`: the limit is taken away. Undefined: it is no such value. */
export type OptionValue = number | string | 'unlimited' | undefined;

/** The value of an option, in the units that `Spec.limits` has. */
export function parseUpdateOption({ row }: UpdateOption, text: string): OptionValue {
  const number = /^-?\d+(?:\.\d+)?$/u.test(text) ? Number(text) : undefined;
  if (number !== undefined && row.option?.none?.includes(number) === true) return 'unlimited';
  switch (row.kind) {
    case 'size': {
      const size = parseSize(text);
      return size !== undefined && size < (row.least ?? 0) ? undefined : size;
    }
    case 'integer':
      return number !== undefined && Number.isInteger(number) && isWithin(row, number) ? number : undefined;
    case 'number':
      return number !== undefined && isWithin(row, number) ? number : undefined;
    case 'numbers':
      return parseNumbers(text);
    default:
      return undefined;
  }
}

function isWithin({ schema = {} }: Row, number: number): boolean {
  const { minimum = 0, maximum = Number.POSITIVE_INFINITY } = schema as { minimum?: number; maximum?: number };
  return number >= minimum && number <= maximum;
}

/** The limits with one of them changed. `swap` is given as memory and swap together, as docker has it. */
export function changedLimits<T extends LimitFields>(limits: T, { key, row }: UpdateOption, value: number | string): T {
  if (value === 'unlimited') {
    const { [row.field]: _gone, ...rest } = limits;
    return rest as unknown as T;
  }
  const own = key === 'swap' && typeof value === 'number' ? value - (limits.memory ?? 0) : value;
  return { ...limits, [row.field]: own };
}
