/** The command's environment: env_file first, then environment. */
import type { ContainerFile } from '../generated/container.ts';
import { clip, clipKey, each, hostPath, noteFile, readNoted, addProblem, type Context } from './context.ts';
import { parseEnvFile, type EnvLine } from './env-file.ts';
import { interpolateWith } from './interpolate.ts';

type EnvFile = Exclude<NonNullable<ContainerFile['env_file']>, string>[number];

/** Keys in the order in which they were first said; later values win. */
export function normaliseEnvironment(
  context: Context,
  environment: ContainerFile['environment'],
  envFile: ContainerFile['env_file'],
): Readonly<Record<string, string>> {
  const own = fromKey(context, environment);
  const result = new Map<string, string>();
  for (const [file, path] of filesOf(context, envFile)) fromFile(context, file, path, own, result);
  for (const [name, value] of own) result.set(name, value);
  // Removes borrowed values that a later value of the same variable has replaced.
  for (const [index, { variable, value }] of [...context.borrowed.entries()].toReversed()) {
    if (variable !== undefined && result.get(variable) !== value) context.borrowed.splice(index, 1);
  }
  // fromEntries defines, so even `__proto__` is a key like any other.
  return Object.fromEntries(result);
}

/** `environment`, as a map or as a list. */
function fromKey(context: Context, environment: ContainerFile['environment']): Map<string, string> {
  const result = new Map<string, string>();
  if (Array.isArray(environment)) {
    for (const [item, path] of each(context, environment, 'environment')) {
      const equals = item.indexOf('=');
      const key = equals === -1 ? item : item.slice(0, equals);
      add(context, key, equals === -1 ? undefined : item.slice(equals + 1), path, clip(key), result);
      // The position and the borrowed variables of an item are also those of its key, as in a map.
      context.paths.alias(`environment.${key}`, path);
      const ofItem = context.taken.filter((one) => one.path === path);
      context.taken.push(...ofItem.map((one) => ({ ...one, path: `environment.${key}` })));
    }
  } else if (environment !== undefined) {
    for (const [key, value] of Object.entries(environment)) {
      const path = `environment.${key}`;
      // As written: 1.10 is the text 1.10 and not the number 1.1.
      const text = value === null ? undefined : (context.paths.text(path) ?? String(value));
      add(context, key, text, path, clipKey(key), result);
    }
  }
  return result;
}

/** `value` undefined: the caller's own, or nothing where the caller has none. */
function add(
  context: Context,
  key: string,
  value: string | undefined,
  path: string,
  shownKey: string,
  result: Map<string, string>,
): void {
  // eslint-disable-next-line no-control-regex -- NUL ends a string of the environment (environ(7))
  if (key === '' || /[=\0]/.test(key)) {
    addProblem(context, path, 'E_SPEC_ENVIRONMENT', `"${shownKey}" cannot be the name of a variable`);
    return;
  }
  if (key.trim() !== key) {
    const message = `"${shownKey}" cannot be the name of a variable: it begins or ends with a space`;
    addProblem(context, path, 'E_SPEC_ENVIRONMENT', message, { hint: 'take out the spaces around `=`' });
    return;
  }
  if (value !== undefined) {
    result.set(key, value);
    const written = context.problems.source(path);
    if (written === undefined) return;
    // The text of a list's item includes the name.
    const equals = written.indexOf('=');
    const isMap = path === `environment.${key}`;
    const shown = isMap || equals === -1 ? written : written.slice(equals + 1);
    context.borrowed.push({ path, variable: key, value, shown });
    if (isMap) return;
    const name = equals === -1 ? written : written.slice(0, equals);
    for (const place of [path, `environment.${key}`]) context.borrowed.push({ path: place, value: key, shown: name });
    return;
  }
  const taken = callers(context, key);
  if (taken === undefined) {
    addProblem(context, path, 'W_SPEC_ENVIRONMENT', `the caller has no variable ${shownKey}: it is left out`, {
      severity: 'warning',
      hint: `give it a value: \`${shownKey}: ""\``,
    });
    return;
  }
  borrow(context, key, taken, path);
  context.borrowed.push({ path, variable: key, value: taken, shown: `\${${key}}` });
  result.set(key, taken);
}

function callers({ env }: Context, name: string): string | undefined {
  return Object.hasOwn(env, name) ? env[name] : undefined;
}

