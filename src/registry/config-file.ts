/** One file of registries.conf, in its second version (containers-registries.conf(5)): from its text to what it says. */
import { parse, TomlError } from 'smol-toml';
import { BoxctlError } from '../errors.ts';
import { isProblem, parseImageName, parseRegistry } from '../text/image-name.ts';
import { isRecord } from '../text/json.ts';
import { cut } from '../text/quote.ts';
import { didYouMean } from '../spec/suggest.ts';
import { TextProblems } from '../yaml/problems.ts';
import { parsePrefix, writePrefix, type Prefix } from './prefix.ts';
import { isCredentialHelper } from './helper-name.ts';
import type { ShortNames } from './short-names.ts';
import { tomlPlaces, type TomlPath } from './toml-places.ts';

type HostPrefix = Prefix & { readonly kind: 'host' };

export interface Mirror {
  readonly location: HostPrefix;
  readonly insecure: boolean;
  /** For which references it is asked. */
  readonly pullFrom: 'all' | 'digest-only' | 'tag-only';
}

/** A table `[[registry]]`. */
export interface RegistryRule {
  readonly prefix: Prefix;
  /** Undefined for `*.example.com`: what is asked for is where it says. */
  readonly location: HostPrefix | undefined;
  readonly insecure: boolean;
  readonly blocked: boolean;
  readonly mirrors: readonly Mirror[];
  /** The file that has it. */
  readonly file: string;
}

/** What a file says. A key that it does not have is undefined, so that the files before it count. */
export interface RegistriesFile {
  readonly search?: readonly string[];
  readonly mode?: ShortNames['mode'];
  readonly credentialHelpers?: readonly string[];
  /** With an empty text for an alias that is taken back. */
  readonly aliases: ReadonlyMap<string, string>;
  readonly rules: readonly RegistryRule[];
  /** Keys that boxctl does not know, as sentences. A newer tool may know them. */
  readonly unknown: readonly string[];
}

const MODES = ['enforcing', 'permissive', 'disabled'] as const;
const PULLS = ['all', 'digest-only', 'tag-only'] as const;
const TOP_KEYS = [
  'unqualified-search-registries',
  'short-name-mode',
  'credential-helpers',
  'additional-layer-store-auth-helper',
  'registry',
  'aliases',
] as const;
const RULE_KEYS = ['prefix', 'location', 'insecure', 'blocked', 'mirror', 'mirror-by-digest-only'] as const;
const MIRROR_KEYS = ['location', 'insecure', 'pull-from-mirror'] as const;
/** Much deeper than anything that the format has. */
const MAX_DEPTH = 16;

const shown = (text: string): string => `"${cut(text)}"`;

const AN_IMAGE = 'HOST[:PORT][/NAMESPACE…]: registry.example.com/team';

/** @throws BoxctlError E_REGISTRY_CONFIG, with all mistakes of the file */
export function parseRegistriesFile(text: string, file: string): RegistriesFile {
  const problems = new TextProblems(file, text);
  const table = tableOf(text, problems);
  const result = table === undefined ? undefined : new Reader(table, text, file, problems).read();
  const diagnostics = problems.sorted();
  if (result !== undefined && diagnostics.length === 0) return result;
  throw new BoxctlError('E_REGISTRY_CONFIG', `${file} has mistakes`, { diagnostics });
}

type Table = Readonly<Record<string, unknown>>;

function tableOf(text: string, problems: TextProblems): Table | undefined {
  try {
    return parse(text, { maxDepth: MAX_DEPTH });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const lines = text.split('\n').slice(0, error.line - 1);
    const start = lines.reduce((sum, line) => sum + line.length + 1, 0) + error.column - 1;
    const [first = ''] = error.message.replace(/^Invalid TOML document: /u, '').split('\n');
    problems.add('E_REGISTRY_CONFIG', `this is no TOML: ${first}`, { at: { start, end: start + 1 } });
    return undefined;
  }
}

class Reader {
  readonly #table: Table;
  readonly #file: string;
  readonly #problems: TextProblems;
  readonly #placeOf: ReturnType<typeof tomlPlaces>;
  readonly #unknown: string[] = [];

  constructor(table: Table, text: string, file: string, problems: TextProblems) {
    this.#table = table;
    this.#file = file;
    this.#problems = problems;
    this.#placeOf = tomlPlaces(text);
  }

