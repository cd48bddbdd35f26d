/** The command's environment: env_file first, then environment. */
import type { ContainerFile } from '../generated/container.ts';
import { clip, each, hostPath, listOf, noteFile, report, type Context } from './context.ts';
import { readBounded } from './read.ts';

/** Keys in the order in which they were first said; later values win. */
export const normaliseEnvironment = (
  context: Context,
  environment: ContainerFile['environment'],
  envFile: ContainerFile['env_file'],
): Readonly<Record<string, string>> => {
  const result = new Map<string, string>();
  for (const [file, path] of listOf(context, envFile, 'env_file')) fromFile(context, file, path, result);
  if (Array.isArray(environment)) {
    for (const [item, path] of each(context, environment, 'environment')) {
      const equals = item.indexOf('=');
      const key = equals === -1 ? item : item.slice(0, equals);
      add(context, key, equals === -1 ? undefined : item.slice(equals + 1), path, result);
      // What is known of an item is known of its key, as in the other form.
      context.paths.alias(`environment.${key}`, path);
      const ofItem = context.taken.filter((one) => one.path === path);
      context.taken.push(...ofItem.map(({ name }) => ({ name, path: `environment.${key}` })));
    }
  } else if (environment !== undefined) {
    for (const [key, value] of Object.entries(environment)) {
      const path = `environment.${key}`;
      // As written: 1.10 is the text 1.10 and not the number 1.1.
      const text = value === null ? undefined : (context.paths.text(path) ?? String(value));
      add(context, key, text, path, result);
    }
  }
  // fromEntries defines, so even `__proto__` is a key like any other.
  return Object.fromEntries(result);
};

/** `value` undefined: the caller's own, or nothing where the caller has none. */
const add = (
  context: Context,
  key: string,
  value: string | undefined,
  path: string,
  result: Map<string, string>,
): void => {
  // eslint-disable-next-line no-control-regex -- NUL ends a string of the environment (environ(7))
  if (key === '' || /[=\0]/.test(key)) {
    report(context, path, 'E_SPEC_ENVIRONMENT', `"${clip(key)}" cannot be the name of a variable`);
    return;
  }
  const taken = value ?? (Object.hasOwn(context.env, key) ? context.env[key] : undefined);
  if (taken === undefined) {
    report(context, path, 'W_SPEC_ENVIRONMENT', `the caller has no variable ${clip(key)}: it is left out`, {
      severity: 'warning',
      hint: `give it a value: \`${clip(key)}: ""\``,
    });
    return;
  }
  if (value === undefined) context.taken.push({ name: key, path });
  result.set(key, taken);
};

const fromFile = (context: Context, file: string, path: string, result: Map<string, string>): void => {
  const read = readBounded(noteFile(context, 'env_file', hostPath(context, file), path), { judged: true });
  if (read.text === undefined) {
    if (context.review && read.kind === 'io') return;
    const code = read.missing ? 'E_SPEC_MISSING_FILE' : 'E_SPEC_ENV_FILE';
    report(context, path, code, `the env_file "${clip(file)}" cannot be read: ${read.problem}`);
    return;
  }
  for (const [index, line] of read.text.split(/\r?\n/).entries()) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const match = /^(?:export\s+)?([^=\s]+?)(?:\s*=\s*(.*))?$/.exec(trimmed);
    const value = match === null ? undefined : unquote(match[2]);
    if (match?.[1] === undefined || value === null || trimmed.includes('\0')) {
      report(context, path, 'E_SPEC_ENV_FILE', `line ${index + 1} of "${clip(file)}" is not KEY=VALUE`);
      continue;
    }
    add(context, match[1], value, path, result);
  }
};

/** A value of an env_file: quotes off, ` # comment` off. Null when a quote is not closed. */
const unquote = (text: string | undefined): string | undefined | null => {
  if (text === undefined) return undefined;
  const quote = text[0];
  if (quote !== '"' && quote !== "'") return text.replace(/\s+#.*$/, '');
  const match = quote === "'" ? /^'([^']*)'\s*(?:#.*)?$/.exec(text) : /^"((?:[^"\\]|\\.)*)"\s*(?:#.*)?$/.exec(text);
  const inner = match?.[1];
  if (inner === undefined) return null;
  if (quote === "'") return inner;
  return inner.replaceAll(/\\(.)/g, (_whole, char: string) => ({ n: '\n', r: '\r', t: '\t' })[char] ?? char);
};
