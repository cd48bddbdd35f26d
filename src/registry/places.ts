/** The locations of a repository, one after the other: its mirrors, and the registry itself at last. */
import { BoxctlError } from '../errors.ts';
import type { Endpoints } from './endpoint.ts';
import { Failure, type RegistryCode } from './failure.ts';
import type { Clock, Location } from './options.ts';
import type { Events } from './protocol.ts';
import { MAX_TRIES, waitAfter } from './retry.ts';

/** What is asked for, for messages: `docker.io/library/alpine:3.20`. */
export interface Purpose {
  readonly subject: string;
  readonly events: Events | undefined;
}

/** A mirror that fails is not waited for as long as the registry itself: there is another way. */
const TRIES_WITH_OTHERS = 2;
/** Failures after which a mirror is not asked again by this client. */
const USELESS: ReadonlySet<RegistryCode> = new Set([
  'E_REGISTRY_UNREACHABLE',
  'E_REGISTRY_TIMEOUT',
  'E_REGISTRY_TLS',
  'E_REGISTRY_PROXY',
  'E_REGISTRY_PROTOCOL',
]);

export class Places {
  readonly #endpoints: Endpoints;
  readonly #clock: Clock;
  /** Hosts of mirrors. */
  readonly #useless = new Set<string>();

  constructor(endpoints: Endpoints, clock: Clock) {
    this.#endpoints = endpoints;
    this.#clock = clock;
  }

  /**
   * What `work` gives at the first location where it succeeds. A mirror that fails, in whatever way, is passed over; of
   * several failures that of the registry itself says what a person reads. `work` may be called again at the same location.
   *
   * @throws BoxctlError
   */
  async first<T>(
    locations: readonly Location[],
    { subject, events }: Purpose,
    work: (location: Location) => Promise<T>,
  ): Promise<T> {
    const failed: Failed[] = [];
    for (const [index, location] of locations.entries()) {
      const isLast = index + 1 === locations.length;
      if (!isLast && this.#useless.has(location.host)) continue;
      for (let failures = 1; ; failures++) {
        try {
          return await work(location);
        } catch (error) {
          const last = await this.settle(error, failures, location, isLast, events);
          if (last === undefined) continue;
          failed.push({ host: location.host, failure: last });
          break;
        }
      }
    }
    throw asError(subject, failed);
  }

  /** Whether a mirror is passed over because it was of no use before. */
  isUseless({ host }: Location): boolean {
    return this.#useless.has(host);
  }

  /**
   * After a failure: waits until the next try, or gives the failure with which the location is left. What is no Failure is
   * thrown.
   */
  async settle(
    error: unknown,
    failures: number,
    location: Location,
    isLast: boolean,
    events: Events | undefined,
  ): Promise<Failure | undefined> {
    if (!(error instanceof Failure)) throw error;
    // One that has answered before and refuses connections now is started anew perhaps.
    const isBack = error.code === 'E_REGISTRY_UNREACHABLE' && this.#endpoints.hasAnswered(location);
    const failure = isBack ? new Failure(error.code, error.message, { ...error.options, retry: true }) : error;
    const retrying = { clock: this.#clock, signal: events?.signal, onRetry: events?.onRetry };
    try {
      await waitAfter(failure, failures, isLast ? MAX_TRIES : TRIES_WITH_OTHERS, retrying);
      return undefined;
    } catch (last) {
      if (!(last instanceof Failure)) throw last;
      if (!isLast && USELESS.has(last.code)) this.#useless.add(location.host);
      return last;
    }
  }
}

export interface Failed {
  readonly host: string;
  readonly failure: Failure;
}

/** The error of all locations; the last is the registry itself. */
export function asError(subject: string, failed: readonly Failed[]): BoxctlError {
  const last = failed.at(-1);
  if (last === undefined) throw new Error('nothing failed');
  const { host, failure } = last;
  const mirrors = failed.slice(0, -1).map((one) => `; its mirror ${one.host}: ${one.failure.message}`);
  const { hint } = failure.options;
  const message = `${subject}: ${host}: ${failure.message}${mirrors.join('')}`;
  return new BoxctlError(failure.code, message, hint === undefined ? {} : { hint: hint.replaceAll('HOST', host) });
}
