/** What the person who runs a specification allows it: the words of `--allow` and of policy files. */
import { resolve } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { DEMAND_KINDS, type Demand, type DemandKind } from '../model/demand.ts';
import { coversEgress, coversPort } from '../spec/network/target.ts';
import { didYouMean } from '../spec/suggest.ts';

export interface Permit {
  readonly kind: DemandKind | 'all';
  /** Undefined: the permit is for every demand of the kind. */
  readonly value: string | undefined;
  /** The bind is allowed read-only, and not writable. */
  readonly readOnly: boolean;
  /** The permit was made from a demand (boxctl allow): its value is compared literally, not as a pattern. */
  readonly exact?: true;
}

const PATHS: ReadonlySet<DemandKind> = new Set([
  'bind',
  'device',
  'join',
  'unmask',
  'image',
  'env_file',
  'profile',
  'key',
  'secret',
  'config',
  'tool',
]);

/** Whether the value of a demand is a path; a permit for one holds for what lies beneath it. */
export function takesPath(kind: DemandKind): boolean {
  return PATHS.has(kind);
}

export interface Base {
  /** What relative paths count from. */
  readonly folder: string;
  /** What `~` is. */
  readonly home: string;
}

function isKind(word: string): word is DemandKind {
  return Object.hasOwn(DEMAND_KINDS, word);
}

function absolute(text: string, { folder, home }: Base): string {
  if (text === '~' || text.startsWith('~/')) return resolve(home, text.slice(2));
  return resolve(folder, text);
}

/**
 * `all`, `KIND` or `KIND=VALUE`; `bind=PATH:ro` allows reading alone.
 *
 * @throws BoxctlError E_USAGE
 */
export function parsePermit(text: string, base: Base): Permit {
  const equals = text.indexOf('=');
  const word = equals < 0 ? text : text.slice(0, equals);
  const value = equals < 0 ? undefined : text.slice(equals + 1);
  if (word === 'all' && value === undefined) return { kind: 'all', value, readOnly: false };
  if (!isKind(word)) {
    const kinds = ['all', ...Object.keys(DEMAND_KINDS)];
    const meant = didYouMean(word, kinds);
    throw new BoxctlError('E_USAGE', `there is nothing called "${word}" to allow`, {
      hint: meant === undefined ? `what can be allowed: ${kinds.join(', ')}` : `did you mean ${meant}?`,
    });
  }
  if (value === '') {
    throw new BoxctlError('E_USAGE', `"${text}" does not say what is allowed`, {
      hint: `--allow ${word}=…, or --allow ${word} for all of them`,
    });
  }
  if (value === undefined) return { kind: word, value, readOnly: false };
  if (word === 'cap') return { kind: word, value: value.toUpperCase().replace(/^CAP_/u, ''), readOnly: false };
  if (!PATHS.has(word)) return { kind: word, value, readOnly: false };
  const readOnly = word === 'bind' && value.endsWith(':ro');
  return { kind: word, value: absolute(readOnly ? value.slice(0, -':ro'.length) : value, base), readOnly };
}

/** What the permit for a kind includes of other kinds. */
const INCLUDES: Partial<Record<DemandKind | 'all', ReadonlySet<DemandKind>>> = {
  privileged: new Set(['cap', 'seccomp', 'unmask']),
  network: new Set(['egress']),
};

/** `FIRST-LAST`, or one number. */
function rangeOf(text: string): readonly [first: number, last: number] {
  const [first = '', last = first] = text.split('-');
  return [Number(first), Number(last)];
}

function coversRange(permitted: string, demanded: string): boolean {
  const [[from, to], [first, last]] = [rangeOf(permitted), rangeOf(demanded)];
  return from <= first && last <= to;
}

function covers(permit: Permit, demand: Demand): boolean {
  if (permit.kind === 'all' || INCLUDES[permit.kind]?.has(demand.kind) === true) return true;
  if (permit.kind !== demand.kind || (permit.readOnly && demand.readOnly !== true)) return false;
  const { value, exact } = permit;
  if (value === undefined || value === demand.value) return true;
  if (PATHS.has(demand.kind)) return demand.value.startsWith(value === '/' ? '/' : `${value}/`);
  switch (demand.kind) {
    case 'cap':
      return value === 'ALL';
    case 'env':
      return exact !== true && value.endsWith('*') && demand.value.startsWith(value.slice(0, -1));
    case 'egress':
    case 'reach':
      return exact !== true && coversEgress(value, demand.value);
    case 'port':
      return exact !== true && coversPort(value, demand.value);
    case 'ids':
      return coversRange(value, demand.value);
    case 'oom_score_adj':
      return Number(value) <= Number(demand.value);
    case 'seccomp':
      return value === 'unconfined';
    default:
      return false;
  }
}

/** The demands that no permit covers. */
export function unpermitted(demands: readonly Demand[], permits: readonly Permit[]): readonly Demand[] {
  return demands.filter((demand) => !permits.some((permit) => covers(permit, demand)));
}
