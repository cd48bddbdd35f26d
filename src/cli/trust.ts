/** Whether a container may start: what it demands of the host against `--allow`, the policy files, and `boxctl allow`. */
import { BoxctlError } from '../errors.ts';
import type { Demand, DemandKind } from '../model/demand.ts';
import type { AllowsFile } from '../spec/context.ts';
import type { SpecDocument } from '../spec/spec.ts';
import { effectiveUser } from '../inputs/outside.ts';
import { parsePermit, unpermitted, type Permit } from '../trust/permits.ts';
import { readPolicies } from '../trust/policy.ts';
import { quote, refuseUnpermitted } from '../trust/refuse.ts';
import { identityOf, permitsOf as permitsOfRecord, recall, type Keeper } from '../trust/remembered.ts';
import type { Invocation } from './command.ts';
import { homeOf } from './home.ts';

/** What the command line allows. */
export function permitsOf({ args, cwd, env }: Invocation): readonly Permit[] {
  return args.values('allow').map((text) => parsePermit(text, { folder: cwd, home: homeOf(env) }));
}

/** The caller, whose policy files and remembered permits count. */
export function keeperOf({ env }: Invocation): Keeper {
  return { env, home: homeOf(env), euid: effectiveUser() };
}

type Judged = Pick<SpecDocument, 'file' | 'folder'>;

interface Standing {
  readonly permits: readonly Permit[];
  /** Why remembered permits are ignored. */
  readonly problems: readonly string[];
}

/** What is allowed for good: by policy files, and for this file. */
export function standingPermits(invocation: Invocation, { file, folder }: Judged): Standing {
  const keeper = keeperOf(invocation);
  const policies = readPolicies({ ...keeper, folder });
  try {
    const record = recall(keeper, identityOf(file));
    return { permits: [...policies, ...(record === undefined ? [] : permitsOfRecord(record))], problems: [] };
  } catch (error) {
    if (!(error instanceof BoxctlError) || error.code !== 'E_ALLOWED_UNSAFE') throw error;
    return { permits: policies, problems: [`note: ${error.message}`] };
  }
}

const KINDS = {
  bind: 'bind',
  image: 'image',
  env_file: 'env_file',
  seccomp: 'profile',
  public_key: 'key',
  secret: 'secret',
  config: 'config',
} as const satisfies Record<string, DemandKind>;

/** Whether a file outside of the folder of a container file may be opened while that is loaded. */
export function filesAllowedBy(invocation: Invocation, named: string): AllowsFile {
  return (kind, file, folder) => {
    const demand: Demand = { kind: KINDS[kind], value: file, message: '', because: { kind: 'default', name: '' } };
    const isLeft = (permits: readonly Permit[]): boolean => unpermitted([demand], permits).length > 0;
    return !isLeft(permitsOf(invocation)) || !isLeft(standingPermits(invocation, { file: named, folder }).permits);
  };
}

/** Throws E_NOT_ALLOWED. Policy files and remembered permits are read only where `permits` is not enough. */
export function checkDemands(
  invocation: Invocation,
  document: SpecDocument,
  demands: readonly Demand[],
  permits: readonly Permit[],
): void {
  const isUnread = demands.some(({ unread }) => unread === true);
  if (!isUnread && unpermitted(demands, permits).length === 0) return;
  const standing = standingPermits(invocation, document);
  refuseUnpermitted(
    demands,
    [...permits, ...standing.permits],
    [
      ...standing.problems,
      `to be asked once, and not again until it asks for more: boxctl allow ${quote(document.file)}`,
    ],
  );
}

/** The demands that are allowed without `--allow`. */
export function allowedForGood(
  invocation: Invocation,
  document: SpecDocument,
  demands: readonly Demand[],
): ReadonlySet<Demand> {
  if (demands.length === 0) return new Set();
  const refused = new Set(unpermitted(demands, standingPermits(invocation, document).permits));
  return new Set(demands.filter((demand) => !refused.has(demand)));
}
