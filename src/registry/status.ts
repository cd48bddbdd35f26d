/** Answers that are no success: what the status means, and what the registry itself says (distribution specification, "Error Codes"). */
import { isRecord } from '../text/json.ts';
import { clipped, Failure, type FailureOptions } from './failure.ts';
import { LONGEST_WAIT, retryAfter } from './retry.ts';
import type { Answer } from './transport.ts';

const MAX_ERROR_BODY = 64 * 1024;
/** Milliseconds for what is only shown. */
const ERROR_BODY_WITHIN = 5000;

/** Of at most three errors: `message`, with `code` where that says more. */
function wordsOf(body: string): string {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return '';
  }
  if (!isRecord(value)) return '';
  const errors: readonly unknown[] = Array.isArray(value['errors']) ? value['errors'].slice(0, 3) : [value];
  const words = errors.flatMap((error) => {
    if (!isRecord(error)) return [];
    const { code, message, error_description: description } = error;
    const said = [message, description, code].find((text) => typeof text === 'string' && text !== '');
    return typeof said === 'string' ? [said] : [];
  });
  return clipped(words.join('; '));
}

/** The registry's own words, or the status when it has none. The body is read. */
async function saidBy(answer: Answer): Promise<string> {
  let body = '';
  try {
    body = (await answer.whole(MAX_ERROR_BODY, ERROR_BODY_WITHIN)).toString();
  } catch {
    // What matters is the status.
  }
  const words = wordsOf(body);
  return words === '' ? `status ${answer.status}` : `status ${answer.status}: ${words}`;
}

const when = (ms: number, now: number): string => {
  const minutes = Math.ceil(ms / 60_000);
  const at = new Date(now + ms).toISOString().slice(0, 16).replace('T', ' ');
  return `come back in ${minutes} minutes, after ${at} UTC`;
};

/** What 401 means where a name and a password were sent, for nothing in particular. */
export async function refusedLogin(answer: Answer): Promise<Failure> {
  return new Failure('E_REGISTRY_AUTH', `it refuses the name or the password (${await saidBy(answer)})`);
}

/** What the answer means where a success was wanted. Reads its body. */
export async function failureOf(answer: Answer, what: string, login: string, now: number): Promise<Failure> {
  const { status } = answer;
  const said = await saidBy(answer);
  const after = retryAfter(answer.headers['retry-after'], now);
  const make = (code: Failure['code'], text: string, options: FailureOptions = {}): Failure =>
    new Failure(code, `${text} (${said})`, options);
  switch (status) {
    case 401:
      return make(
        'E_REGISTRY_AUTH',
        'it wants a name and a password, refuses those that it got, or has no such image',
        {
          hint: `boxctl login ${login}`,
        },
      );
    case 403:
      return make('E_REGISTRY_DENIED', 'it does not allow this', {
        hint: `with an account that may: boxctl login ${login}`,
      });
    case 404:
      return make('E_REGISTRY_NOT_FOUND', `it has no such ${what}`);
    case 408:
    case 425:
      return make('E_REGISTRY_FAILED', 'it wants the request again', { retry: true, after });
    case 429: {
      const later = after !== undefined && after > LONGEST_WAIT ? when(after, now) : undefined;
      return make('E_REGISTRY_RATE_LIMIT', 'it has had too many requests from here', {
        retry: true,
        after,
        hint: later ?? `requests with an account often count less: boxctl login ${login}`,
      });
    }
    default:
      if (status >= 500) {
        const later = after !== undefined && after > LONGEST_WAIT ? when(after, now) : undefined;
        return make('E_REGISTRY_FAILED', 'it has an error of its own', { retry: status !== 501, after, hint: later });
      }
      return make('E_REGISTRY_PROTOCOL', 'it answers in a way that registries do not');
  }
}
