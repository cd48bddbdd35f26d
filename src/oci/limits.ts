/** Memory, swap, processes and processors. What this host cannot apply is an error, or is dropped where the file says so. */
import type { CgroupController, HostFacts } from '../host/facts.ts';
import type { SpecDocument } from '../spec/spec.ts';
import type { OciResources } from './config.ts';
import type { Because, Dropped } from './model.ts';
import type { Problems } from './problems.ts';

/** The scheduler's usual accounting period, in µs. */
const CPU_PERIOD = 100_000;
/** The least that the kernel takes as a quota, in µs. */
const LEAST_QUOTA = 1000;

export interface CompiledLimits {
  readonly resources: OciResources | undefined;
  readonly dropped: readonly Dropped[];
}

export function compileLimits(document: SpecDocument, host: HostFacts, problems: Problems): CompiledLimits {
  const { limits } = document.spec;
  const dropped: Dropped[] = [];

  /** True when the limit can be had; otherwise it is told or dropped. */
  const have = (name: 'memory' | 'swap' | 'pids' | 'cpus', reason: string | undefined, hint: string): boolean => {
    if (reason === undefined) return true;
    const path = `limits.${name}`;
    const because: Because = { kind: 'spec', path, at: document.where(path) };
    if (limits.optional) {
      dropped.push({ what: path, reason, because });
    } else {
      const escape = 'or write `optional: true` beside the limits to go on without those that cannot be had';
      problems.add('E_LIMIT_UNAVAILABLE', path, `the limit cannot be applied here: ${reason}`, `${hint}; ${escape}`);
    }
    return false;
  };
  const controller = (name: 'memory' | 'pids' | 'cpus', kind: CgroupController): boolean => {
    const home = host.cgroup.controllers[kind];
    return home.usable || have(name, home.reason, home.hint);
  };

  const resources: OciResources = {};
  const { memory, swap, pids, cpus } = limits;
  if (memory !== undefined && controller('memory', 'memory')) {
    resources.memory = { limit: memory };
    const reason = host.cgroup.swap ? undefined : 'this kernel does not count swap';
    if (swap !== undefined && have('swap', reason, 'boot with swapaccount=1')) {
      resources.memory = { limit: memory, swap: memory + swap };
    }
  } else if (swap !== undefined && limits.optional) {
    // It goes with the memory's limit, whose problem has been told.
    have('swap', 'there is no limit of memory for it to add to', '');
  }
  if (pids !== undefined && controller('pids', 'pids')) resources.pids = { limit: pids };
  if (cpus !== undefined && controller('cpus', 'cpu')) {
    const quota = Math.round(cpus * CPU_PERIOD);
    if (quota < LEAST_QUOTA) {
      problems.add(
        'E_LIMIT_TOO_SMALL',
        'limits.cpus',
        `the least that the kernel can give is ${LEAST_QUOTA / CPU_PERIOD} of a CPU`,
      );
    }
    resources.cpu = { quota, period: CPU_PERIOD };
  }
  return { resources: Object.keys(resources).length === 0 ? undefined : resources, dropped };
}
