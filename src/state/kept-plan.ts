/**
 * The plan of a container in the background, as a file. It is read again to say why the container ended, and which steps an
 * `exec` must make like it. It holds the container's environment: nobody else can read it (mode 0600, in a folder of the
 * caller's own), and it is not printed as it is.
 */
import { PLAN_VERSION, type Plan } from '../plan/plan.ts';
import { isRecord } from '../text/json.ts';

/** Values that JSON has no word for. */
type Packed = { readonly $bytes: string } | { readonly $bigint: string } | { readonly $map: readonly unknown[] };

function pack(this: unknown, key: string, value: unknown): unknown {
  // A Buffer has been made an object already when it comes here as `value`.
  const given = isRecord(this) || Array.isArray(this) ? (this as Readonly<Record<string, unknown>>)[key] : value;
  if (given instanceof Uint8Array) return { $bytes: Buffer.from(given).toString('base64') } satisfies Packed;
  if (typeof given === 'bigint') return { $bigint: given.toString() } satisfies Packed;
  if (given instanceof Map) return { $map: [...given] } satisfies Packed;
  return value;
}

function unpack(_key: string, value: unknown): unknown {
  if (!isRecord(value)) return value;
  const { $bytes: bytes, $bigint: bigint, $map: map } = value;
  if (typeof bytes === 'string') return new Uint8Array(Buffer.from(bytes, 'base64'));
  if (typeof bigint === 'string') return BigInt(bigint);
  if (Array.isArray(map)) return new Map(map as readonly (readonly [unknown, unknown])[]);
  return value;
}

export const packPlan = (plan: Plan): string => JSON.stringify(plan, pack);

/** Undefined where it is the plan of another version of boxctl, or is cut short. */
export function unpackPlan(text: string): Plan | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text, unpack);
  } catch {
    return undefined;
  }
  const isPlan = isRecord(value) && value['version'] === PLAN_VERSION && Array.isArray(value['steps']);
  // Written by this program in a folder of the caller's own: it is as it was packed.
  return isPlan ? (value as unknown as Plan) : undefined;
}
