/** Which of the possible places in the unified hierarchy a container gets. */
import type { CgroupController } from '../kernel/cgroup.ts';
import type { CgroupFacts, UnifiedHome } from './facts.ts';

/** A process has one cgroup: the nearest home that has the most of what is wanted. */
export function homeFor(facts: CgroupFacts, wanted: readonly CgroupController[]): UnifiedHome | undefined {
  let best: UnifiedHome | undefined;
  let most = 0;
  for (const home of facts.unified) {
    const count = wanted.filter((controller) => home.controllers.includes(controller)).length;
    if (count > most) [best, most] = [home, count];
  }
  return best;
}
