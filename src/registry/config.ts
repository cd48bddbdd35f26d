/** registries.conf as a whole: which files are read, and what they say together (containers-registries.conf(5), containers-registries.conf.d(5)). */
import { isUtf8 } from 'node:buffer';
import { effectiveUser, lstatSync, readdirSync } from '../inputs/outside.ts';
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { whyNot } from '../files/read.ts';
import { readTrustedFile } from '../host/trusted-file.ts';
import { parseRegistriesFile, type RegistriesFile, type RegistryRule } from './config-file.ts';
import { AUTH_FILES } from './helper-name.ts';
import type { Location } from './options.ts';
import { matchOf, rewritten, weightOf, writePrefix, type Prefix } from './prefix.ts';
import { writeReference, type Reference } from './reference.ts';
import { PLAIN_SHORT_NAMES, type ShortNames } from './short-names.ts';

/** Whose configuration is read. */
export interface ConfigOwner {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
}

export interface RegistriesConfig {
  /** What was read, in this order. */
  readonly files: readonly string[];
  /** Keys that have no effect, as sentences with file and line. */
  readonly unknown: readonly string[];
  readonly shortNames: ShortNames;
  readonly rules: readonly RegistryRule[];
  /** Names of credential helpers; `containers-auth.json` stands for the files. */
  readonly credentialHelpers: readonly string[];
}

const SYSTEM = '/etc/containers/registries.conf';

/** `$XDG_CONFIG_HOME/containers`, or `~/.config/containers`. */
export function configFolder({ env, home }: ConfigOwner): string {
  const chosen = env['XDG_CONFIG_HOME'];
  return join(chosen?.startsWith('/') === true ? chosen : join(home, '.config'), 'containers');
}

/** Aliases that podman has written down where somebody chose among several registries. */
function chosenAliases({ env, home }: ConfigOwner): string {
  if (effectiveUser() === 0) return '/var/cache/containers/short-name-aliases.conf';
  const chosen = env['XDG_CACHE_HOME'];
  return join(chosen?.startsWith('/') === true ? chosen : join(home, '.cache'), 'containers/short-name-aliases.conf');
}

function fail(message: string, hint?: string): BoxctlError {
  return new BoxctlError('E_REGISTRY_CONFIG', message, hint === undefined ? {} : { hint });
}

const isThere = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

/** The drop-in files of a folder, in alphabetical order. */
function dropIns(folder: string): readonly string[] {
  try {
    const names = readdirSync(folder).filter((name) => name.endsWith('.conf') && !name.startsWith('.'));
    return names.toSorted().map((name) => join(folder, name));
  } catch (error) {
    const { missing, problem } = whyNot(error);
    if (missing) return [];
    throw fail(`the folder ${folder} cannot be read: ${problem}`);
  }
}

interface Place {
  readonly path: string;
  /** The person has named it. */
  readonly isNamed?: boolean;
}

/** In the order in which they are read; a later one takes precedence. */
function places(owner: ConfigOwner): readonly Place[] {
  const named = owner.env['CONTAINERS_REGISTRIES_CONF'] ?? '';
  const namedFolder = owner.env['CONTAINERS_REGISTRIES_CONF_DIR'] ?? '';
  const own = join(configFolder(owner), 'registries.conf');
  const hasOwn = named === '' && isThere(own);
  const main: Place = named === '' ? { path: hasOwn ? own : SYSTEM } : { path: named, isNamed: true };
  const folders = namedFolder === '' ? [...(hasOwn ? [] : [`${SYSTEM}.d`]), `${own}.d`] : [namedFolder];
  for (const path of [main.path, ...folders]) {
    if (!path.startsWith('/')) throw fail(`${path} is a relative path`, 'give the absolute path of registries.conf');
  }
  return [main, ...folders.flatMap(dropIns).map((path) => ({ path })), { path: chosenAliases(owner) }];
}

function readPlace({ path, isNamed = false }: Place): RegistriesFile | undefined {
  const found = readTrustedFile(path);
  switch (found.kind) {
    case 'missing':
      if (!isNamed) return undefined;
      throw fail(`${path} is not there, and $CONTAINERS_REGISTRIES_CONF names it`);
    case 'unreadable':
      throw fail(`${path} cannot be read: ${found.problem}`);
    case 'unsafe': {
      const hint =
        'it decides where images come from: it must be a file of yours or root’s that nobody else may write; with sudo, HOME may be another’s';
      throw new BoxctlError('E_REGISTRY_CONFIG_UNSAFE', `${path} is not used: ${found.problem}`, { hint });
    }
    case 'read':
      if (!isUtf8(found.bytes)) throw fail(`${path} is not UTF-8 text`);
      return parseRegistriesFile(found.bytes.toString('utf8').replace(/^\ufeff/u, ''), path);
  }
}

