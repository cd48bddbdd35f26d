/** The kinds of values that limits have: what is kept of each, and how the schema describes it. */

/** A part of the JSON Schema. */
export type Schema = Readonly<Record<string, unknown>>;

export interface IoDeviceLimit {
  readonly kind: IoLimitKind;
  readonly major: number;
  readonly minor: number;
  /** A weight, bytes or operations a second. */
  readonly value: number;
  readonly specPath: `limits.blkio_config.${IoLimitKind}.${number}`;
}

/** Compose's words for what is limited. */
export type IoLimitKind =
  'weight_device' | 'device_read_bps' | 'device_write_bps' | 'device_read_iops' | 'device_write_iops';

export interface HugePageLimit {
  /** Bytes of a page. */
  readonly page: number;
  /** Bytes. */
  readonly limit: number;
  readonly specPath: `limits.hugetlb.${string}`;
}

/** What is kept of a value, by its kind. */
export interface LimitValues {
  /** Bytes. */
  size: number;
  integer: number;
  number: number;
  /** A list as the kernel writes it, such as `0-3,7`. */
  numbers: string;
  /** Milliseconds. */
  duration: number;
  /** Bits per second. */
  rate: number;
  deviceWeights: readonly IoDeviceLimit[];
  byteRates: readonly IoDeviceLimit[];
  operationRates: readonly IoDeviceLimit[];
  hugePages: readonly HugePageLimit[];
}
export type ValueKind = keyof LimitValues;

const WEIGHT = { type: 'integer', minimum: 10, maximum: 1000, examples: [300] };
const DEVICE_WEIGHT = { path: '/dev/sda', weight: 300 };

/** The keywords that all values of a kind have in the schema. A row adds its bounds and its examples. */
export const KIND_SCHEMAS: Readonly<Record<ValueKind, Schema>> = {
  size: { $ref: '#/definitions/size' },
  integer: { type: 'integer' },
  number: { type: 'number' },
  numbers: { type: ['string', 'integer'], minLength: 1, minimum: 0 },
  duration: { $ref: '#/definitions/duration' },
  rate: { $ref: '#/definitions/rate' },
  deviceWeights: {
    type: 'array',
    items: {
      description: 'A device and its weight.',
      type: 'object',
      additionalProperties: false,
      required: ['path', 'weight'],
      properties: {
        path: { description: 'The device.', $ref: '#/definitions/device' },
        weight: { description: 'Its weight.', ...WEIGHT },
      },
      examples: [DEVICE_WEIGHT],
    },
    examples: [[DEVICE_WEIGHT]],
  },
  byteRates: { $ref: '#/definitions/bytesRates' },
  operationRates: { $ref: '#/definitions/operationRates' },
  hugePages: {
    type: 'object',
    patternProperties: { '^x-': { description: 'Ignored.' } },
    additionalProperties: { description: 'Memory in pages of this size.', $ref: '#/definitions/size' },
  },
};

/** The keywords of a value under a name of Compose, where numbers may be text. */
export const COMPOSE_SCHEMAS: Readonly<Partial<Record<ValueKind, Schema>>> = {
  size: { $ref: '#/definitions/size' },
  integer: { type: ['number', 'string'] },
  number: { type: ['number', 'string'] },
  numbers: { type: 'string', minLength: 1 },
};
