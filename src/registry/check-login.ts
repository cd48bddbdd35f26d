/** Asks a registry whether a name and a password are right. */
import { Endpoints } from './endpoint.ts';
import { Failure } from './failure.ts';
import type { ClientOptions, Location } from './options.ts';
import { asError } from './places.ts';
import { systemClock } from './retry.ts';
import { failureOf, refusedLogin } from './status.ts';
import { Tokens } from './tokens.ts';
import { Transport } from './transport.ts';
import type { Login } from './auth-store.ts';

const CONNECT_WITHIN = 15_000;
const PATIENCE = 30_000;

/**
 * By the first request of the protocol (distribution specification, "Determining Support"), also with a token for nothing in
 * particular.
 *
 * @returns false where the registry did not ask who we are
 * @throws BoxctlError E_REGISTRY_…
 */
export async function checkLogin(location: Location, login: Login, options: ClientOptions): Promise<boolean> {
  const { env, tlsFor, clock = systemClock } = options;
  let isAsked = false;
  const transport = new Transport({
    env,
    tlsFor,
    userAgent: options.userAgent ?? 'boxctl',
    connectWithin: options.connectWithin ?? CONNECT_WITHIN,
    patience: options.patience ?? PATIENCE,
  });
  const tokens = new Tokens(transport, clock, () => {
    isAsked = true;
    return Promise.resolve(login);
  });
  const endpoints = new Endpoints(transport, tokens, (host) => tlsFor(host) !== undefined);
  try {
    const answer = await endpoints.ask(location, { method: 'GET', path: '', scopes: [] });
    if (answer.status === 401 && isAsked) throw await refusedLogin(answer);
    if (answer.status !== 200) throw await failureOf(answer, 'protocol', location.host, clock.now());
    answer.drop();
    return isAsked;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const isRefused = error.code === 'E_REGISTRY_AUTH' && isAsked;
    const hint = isRefused ? 'many registries want an access token in place of the password' : error.options.hint;
    throw asError(`login as ${login.username}`, [
      { host: location.host, failure: new Failure(error.code, error.message, { ...error.options, hint }) },
    ]);
  } finally {
    transport.close();
  }
}
