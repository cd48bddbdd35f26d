/** Whether a container may start: what it demands of the host against `--allow` and the policy files. */
import type { Demand } from '../oci/demands.ts';
import type { SpecDocument } from '../spec/spec.ts';
import { parsePermit, unpermitted, type Permit } from '../trust/permits.ts';
import { readPolicies } from '../trust/policy.ts';
import { refuseUnpermitted } from '../trust/refuse.ts';
import type { Invocation } from './command.ts';
import { homeOf } from './environment.ts';

/** What the command line allows. */
export function permitsOf({ args, cwd, env }: Invocation): readonly Permit[] {
  return args.values('allow').map((text) => parsePermit(text, { folder: cwd, home: homeOf(env) }));
}

/** Throws E_NOT_ALLOWED. Policy files are read only where there is something left to allow. */
export function checkDemands(
  { env }: Invocation,
  { folder }: SpecDocument,
  demands: readonly Demand[],
  permits: readonly Permit[],
): void {
  if (unpermitted(demands, permits).length === 0) return;
  const euid = process.geteuid?.() ?? 0;
  refuseUnpermitted(demands, [...permits, ...readPolicies({ env, home: homeOf(env), euid, folder })]);
}