  read(): RegistriesFile | undefined {
    if (this.#isOfFirstVersion()) return undefined;
    this.#noteUnknown(this.#table, [], TOP_KEYS);
    const search = this.#texts(['unqualified-search-registries'])?.flatMap((entry, index) => {
      const found = parseRegistry(entry.replace(/\/+$/u, ''));
      if (!isProblem(found)) return [found.registry];
      this.#wrong(
        ['unqualified-search-registries', index],
        `${shown(entry)} is no registry: ${found.problem}`,
        found.hint,
      );
      return [];
    });
    const helpers = this.#texts(['credential-helpers']);
    helpers?.forEach((name, index) => {
      if (!isCredentialHelper(name)) {
        const hint =
          'NAME is for the program docker-credential-NAME in PATH: "secretservice"; or "containers-auth.json"';
        this.#wrong(['credential-helpers', index], `${shown(name)} is no name of a credential helper`, hint);
      }
    });
    const mode = this.#choice(['short-name-mode'], this.#table['short-name-mode'], MODES);
    return {
      ...(search === undefined ? {} : { search }),
      ...(mode === undefined ? {} : { mode }),
      ...(helpers === undefined ? {} : { credentialHelpers: helpers }),
      aliases: this.#aliases(),
      rules: this.#rules(),
      unknown: this.#unknown,
    };
  }

  #wrong(path: TomlPath, message: string, hint?: string): void {
    this.#problems.add('E_REGISTRY_CONFIG', message, { path: path.join('.'), at: this.#placeOf(path), hint });
  }

  /** Version 1 had lists of registries. Where they are all empty, as in files that were installed once, nothing is lost. */
  #isOfFirstVersion(): boolean {
    const { registries } = this.#table;
    if (!isRecord(registries)) return false;
    const first = Object.entries(registries).find(
      ([, part]) => !isRecord(part) || !Array.isArray(part['registries']) || part['registries'].length > 0,
    );
    if (first === undefined) return false;
    this.#wrong(
      ['registries', first[0]],
      `[registries.${first[0]}] is the first version of this format, which is not read`,
      'write it anew: `unqualified-search-registries = […]`, and `[[registry]]` with `prefix` and `blocked` or `insecure`',
    );
    return true;
  }

  #noteUnknown(table: Table, path: TomlPath, known: readonly string[]): void {
    for (const key of Object.keys(table)) {
      if (known.includes(key) || (path.length === 0 && key === 'registries')) continue;
      const { line } = this.#problems.position(this.#placeOf([...path, key]));
      const meant = didYouMean(key, known);
      const more = meant === undefined ? '' : `; did you mean \`${meant}\`?`;
      this.#unknown.push(`${this.#file}:${line}: \`${key}\` is not known and has no effect${more}`);
    }
  }

  #texts(path: readonly [string]): readonly string[] | undefined {
    const value = this.#table[path[0]];
    if (value === undefined) return undefined;
    if (Array.isArray(value) && value.every((entry) => typeof entry === 'string')) return value;
    this.#wrong(path, `\`${path[0]}\` must be a list of texts`);
    return undefined;
  }

  #text(table: Table, path: TomlPath, key: string): string | undefined {
    const value = table[key];
    if (value === undefined || typeof value === 'string') return value === '' ? undefined : value;
    this.#wrong([...path, key], `\`${key}\` must be a text`);
    return undefined;
  }

  #flag(table: Table, path: TomlPath, key: string): boolean {
    const value = table[key];
    if (value === undefined || typeof value === 'boolean') return value ?? false;
    this.#wrong([...path, key], `\`${key}\` must be true or false, without quotes`);
    return false;
  }

  #choice<T extends string>(path: TomlPath, value: unknown, choices: readonly T[]): T | undefined {
    if (value === undefined || value === '') return undefined;
    const found = choices.find((choice) => choice === value);
    if (found === undefined) {
      const all = choices.map((choice) => `"${choice}"`).join(', ');
      this.#wrong(path, `\`${String(path.at(-1))}\` must be one of ${all}`);
    }
    return found;
  }

  /** A name without a registry, to a repository in full; neither with a tag. */
  #aliases(): ReadonlyMap<string, string> {
    const { aliases } = this.#table;
    if (aliases !== undefined && !isRecord(aliases)) this.#wrong(['aliases'], '`aliases` must be a table');
    const found = new Map<string, string>();
    for (const [name, value] of isRecord(aliases) ? Object.entries(aliases) : []) {
      const path = ['aliases', name];
      const short = parseImageName(name);
      const target = typeof value === 'string' ? value : undefined;
      const full = target === undefined || target === '' ? undefined : parseImageName(target);
      if (isProblem(short) || short.registry !== undefined || short.tag !== undefined || short.digest !== undefined) {
        this.#wrong(path, `${shown(name)} is no short name`, 'a name without registry, tag and digest: "fedora"');
      } else if (target === undefined) this.#wrong(path, `the alias ${shown(name)} must be a text`);
      else if (full === undefined) found.set(short.path, '');
      else if (isProblem(full) || full.registry === undefined || full.tag !== undefined || full.digest !== undefined) {
        const hint = 'registry and name in full, without tag and digest: "registry.fedoraproject.org/fedora"';
        this.#wrong(path, `${shown(target)} is no repository that an alias can mean`, hint);
      } else found.set(short.path, `${full.registry}/${full.path}`);
    }
    return found;
  }

  #tables(value: unknown, path: TomlPath): readonly Table[] {
    if (value === undefined) return [];
    if (Array.isArray(value) && value.every(isRecord)) return value;
    this.#wrong(
      path,
      `\`${String(path.at(-1))}\` must be tables`,
      `[[${path.filter((part) => typeof part === 'string').join('.')}]]`,
    );
    return [];
  }

  #rules(): readonly RegistryRule[] {
    const rules: { readonly rule: RegistryRule; readonly path: TomlPath }[] = [];
    for (const [index, table] of this.#tables(this.#table['registry'], ['registry']).entries()) {
      const path = ['registry', index];
      const rule = this.#rule(table, path);
      if (rule === undefined) continue;
      this.#checkAgainst(rule, path, rules);
      rules.push({ rule, path });
    }
    return rules.map(({ rule }) => rule);
  }

  #rule(table: Table, path: TomlPath): RegistryRule | undefined {
    this.#noteUnknown(table, path, [...RULE_KEYS, 'pull-from-mirror']);
    if (table['pull-from-mirror'] !== undefined) {
      this.#wrong([...path, 'pull-from-mirror'], '`pull-from-mirror` is a key of `[[registry.mirror]]`');
    }
    const given = this.#prefix(table, path, 'prefix');
    const location = this.#prefix(table, path, 'location');
    const insecure = this.#flag(table, path, 'insecure');
    const blocked = this.#flag(table, path, 'blocked');
    const byDigest = this.#flag(table, path, 'mirror-by-digest-only');
    const mirrors = this.#mirrors(table, path, byDigest);
    if (given === 'wrong' || location === 'wrong') return undefined;
    const prefix = given ?? location;
    if (prefix === undefined) {
      this.#wrong(path, 'a `[[registry]]` needs `location`, or a `prefix` such as "*.example.com"');
      return undefined;
    }
    if (location?.kind === 'hosts') {
      this.#wrong([...path, 'location'], 'a `location` is a place, and cannot begin with `*.`', AN_IMAGE);
      return undefined;
    }
    if (location === undefined && prefix.kind === 'host') {
      this.#wrong(
        [...path, 'prefix'],
        'a `prefix` that does not begin with `*.` needs a `location`',
        'the same as `prefix` where nothing is to be rewritten',
      );
      return undefined;
    }
    const isSame = prefix.kind === 'host' && location?.tag === prefix.tag && location?.digest === prefix.digest;
    if (location !== undefined && !isSame && (location.tag !== undefined || location.digest !== undefined)) {
      this.#wrong([...path, 'location'], 'a `location` cannot change the tag or the digest', 'leave them out');
      return undefined;
    }
    return { prefix, location, insecure, blocked, mirrors, file: this.#file };
  }

  #prefix(table: Table, path: TomlPath, key: 'prefix' | 'location'): Prefix | undefined | 'wrong' {
    if (table[key] !== undefined && typeof table[key] !== 'string') {
      this.#text(table, path, key);
      return 'wrong';
    }
    const text = this.#text(table, path, key);
    if (text === undefined) return undefined;
    const prefix = parsePrefix(text);
    if (prefix !== undefined) return prefix;
    this.#wrong(
      [...path, key],
      `\`${key}\` ${shown(text)} is no beginning of a reference`,
      `${AN_IMAGE}, without https://`,
    );
    return 'wrong';
  }

  #mirrors(rule: Table, path: TomlPath, byDigest: boolean): readonly Mirror[] {
    return this.#tables(rule['mirror'], [...path, 'mirror']).flatMap((table, index): readonly Mirror[] => {
      const at = [...path, 'mirror', index];
      this.#noteUnknown(table, at, MIRROR_KEYS);
      const insecure = this.#flag(table, at, 'insecure');
      const pullFrom = this.#choice([...at, 'pull-from-mirror'], table['pull-from-mirror'], PULLS);
      if (byDigest && pullFrom !== undefined) {
        this.#wrong(
          [...at, 'pull-from-mirror'],
          '`pull-from-mirror` and `mirror-by-digest-only` of the same registry contradict each other',
        );
      }
      const location = this.#prefix(table, at, 'location');
      if (location === 'wrong') return [];
      if (location?.kind !== 'host' || location.tag !== undefined || location.digest !== undefined) {
        this.#wrong([...at, 'location'], 'a mirror needs a `location` without tag and digest', AN_IMAGE);
        return [];
      }
      return [{ location, insecure, pullFrom: pullFrom ?? (byDigest ? 'digest-only' : 'all') }];
    });
  }

  /** Two tables for the same would leave it to chance which of them counts. */
  #checkAgainst(
    rule: RegistryRule,
    path: TomlPath,
    earlier: readonly { readonly rule: RegistryRule; readonly path: TomlPath }[],
  ): void {
    const name = writePrefix(rule.prefix);
    for (const { rule: other, path: otherPath } of earlier) {
      const { line } = this.#problems.position(this.#placeOf(otherPath));
      if (writePrefix(other.prefix) === name) {
        this.#wrong([...path, 'prefix'], `${shown(name)} has another [[registry]] in line ${line}`, 'keep one of them');
        return;
      }
      const isSamePlace =
        rule.location !== undefined &&
        other.location !== undefined &&
        writePrefix(rule.location) === writePrefix(other.location);
      for (const key of ['insecure', 'blocked'] as const) {
        if (isSamePlace && rule[key] !== other[key]) {
          this.#wrong(
            [...path, key],
            `\`${key}\` is another for the same \`location\` in line ${line}`,
            'say the same in both',
          );
        }
      }
    }
  }
}