function borrow(context: Context, name: string, value: string, path: string): void {
  context.taken.push({ name, path, value });
  context.borrowed.push({ path, value, shown: `\${${name}}` });
}

function filesOf(
  context: Context,
  raw: ContainerFile['env_file'],
): readonly (readonly [Exclude<EnvFile, string>, string])[] {
  if (raw === undefined) return [];
  if (typeof raw === 'string') return [[{ path: raw }, 'env_file']];
  return each(context, raw, 'env_file').map(([item, path]) =>
    typeof item === 'string' ? [{ path: item }, path] : [item, path],
  );
}

/** Reads one env_file. Its values are never printed, nor are names, since a line of a secret can look like one. */
function fromFile(
  context: Context,
  { path: named, required = true, format }: Exclude<EnvFile, string>,
  path: string,
  own: ReadonlyMap<string, string>,
  result: Map<string, string>,
): void {
  const file = noteFile(context, 'env_file', hostPath(context, named), path);
  if (file === undefined) return;
  const read = readNoted(context, file, { isRaw: format === 'raw' });
  if (read.text === undefined) {
    if ((context.review && read.kind === 'io') || (!required && read.missing)) return;
    const code = read.missing ? 'E_SPEC_MISSING_FILE' : 'E_SPEC_ENV_FILE';
    addProblem(context, path, code, `the env_file "${clip(named)}" cannot be read: ${read.problem}`);
    return;
  }
  const lines = new EnvLines(context, path, own, result);
  for (const line of parseEnvFile(read.text, format === 'raw')) lines.add(line);
  const wrong = (line: number, problem: string): void =>
    addProblem(context, path, 'E_SPEC_ENV_FILE', `line ${line} of "${clip(named)}" ${problem}`);
  for (const { line, problem } of lines.problems) wrong(line, problem);
  if (lines.unset.length === 0) return;
  const all = lines.unset;
  const some = `${all.length === 1 ? 'line' : 'lines'} ${all.slice(0, 5).join(', ')}${all.length > 5 ? ', …' : ''}`;
  addProblem(context, path, 'W_SPEC_ENVIRONMENT', `${some} of "${clip(named)}": the caller has no such variable`, {
    severity: 'warning',
    hint: 'a line of a name alone is left out, `$NAME` in a value is empty; `$$` is a dollar sign',
  });
}

/** Puts the lines of one file into the environment. */
class EnvLines {
  readonly problems: { readonly line: number; readonly problem: string }[] = [];
  /** The lines with variables that are not set. */
  readonly unset: number[] = [];
  readonly #context: Context;
  readonly #path: string;
  readonly #own: ReadonlyMap<string, string>;
  readonly #result: Map<string, string>;

  constructor(context: Context, path: string, own: ReadonlyMap<string, string>, result: Map<string, string>) {
    this.#context = context;
    this.#path = path;
    this.#own = own;
    this.#result = result;
  }

  add(line: EnvLine): void {
    if (line.kind === 'wrong') this.problems.push(line);
    else if (line.kind === 'inherited') this.#inherit(line.key, line.line);
    else this.#set(line.key, line.expand ? this.#expanded(line.text, line.line) : line.text);
  }

  #set(key: string, value: string): void {
    this.#context.borrowed.push({ path: this.#path, variable: key, value, shown: '…' });
    this.#result.set(key, value);
  }

  #inherit(key: string, line: number): void {
    const value = callers(this.#context, key);
    if (value === undefined) {
      this.unset.push(line);
      return;
    }
    borrow(this.#context, key, value, this.#path);
    this.#set(key, value);
  }

  /** The caller's variables come first, then `environment`, then earlier lines: Compose's order. */
  #expanded(text: string, line: number): string {
    const lookUp = (name: string): string | undefined =>
      callers(this.#context, name) ?? this.#own.get(name) ?? this.#result.get(name);
    const { text: value, taken, problems } = interpolateWith(text, lookUp);
    for (const [name, its] of taken) {
      if (callers(this.#context, name) !== undefined) borrow(this.#context, name, its, this.#path);
    }
    for (const problem of problems) {
      if (problem.kind === 'unset') this.unset.push(line);
      else if (problem.kind === 'required') {
        this.problems.push({ line, problem: 'requires a variable that is not set' });
      } else
        this.problems.push({ line, problem: 'has a `$` with no variable behind it: write `$$`, or use single quotes' });
    }
    return value;
  }
}
