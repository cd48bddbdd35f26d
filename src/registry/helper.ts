/** Credential helpers: programs `docker-credential-NAME` that keep credentials (docker/docker-credential-helpers). */
import { spawn } from 'node:child_process';
import { BoxctlError } from '../errors.ts';
import { lookUp } from '../files/programs.ts';
import { isRecord } from '../text/json.ts';
import { safe } from '../text/safe.ts';
import { isCredentialHelper } from './helper-name.ts';
import type { Credentials } from './options.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface HelperOptions {
  readonly env: Environment;
  /** Milliseconds. A helper may ask for the password of a keyring. */
  readonly within?: number;
}

const WITHIN = 60_000;
const MAX_OUTPUT = 64 * 1024;
const MAX_WORDS = 200;
/** What every helper says where it has nothing (`errCredentialsNotFound`). */
const NOT_FOUND = 'credentials not found in native keychain';
/** The name under which a helper has an identity token. */
const TOKEN_NAME = '<token>';

function fail(message: string, hint: string): BoxctlError {
  return new BoxctlError('E_REGISTRY_HELPER', message, { hint });
}

interface Ran {
  readonly status: number | undefined;
  readonly output: string;
  /** Why it did not come to an end of its own. */
  readonly stopped: string | undefined;
}

/** Runs it as the caller, with his environment: keyrings are found by that. It is found by name, in absolute folders of PATH. */
async function run(name: string, action: string, input: string, { env, within = WITHIN }: HelperOptions): Promise<Ran> {
  const program = `docker-credential-${name}`;
  const { found } = isCredentialHelper(name) ? lookUp(program, env['PATH'] ?? '') : { found: undefined };
  if (found === undefined) {
    throw fail(
      `the credential helper ${program} is not installed`,
      'install it, or take its name out of your configuration',
    );
  }
  const child = spawn(found, [action], { env, stdio: ['pipe', 'pipe', 'ignore'], cwd: '/' });
  const parts: Buffer[] = [];
  let size = 0;
  let stopped: string | undefined;
  const stop = (why: string): void => {
    stopped ??= why;
    child.kill('SIGKILL');
    // Its children may hold the pipe open.
    child.stdout.destroy();
  };
  const timer = setTimeout(() => stop(`gives no answer within ${Math.ceil(within / 1000)} seconds`), within);
  child.stdout.on('data', (part: Buffer) => {
    size += part.length;
    if (size > MAX_OUTPUT) stop('gives an answer without end');
    else parts.push(part);
  });
  // One that does not read what it is told ends by itself.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  try {
    const status = await new Promise<number | undefined>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve(code ?? undefined));
    });
    return { status, output: Buffer.concat(parts).toString('utf8').trim(), stopped };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw fail(`${found} cannot be started: ${code}`, 'is it a program for this machine?');
  } finally {
    clearTimeout(timer);
  }
}

/** Its own words, on one line. What looks like an answer is left out, and so is every secret that it was given. */
function wordsOf(output: string, secrets: readonly string[]): string {
  if (/[{}]/u.test(output)) return '';
  const [line = ''] = output.split('\n');
  const redacted = secrets
    .filter((secret) => secret !== '')
    .reduce((text, secret) => text.replaceAll(secret, '…'), line);
  const words = safe(redacted);
  return words === '' ? '' : `: ${words.length > MAX_WORDS ? `${words.slice(0, MAX_WORDS - 1)}…` : words}`;
}

/** Undefined: it has nothing for that. */
async function ask(
  name: string,
  action: 'get' | 'store' | 'erase' | 'list',
  input: string,
  options: HelperOptions,
  secrets: readonly string[] = [],
): Promise<string | undefined> {
  const { status, output, stopped } = await run(name, action, input, options);
  const program = `docker-credential-${name}`;
  if (stopped !== undefined) throw fail(`${program} ${stopped}`, `try it by hand: ${program} list`);
  if (status === 0) return output;
  if (output.includes(NOT_FOUND)) return undefined;
  const how = status === undefined ? 'was killed' : `failed with status ${status}`;
  throw fail(`${program} ${action} ${how}${wordsOf(output, secrets)}`, `try it by hand: ${program} list`);
}

function parseAnswer(name: string, output: string): Readonly<Record<string, unknown>> {
  try {
    const value = JSON.parse(output) as unknown;
    if (isRecord(value)) return value;
  } catch {
    // The error quotes the answer, which has the secret.
  }
  throw fail(`docker-credential-${name} gives an answer that is no JSON object`, 'is it a credential helper?');
}

/**
 * @param server as the helper knows the registry
 * @throws BoxctlError E_REGISTRY_HELPER
 */
export async function fetchFromHelper(
  name: string,
  server: string,
  options: HelperOptions,
): Promise<Credentials | undefined> {
  const output = await ask(name, 'get', server, options);
  if (output === undefined) return undefined;
  const { Username: username, Secret: secret } = parseAnswer(name, output);
  if (typeof username !== 'string' || typeof secret !== 'string' || secret === '') return undefined;
  return username === TOKEN_NAME ? { identityToken: secret } : { username, password: secret };
}

/** @throws BoxctlError E_REGISTRY_HELPER */
export async function storeByHelper(
  name: string,
  server: string,
  { username, password }: { readonly username: string; readonly password: string },
  options: HelperOptions,
): Promise<void> {
  const input = JSON.stringify({ ServerURL: server, Username: username, Secret: password });
  const encoded = Buffer.from(`${username}:${password}`).toString('base64');
  const done = await ask(name, 'store', input, options, [password, encoded]);
  if (done === undefined) throw fail(`docker-credential-${name} did not store it`, 'is it a credential helper?');
}

/** False: it had nothing. Throws E_REGISTRY_HELPER. */
export async function eraseByHelper(name: string, server: string, options: HelperOptions): Promise<boolean> {
  const had = await fetchFromHelper(name, server, options);
  if (had === undefined) return false;
  return (await ask(name, 'erase', server, options)) !== undefined;
}

/** The servers that it has something for, with the names. Throws E_REGISTRY_HELPER. */
export async function listOfHelper(name: string, options: HelperOptions): Promise<readonly string[]> {
  const output = await ask(name, 'list', 'unused', options);
  return output === undefined ? [] : Object.keys(parseAnswer(name, output));
}
