/** The locations of a repository, one after the other: its mirrors, and the registry itself at last. */
import { BoxctlError } from '../errors.ts';
import { Failure, type RegistryCode } from './failure.ts';
import type { Endpoints } from './endpoint.ts';
import type { Location } from './options.ts';
import type { Events } from './protocol.ts';
import { withRetries, type Retrying } from './retry.ts';
import type { Clock } from './options.ts';

/** What is asked for, for messages: `docker.io/library/alpine:3.20`. */
export interface Purpose {
  readonly subject: string;
  readonly events: Events | undefined;
}

export class Places {
  readonly #endpoints: Endpoints;
  readonly #clock: Clock;

  constructor(endpoints: Endpoints, clock: Clock) {
    this.#endpoints = endpoints;
    this.#clock = clock;
  }

  /**
   * What `work` gives at the first location where it succeeds. A mirror that fails, in whatever way, is passed over; of
   * several failures that of the registry itself says what a person reads.
   *
   * @throws BoxctlError
   */
  async first<T>(
    locations: readonly Location[],
    purpose: Purpose,
    work: (location: Location) => Promise<T>,
  ): Promise<T> {
    const failures: Failed[] = [];
    for (const location of locations) {
      try {
        return await this.at(location, purpose, () => work(location));
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        failures.push({ host: location.host, failure: error });
      }
    }
    throw asError(purpose.subject, failures);
  }

  /** The work at one location, repeated where that makes sense. Throws Failure. */
  at<T>(location: Location, { events }: Purpose, work: () => Promise<T>): Promise<T> {
    return withRetries(async () => {
      try {
        return await work();
      } catch (error) {
        throw this.#isWorthIt(error, location) ? asRetryable(error) : error;
      }
    }, this.retrying(events));
  }

  retrying(events: Events | undefined): Retrying {
    return { clock: this.#clock, signal: events?.signal, onRetry: events?.onRetry };
  }

  /** One that has answered before, and refuses connections now, is started anew perhaps. */
  #isWorthIt(error: unknown, location: Location): error is Failure {
    return (
      error instanceof Failure &&
      error.code === 'E_REGISTRY_UNREACHABLE' &&
      error.options.retry !== true &&
      this.#endpoints.hasAnswered(location)
    );
  }
}

export interface Failed {
  readonly host: string;
  readonly failure: Failure;
}

const asRetryable = (failure: Failure): Failure =>
  new Failure(failure.code, failure.message, { ...failure.options, retry: true });

/** The error of all locations; the last is the registry itself. */
export function asError(subject: string, failures: readonly Failed[]): BoxctlError {
  const last = failures.at(-1);
  if (last === undefined) throw new Error('nothing failed');
  const { host, failure } = last;
  const mirrors = failures.slice(0, -1).map((one) => `; its mirror ${one.host}: ${one.failure.message}`);
  const { hint } = failure.options;
  const code: RegistryCode = failure.code;
  const message = `${subject}: ${host}: ${failure.message}${mirrors.join('')}`;
  return new BoxctlError(code, message, hint === undefined ? {} : { hint: hint.replaceAll('HOST', host) });
}
