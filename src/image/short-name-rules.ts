/**
 * What a name without a registry means by the person's configuration (registries.conf). What the files say is remembered in
 * the store, so that a start looks only whether they are what they were, and loads nothing that reads them.
 */
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { writeWhole } from '../files/atomic-write.ts';
import { readOwnJson } from '../files/own.ts';
import { environment, type Environment } from '../inputs/environment.ts';
import { effectiveUser, homedir } from '../inputs/outside.ts';
import { readRegistries } from '../registry/config.ts';
import { writeReference } from '../registry/reference.ts';
import { candidatesOf, type ShortNames } from '../registry/short-names.ts';
import { isRecord, isTextList, isTexts } from '../text/json.ts';
import { identityAt } from './identity.ts';
import { isStore } from './store.ts';

type Seen = Readonly<Record<string, string>>;

const placeIn = (store: string): string => join(store, 'names', 'short-names');

const absolute = (path: string | undefined): string | undefined => (path?.startsWith('/') === true ? path : undefined);

/** Every file and folder that readRegistries may look at (src/registry/config.ts), whether it is there or not. */
function watched(env: Environment): readonly string[] {
  const home = homedir();
  const own = join(absolute(env['XDG_CONFIG_HOME']) ?? join(home, '.config'), 'containers/registries.conf');
  const cache = join(absolute(env['XDG_CACHE_HOME']) ?? join(home, '.cache'), 'containers');
  const chosen = effectiveUser() === 0 ? '/var/cache/containers' : cache;
  const system = '/etc/containers/registries.conf';
  const named = [env['CONTAINERS_REGISTRIES_CONF'] ?? '', env['CONTAINERS_REGISTRIES_CONF_DIR'] ?? ''];
  const given = named.filter((path) => path !== '');
  return [...given, own, `${own}.d`, system, `${system}.d`, join(chosen, 'short-name-aliases.conf')];
}

/** The environment chooses among the files. */
const chosenBy = (env: Environment): string =>
  JSON.stringify(['CONTAINERS_REGISTRIES_CONF', 'CONTAINERS_REGISTRIES_CONF_DIR'].map((name) => env[name] ?? ''));

/** Throws as `readRegistries` does. */
function rulesOf(store: string, env: Environment): ShortNames {
  const paths = watched(env);
  const chosen = chosenBy(env);
  const kept = readKept(store, chosen, paths);
  if (kept !== undefined) return kept;
  const before = paths.map((path) => [path, identityAt(path)] as const);
  const { files, shortNames } = readRegistries({ env, home: homedir() });
  const seen = Object.fromEntries([...before, ...files.map((path) => [path, identityAt(path)] as const)]);
  if (isStore(store)) writeWhole(placeIn(store), JSON.stringify({ chosen, seen, ...toJson(shortNames) }));
  return shortNames;
}

const toJson = ({ aliases, search, mode }: ShortNames): object => ({
  aliases: Object.fromEntries(aliases),
  search,
  mode,
});

function readKept(store: string, chosen: string, paths: readonly string[]): ShortNames | undefined {
  const value = readOwnJson(placeIn(store));
  if (!isRecord(value) || value['chosen'] !== chosen || !isTexts(value['seen'])) return undefined;
  const { aliases, search, mode } = value;
  const seen: Seen = value['seen'];
  const isCurrent = Object.entries(seen).every(([path, identity]) => identityAt(path) === identity);
  if (!isCurrent || !paths.every((path) => Object.hasOwn(seen, path)) || !isTexts(aliases)) return undefined;
  if (mode !== 'enforcing' && mode !== 'permissive' && mode !== 'disabled') return undefined;
  if (search !== undefined && !isTextList(search)) return undefined;
  return { aliases: new Map(Object.entries(aliases)), search, mode };
}

/**
 * The references that a name without a registry may mean, in full, the first first. None where the configuration does not
 * decide.
 */
export function fullReferences(store: string, text: string): readonly string[] {
  const rules = rulesOf(store, environment);
  try {
    return candidatesOf(text, rules).references.map(writeReference);
  } catch (error) {
    if (error instanceof BoxctlError && error.code === 'E_REGISTRY_SHORT_NAME') return [];
    throw error;
  }
}
