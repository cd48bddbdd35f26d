/** Differences of what the container can reach, and of who can reach it. */
import { allowance } from '../model/demands.ts';
import type { Demand, DemandKind } from '../model/demand.ts';
import { coversEgress, coversPort } from '../spec/network/target.ts';
import type { NetworkAttachment } from '../spec/network/network.ts';
import { both, moved, reworded, type Change, type Comparison, type Side } from './change.ts';

/** The kinds of demands that are compared here, because one may include another. */
export const NETWORK_DEMANDS: ReadonlySet<DemandKind> = new Set(['network', 'egress', 'reach', 'port']);

function covers(one: Demand, other: Demand): boolean {
  if (allowance(one) === allowance(other)) return true;
  if (one.kind === 'network') return other.kind === 'egress';
  if (one.kind !== other.kind) return false;
  return one.kind === 'port' ? coversPort(one.value, other.value) : coversEgress(one.value, other.value);
}

/** For each side the demands that the other side does not have, or has in a narrower form. */
export const compareReach: Comparison = (old, young) => {
  const of = ({ model }: Side): readonly Demand[] => model.demands.filter(({ kind }) => NETWORK_DEMANDS.has(kind));
  const missing = (from: Side, other: Side, direction: 'gains' | 'loses'): readonly Change[] =>
    of(from)
      .filter((demand) => !of(other).some((known) => covers(known, demand)))
      .map(({ message, because }) => ({
        direction,
        message,
        before: direction === 'loses' ? because : undefined,
        after: direction === 'gains' ? because : undefined,
      }));
  return [...missing(young, old, 'gains'), ...missing(old, young, 'loses')];
};

/** The port of the host for each port of the container. */
export const comparePorts = reworded(
  'ports',
  ({ document }) =>
    (document.spec.network?.ports ?? [])
      .map(({ hostPort, port, protocol }) => `${hostPort}→${port}/${protocol}`)
      .toSorted()
      .join(' ') || 'none',
  'ports',
);

export const compareNetworks: Comparison = (old, young) => {
  const of = ({ document }: Side): readonly NetworkAttachment[] => document.spec.network?.networks ?? [];
  const names = (side: Side): readonly string[] => of(side).map(({ name }) => name);
  const { added, gone } = moved(names(old), names(young));
  const kept = of(young).flatMap((now): readonly Change[] => {
    const then = of(old).find(({ name }) => name === now.name);
    const { specPath } = now;
    if (then === undefined) return [];
    if (then.internal !== now.internal) {
      const [direction, what] = now.internal ? (['loses', 'no way'] as const) : (['gains', 'a way'] as const);
      return [
        both(
          direction,
          `the network ${now.name} has ${what} to the world`,
          old,
          young,
          `${specPath}.internal`,
          specPath,
        ),
      ];
    }
    const said = ({ specPath: _path, subnets, ...rest }: NetworkAttachment): string =>
      JSON.stringify([rest, subnets.map(({ subnet, gateway }) => [subnet, gateway])]);
    if (said(then) === said(now)) return [];
    return [
      both('changes', `the network ${now.name} is another, or the container’s place on it`, old, young, specPath),
    ];
  });
  const told = (direction: 'gains' | 'loses', list: readonly string[], side: Side, words: string): readonly Change[] =>
    of(side)
      .filter(({ name }) => list.includes(name))
      .map(({ name, specPath }) =>
        both(
          direction,
          words.replace('NAME', () => name),
          old,
          young,
          specPath,
        ),
      );
  return [
    ...told('gains', added, young, 'is on the network NAME, with other containers'),
    ...told('loses', gone, old, 'is not on the network NAME'),
    ...kept,
  ];
};

export const compareInterface: Comparison = (old, young) => {
  const has = ({ document }: Side): boolean => document.spec.network !== undefined;
  if (has(old) === has(young)) return [];
  const message = has(young) ? 'has an interface of its own beside `lo`' : 'has `lo` alone';
  return [both(has(young) ? 'gains' : 'loses', message, old, young, 'network_mode', 'networks')];
};

export const compareMac = reworded(
  'mac_address',
  ({ document }) => document.spec.network?.macAddress ?? 'boxctl’s own',
  'mac_address',
);

export const compareDns = reworded(
  'name servers',
  ({ document }) => {
    const { servers, search, options } = document.spec.dns ?? {};
    const words = (list: readonly string[] | undefined): string => (list === undefined ? 'the host’s' : list.join(' '));
    return `${words(servers)}, search ${words(search)}, options ${words(options)}`;
  },
  'dns',
  'dns_search',
  'dns_opt',
);

export const compareExtraHosts = reworded(
  'extra_hosts',
  ({ document }) =>
    (document.spec.extraHosts ?? []).map(({ name, address }) => `${name}=${address}`).join(' ') || 'none',
  'extra_hosts',
);
