/** How an ordinary user comes by subordinate ids (subuid(5), newuidmap(1)). */
import type { HostFacts, IdRange } from './facts.ts';

/** What useradd(8) begins with, and gives to one user. */
const FIRST = 100_000;
const SIZE = 65_536;
const LAST = 4_294_967_294;

type Facts = Pick<
  HostFacts,
  'takenIds' | 'subuids' | 'subgids' | 'newuidmap' | 'newgidmap' | 'userName' | 'ownUids' | 'ownGids'
>;

/** The lowest range of the usual size that nobody has; undefined where there is none. */
export function nextFreeRange({ takenIds, ownUids, ownGids }: Facts): IdRange | undefined {
  const exists = (range: IdRange): boolean =>
    [ownUids, ownGids].every((own) =>
      own.some(({ start, size }) => range.start >= start && range.start + range.size <= start + size),
    );
  // A range that is free begins where it may first, or where another ends.
  const starts = [FIRST, ...takenIds.map(({ start, size }) => start + size)].filter((start) => start >= FIRST);
  const free = starts
    .map((start) => ({ start, size: SIZE }))
    .filter((range) => range.start + SIZE - 1 <= LAST && exists(range))
    .filter((range) => !takenIds.some(({ start, size }) => range.start < start + size && start < range.start + SIZE));
  return free.toSorted((a, b) => a.start - b.start)[0];
}

/** The command that gives the user what is missing of user and group ids; undefined where nothing is, or can be given. */
export function grantCommand(facts: Facts): string | undefined {
  const range = nextFreeRange(facts);
  if (range === undefined) return undefined;
  const ids = `${range.start}-${range.start + range.size - 1}`;
  const missing = [
    ...(facts.subuids.length === 0 ? [`--add-subuids ${ids}`] : []),
    ...(facts.subgids.length === 0 ? [`--add-subgids ${ids}`] : []),
  ];
  return missing.length === 0 ? undefined : `sudo usermod ${missing.join(' ')} ${facts.userName ?? '$USER'}`;
}

/** All that is missing, for a hint. */
export function howToGetIds(facts: Facts): string {
  const helpers = facts.newuidmap === undefined || facts.newgidmap === undefined;
  const all = facts.subuids.length > 0 && facts.subgids.length > 0;
  const ranges = grantCommand(facts) ?? 'have ranges added to /etc/subuid and /etc/subgid';
  const parts = [...(helpers ? ['install newuidmap and newgidmap'] : []), ...(all ? [] : [ranges])];
  return parts.join(', and ') || 'have more ranges added to /etc/subuid and /etc/subgid';
}