/**
 * Reads it. No file at all is as good as an empty one.
 *
 * @throws BoxctlError E_REGISTRY_CONFIG, E_REGISTRY_CONFIG_UNSAFE
 */
export function readRegistries(owner: ConfigOwner): RegistriesConfig {
  const files: { readonly path: string; readonly said: RegistriesFile }[] = [];
  for (const place of places(owner)) {
    const said = readPlace(place);
    if (said !== undefined) files.push({ path: place.path, said });
  }
  return mergeRegistries(files);
}

/** What files say together: a later one overwrites the keys, the aliases, and the tables of the same prefix that it has. */
export function mergeRegistries(
  files: readonly { readonly path: string; readonly said: RegistriesFile }[],
): RegistriesConfig {
  const aliases = new Map<string, string>();
  const rules = new Map<string, RegistryRule>();
  let { search, mode } = PLAIN_SHORT_NAMES;
  let credentialHelpers: readonly string[] = [];
  for (const { said } of files) {
    search = said.search ?? search;
    mode = said.mode ?? mode;
    credentialHelpers = said.credentialHelpers ?? credentialHelpers;
    for (const [name, target] of said.aliases) {
      if (target === '') aliases.delete(name);
      else aliases.set(name, target);
    }
    for (const rule of said.rules) rules.set(writePrefix(rule.prefix), rule);
  }
  return {
    files: files.map(({ path }) => path),
    unknown: files.flatMap(({ said }) => said.unknown),
    shortNames: { aliases, search, mode },
    rules: [...rules.values()],
    credentialHelpers: credentialHelpers.length === 0 ? [AUTH_FILES] : credentialHelpers,
  };
}

/** Whether `a` fixes more of a reference than `b`. */
function isHeavier(a: Prefix, b: Prefix): boolean {
  const [left, right] = [weightOf(a), weightOf(b)];
  const at = left.findIndex((weight, index) => weight !== (right[index] ?? 0));
  return at >= 0 && (left[at] ?? 0) > (right[at] ?? 0);
}

/** The table of the longest prefix. */
function ruleFor(reference: Reference, { rules }: RegistriesConfig): RegistryRule | undefined {
  let found: RegistryRule | undefined;
  let foundOnOtherPort: RegistryRule | undefined;
  for (const rule of rules) {
    const match = matchOf(reference, rule.prefix);
    if (match === 'exact' && (found === undefined || isHeavier(rule.prefix, found.prefix))) found = rule;
    // Else `host:443` would be a way around what is blocked as `host`. All else of such a table is for the usual port alone.
    if (match === 'other-port' && rule.blocked) foundOnOtherPort = rule;
  }
  return found?.prefix.kind === 'host' ? found : (foundOnOtherPort ?? found);
}

function checkBlocked(reference: Reference, rule: RegistryRule | undefined): void {
  if (rule?.blocked !== true) return;
  // A login is to a registry as a whole.
  const what = reference.repository === '' ? reference.registry : writeReference(reference);
  throw new BoxctlError('E_REGISTRY_BLOCKED', `${what} is not asked for: ${rule.file} blocks it`, {
    hint: `it has \`blocked = true\` for ${writePrefix(rule.prefix)}`,
  });
}

const itself = ({ registry, repository }: Reference, insecure: boolean): Location => ({
  host: registry,
  repository,
  insecure,
  isMirror: false,
});

/**
 * Where a reference is asked for, in this order: its mirrors, then the registry itself.
 *
 * @throws BoxctlError E_REGISTRY_BLOCKED
 */
export function locationsOf(reference: Reference, config: RegistriesConfig): readonly Location[] {
  const rule = ruleFor(reference, config);
  checkBlocked(reference, rule);
  if (rule === undefined) return [itself(reference, false)];
  const kind = reference.digest === undefined ? 'tag-only' : 'digest-only';
  const mirrors = rule.mirrors.filter(({ pullFrom }) => pullFrom === 'all' || pullFrom === kind);
  const at = (location: (typeof mirrors)[number]['location'], insecure: boolean, isMirror: boolean): Location => {
    const { registry, repository } = rewritten(reference, rule.prefix, location);
    return { host: registry, repository, insecure, isMirror };
  };
  const own = rule.location === undefined ? itself(reference, rule.insecure) : at(rule.location, rule.insecure, false);
  return [...mirrors.map(({ location, insecure }) => at(location, insecure, true)), own];
}

/**
 * Where a reference is pushed to: to where it says. Neither mirrors nor other locations count for that, as in podman.
 *
 * @throws BoxctlError E_REGISTRY_BLOCKED
 */
export function pushLocationOf(reference: Reference, config: RegistriesConfig): Location {
  const rule = ruleFor(reference, config);
  checkBlocked(reference, rule);
  return itself(reference, rule?.insecure ?? false);
}
