/**
 * The plan and the model of a container in the background, as files. The plan is read again to say why the container ended, and
 * the model to plan an `exec` in it. They hold the container's environment: nobody else can read them (mode 0600, in a folder
 * of the caller's own), and they are not printed as they are.
 */
import { PLAN_VERSION, type Plan } from '../plan/plan.ts';
import { reasonAt, type Because } from '../model/because.ts';
import type { Model } from '../model/model.ts';
import type { EndingPlan } from '../run/ending.ts';
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

/** JSON, with the values that it has no word for. */
export const packed = (value: unknown): string => JSON.stringify(value, pack);
/** What `packed` has made. Throws as JSON.parse does. */
export const unpacked = (text: string): unknown => JSON.parse(text, unpack);

export const packPlan = (plan: Plan): string => JSON.stringify(plan, pack);

function parse(text: string): unknown {
  try {
    return JSON.parse(text, unpack);
  } catch {
    return undefined;
  }
}

/** Undefined where it is the plan of another version of boxctl, or is cut short. */
export function unpackPlan(text: string): Plan | undefined {
  const value = parse(text);
  const isPlan = isRecord(value) && value['version'] === PLAN_VERSION && Array.isArray(value['steps']);
  // Written by this program in a folder of the caller's own: it is as it was packed.
  return isPlan ? (value as unknown as Plan) : undefined;
}

/** What most ends are told by: a hundredth of the plan. A failure, or the filter's end of a command, needs the plan itself. */
export const packEnding = ({ reports, tallies, timeLimit, stop }: Plan): string =>
  packed({ version: PLAN_VERSION, reports, tallies, timeLimit, stop });

/** Undefined where it is of another version of boxctl, or is cut short. */
export function unpackEnding(text: string): EndingPlan | undefined {
  const value = parse(text);
  if (!isRecord(value) || value['version'] !== PLAN_VERSION || !Array.isArray(value['reports'])) return undefined;
  // As above.
  return { ...(value as unknown as EndingPlan), steps: [] };
}

/** What an `exec` needs of a model: not the files and interfaces that the container was given. */
export function packModel({ because: _because, network: _network, observes: _observes, ...model }: Model): string {
  const kept = {
    ...model,
    contents: [],
    mounts: [],
    devices: [],
    ownFiles: [],
    demands: [],
    warnings: [],
    dropped: [],
  };
  return JSON.stringify({ version: PLAN_VERSION, model: kept }, pack);
}

/** Undefined where it is the model of another version of boxctl, or is cut short. */
export function unpackModel(text: string): Model | undefined {
  const value = parse(text);
  if (!isRecord(value) || value['version'] !== PLAN_VERSION || !isRecord(value['model'])) return undefined;
  const { reasons } = value['model'];
  if (!(reasons instanceof Map)) return undefined;
  const known = reasons as ReadonlyMap<string, Because>;
  // As above.
  return { ...(value['model'] as unknown as Model), because: (path) => reasonAt(known, path) };
}
