/** `boxctl login`: a name and a password for a registry, checked there and stored. */
import { readSync } from 'node:fs';
import { resolve } from 'node:path';
import { BoxctlError } from '../../errors.ts';
import { canonicalKey, problemOfCredentials } from '../../registry/auth-file.ts';
import { storeLogin, type Login, type StoreOptions } from '../../registry/auth-store.ts';
import { checkLogin } from '../../registry/check-login.ts';
import { pushLocationOf, readRegistries, type RegistriesConfig } from '../../registry/config.ts';
import { findCredentials } from '../../registry/credentials.ts';
import { registryOptions } from '../../registry/person.ts';
import { DOCKER_HUB, isProblem, parseImageName } from '../../text/image-name.ts';
import { cut } from '../../text/quote.ts';
import { safe, safeJson } from '../../text/safe.ts';
import { askLine, canAsk } from '../ask.ts';
import type { Arguments, Invocation, Run } from '../command.ts';
import { homeOf } from '../home.ts';
import { jsonMessages, textMessages, type Messages } from '../messages.ts';
import { isTerminal, wantsColor, writeOutput } from '../output.ts';

const MAX_PASSWORD = 64 * 1024;

export const usage = (message: string, hint: string): BoxctlError => new BoxctlError('E_USAGE', message, { hint });

/** What `login` and `logout` work with. */
export interface Setting {
  readonly config: RegistriesConfig;
  readonly options: StoreOptions;
  readonly messages: Messages;
}

export function settingOf({ args, cwd, env }: Invocation): Setting {
  const messages = args.flag('json') ? jsonMessages : textMessages(wantsColor(2, env), false);
  const person = { env, home: homeOf(env), note: (message: string) => messages.warning(message, undefined) };
  const config = readRegistries(person);
  const named = args.value('authfile');
  const authFile = named === undefined ? undefined : resolve(cwd, named);
  return { config, messages, options: { ...person, helpers: config.credentialHelpers, authFile } };
}

/**
 * The registry, with a path where one is given, by which credentials are kept: `docker.io`, `quay.io/org`. Without a word: the
 * first registry that short names are searched in.
 */
export function registryOf(args: Arguments, { shortNames }: RegistriesConfig): string {
  // Words too many may be a name and a password. They are not repeated.
  if (args.positionals.length > 1) {
    throw usage('one registry at a time', 'the name comes after --username, and the password from --password-stdin');
  }
  const given = args.positionals[0] ?? shortNames.search?.[0] ?? DOCKER_HUB;
  const key = canonicalKey(given);
  const [, ...path] = key?.split('/') ?? [];
  const isKey = key !== undefined && (path.length === 0 || !isProblem(parseImageName(`localhost/${path.join('/')}`)));
  if (isKey && !/[@]/u.test(given) && !/:[^/]*$/u.test(path.join('/'))) return key;
  throw usage(`"${cut(safe(given.replace(/^.*@/su, '…@')))}" is no registry`, 'ghcr.io, localhost:5000, quay.io/org');
}

/** The last line feed is the terminal's or the editor's. */
function readPassword(): string {
  const buffer = Buffer.alloc(MAX_PASSWORD + 1);
  let length = 0;
  for (let got = -1; got !== 0 && length <= MAX_PASSWORD; length += got) {
    got = readSync(0, buffer, length, buffer.length - length, null);
  }
  if (length > MAX_PASSWORD) throw usage(`the password is longer than ${MAX_PASSWORD} bytes`, 'is it the right file?');
  return buffer.toString('utf8', 0, length).replace(/\r?\n$/u, '');
}

async function askLogin(args: Arguments, key: string): Promise<Login> {
  const fromInput = args.flag('password-stdin') && !isTerminal(0);
  const named = args.value('username');
  if (fromInput) {
    if (named === undefined)
      throw usage('--password-stdin needs --username', `boxctl login -u NAME --password-stdin ${key}`);
    return { username: named, password: readPassword() };
  }
  if (!canAsk()) {
    throw new BoxctlError('E_NOT_A_TERMINAL', 'nobody can be asked for a password here', {
      hint: `boxctl login -u NAME --password-stdin ${key} < FILE`,
    });
  }
  const username = named ?? (await askLine(`Name at ${key}: `, { secret: false })).trim();
  if (username === '') throw usage('no name was given', `boxctl login -u NAME ${key}`);
  return { username, password: await askLine('Password: ', { secret: true }) };
}

function checkWords({ username, password }: Login): void {
  if (username === '') throw usage('the name is empty', '--username NAME');
  if (password === '') throw usage('the password is empty', 'nothing was stored');
  const problem = problemOfCredentials(username, password);
  if (problem !== undefined) throw usage(problem, 'registries cannot be sent such a name or password');
}

async function tellLogin(key: string, { options }: Setting): Promise<number> {
  const [host = '', ...path] = key.split('/');
  const env = options.authFile === undefined ? options.env : { ...options.env, REGISTRY_AUTH_FILE: options.authFile };
  const found = await findCredentials(host, path.join('/'), { ...options, env });
  if (found === undefined) {
    throw new BoxctlError('E_REGISTRY_NOT_LOGGED_IN', `nobody is logged in to ${key}`, { hint: `boxctl login ${key}` });
  }
  const { credentials } = found;
  writeOutput(`${safe('username' in credentials ? credentials.username : '<token>')}\n`);
  return 0;
}

async function loginTo(key: string, setting: Setting, invocation: Invocation): Promise<number> {
  const { args } = invocation;
  const { config, options, messages } = setting;
  const [registry = '', ...path] = key.split('/');
  // Before anybody is asked for a password: a registry that is blocked is not talked to.
  const location = pushLocationOf({ registry, repository: path.join('/'), tag: undefined, digest: undefined }, config);
  const login = await askLogin(args, key);
  checkWords(login);
  const isChecked = await checkLogin(location, login, registryOptions(options, config));
  if (!isChecked) {
    messages.warning(`${registry} asks nobody for a name, so the password was not checked`, undefined);
  }
  const where = await storeLogin(key, login, options);
  if (args.flag('json')) {
    writeOutput(`${safeJson({ registry: key, username: login.username, checked: isChecked, stored: where }, 2)}\n`);
  } else {
    const how = where.startsWith('/') ? 'for you alone to read, and not encrypted' : 'by the helper';
    writeOutput(`logged in to ${key} as ${safe(login.username)}: kept in ${safe(where)}, ${how}\n`);
  }
  return 0;
}

export const login: Run = async (invocation) => {
  const { args } = invocation;
  if (args.flag('password')) {
    throw usage(
      'a password on the command line can be read by every process',
      'use --password-stdin, or answer the question',
    );
  }
  if (args.flag('get-login') && (args.flag('password-stdin') || args.flag('username'))) {
    throw usage('--get-login only tells a name', 'leave out the other options');
  }
  const setting = settingOf(invocation);
  const key = registryOf(args, setting.config);
  return args.flag('get-login') ? tellLogin(key, setting) : loginTo(key, setting, invocation);
};
