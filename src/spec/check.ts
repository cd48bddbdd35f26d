/** Turns the schema validator's errors into problems with a position, a message and a hint. */
import type { ContainerFile } from '../generated/container.ts';
import { validate as isValid } from '../generated/is-valid.mjs';
import { validate, type Problem, type SchemaNode } from '../generated/validate.mjs';
import type { TextProblems, Span } from '../yaml/problems.ts';
import { COMPOSE_KEYS } from '../generated/compose-names.ts';
import { whyNotHere, whyNotThisType, whyNotThisValue } from './compose/elsewhere.ts';
import { cut, quoted as clip } from '../text/quote.ts';
import { didYouMean } from './suggest.ts';
import type { Paths } from '../yaml/paths.ts';

export interface Checked {
  /** The file without the keys that are wrong. */
  readonly raw: ContainerFile;
  /** Paths of values that have their problem already, and of all that is around them. */
  readonly bad: ReadonlySet<string>;
}

/** Checks plain data against specs/container.schema.json, and removes the values that are wrong. */
export function checkSchema(data: Record<string, unknown>, paths: Paths, problems: TextProblems): Checked {
  const wrong = new Set(paths.broken);
  if (!isValid(data) && !validate(data)) {
    const found = validate.errors ?? [];
    const isOfType = (one: Problem): boolean => one.keyword === 'type' || isSplitText(one);
    const ofTypes = new Set(found.filter(isOfType).map((one) => one.instancePath));
    for (const problem of found) {
      const path = pathOf(problem.instancePath);
      // A value of the wrong type fails other keywords too; one sentence is enough.
      if (!isOfType(problem) && ofTypes.has(problem.instancePath)) continue;
      if (!paths.broken.has(path)) describe(problem, path, paths, problems, wrong);
    }
  }
  prune(data, wrong);
  // Without the wrong parts, the rest has the schema's shape. Lists keep their wrong items, whose paths are in `bad`.
  return { raw: data as ContainerFile, bad: withAncestors(wrong) };
}

function withAncestors(paths: ReadonlySet<string>): ReadonlySet<string> {
  const all = new Set<string>();
  for (const path of paths) {
    all.add(path);
    // A key may begin with a dot, before which there is nothing to find.
    for (let end = path.lastIndexOf('.'); end > 0; end = path.lastIndexOf('.', end - 1)) all.add(path.slice(0, end));
  }
  return all;
}

function describe(problem: Problem, path: string, paths: Paths, problems: TextProblems, bad: Set<string>): void {
  const { keyword, params, parentSchema, data } = problem;
  const at = paths.where(path);
  const label = path === '' ? 'the file' : `\`${path}\``;
  const key = typeof params['additionalProperty'] === 'string' ? params['additionalProperty'] : '';
  const expected = parentSchema['x-expected'] ?? typesInWords(parentSchema);
  const example = parentSchema.examples?.[0];
  const such =
    example === undefined || typeof example === 'boolean' || String(example).length > 40 || expected.includes('such as')
      ? ''
      : `, such as ${inYaml(example)}`;
  bad.add(path);
  switch (keyword) {
    case 'additionalProperties': {
      if (isSplitText(problem)) {
        const hint = splitHint(Object.keys(Object(data))[0] ?? '', parentSchema);
        problems.add('E_SPEC_TYPE', `${label} must be ${expected}${such}; found a map`, { path, at, hint });
        return;
      }
      bad.delete(path);
      const full = path === '' ? key : `${path}.${key}`;
      bad.add(full);
      unknownKey(key, full, label, Object.keys(parentSchema.properties ?? {}), paths.key(full), problems);
      return;
    }
    case 'type':
      problems.add('E_SPEC_TYPE', `${label} must be ${expected}${such}; found ${inWords(data)}`, {
        path,
        at,
        hint: typeHint(data, parentSchema, paths.text(path), path),
      });
      return;
    case 'required': {
      const missing = String(params['missingProperty']);
      problems.add('E_SPEC_MISSING_KEY', `${label} lacks the key \`${missing}\``, {
        path,
        at,
        ...(missing === 'type' ? { hint: 'the long form says `type: bind` or `type: tmpfs`' } : {}),
      });
      return;
    }
    case 'enum': {
      const allowed = Array.isArray(params['allowedValues']) ? params['allowedValues'].map(String) : [];
      const meant = typeof data === 'string' ? didYouMean(data, allowed) : undefined;
      problems.add('E_SPEC_VALUE', `${label} must be one of ${allowed.join(', ')}; found ${inWords(data)}`, {
        path,
        at,
        hint: whyNotThisValue(path, String(data)) ?? (meant === undefined ? undefined : `did you mean \`${meant}\`?`),
      });
      return;
    }
    case 'minItems':
    case 'minLength':
      problems.add('E_SPEC_VALUE', `${label} must not be empty`, { path, at });
      return;
    case 'minimum':
    case 'maximum': {
      const bound = keyword === 'minimum' ? 'at least' : 'at most';
      problems.add(
        'E_SPEC_RANGE',
        `${label} must be ${bound} ${String(params['limit'])}; found ${clip(String(data))}`,
        {
          path,
          at,
        },
      );
      return;
    }
    default:
      problems.add('E_SPEC_VALUE', `${label} must be ${expected}${such}; found ${inWords(data)}`, { path, at });
  }
}

function unknownKey(
  key: string,
  path: string,
  label: string,
  known: readonly string[],
  at: Span | undefined,
  problems: TextProblems,
): void {
  const top = path === key;
  const why = whyNotHere(path);
  const where = top ? '' : ` in ${label}`;
  if (why !== undefined) {
    problems.add('E_SPEC_UNSUPPORTED', `\`${cut(key)}\`${where} is not supported`, { path, at, hint: why });
    return;
  }
  const meant = didYouMean(key, top ? [...known, ...COMPOSE_KEYS] : known);
  problems.add('E_SPEC_UNKNOWN_KEY', `there is no key \`${cut(key)}\`${where}`, {
    path,
    at,
    hint: meant === undefined ? `the keys are: ${known.join(', ')}` : `did you mean \`${meant}\`?`,
  });
}

/** The only key of a map whose value is no map or list: what YAML makes of an entry `a: b`, which may be meant as text. */
function onlyKey(data: unknown): string | undefined {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return undefined;
  const [entry, ...more] = Object.entries(data);
  return entry === undefined || more.length > 0 || typeof entry[1] === 'object' ? undefined : entry[0];
}

/** Whether the entry of a list may be text or a map, and is a map of one key that is nothing like a key of the map's. */
function isSplitText({ keyword, instancePath, parentSchema, data }: Problem): boolean {
  if (keyword !== 'additionalProperties' || !/\/\d+$/.test(instancePath)) return false;
  const key = [parentSchema.type].flat().includes('string') ? onlyKey(data) : undefined;
  const known = Object.keys(parentSchema.properties ?? {});
  return key !== undefined && !known.includes(key) && didYouMean(key, known) === undefined;
}

function splitHint(key: string, schema: SchemaNode): string {
  if (/^[^:]*=/.test(String(schema.examples?.[0])))
    return `an entry of a list has an equals sign: write \`${cut(key)}=…\``;
  if (schema['x-expected']?.includes(':') === true)
    return 'take out the space after the colon, which makes a map of it';
  return 'quote it if it is meant as text: a colon and a space make a map of it';
}

/** YAML 1.1 had more words for true and false than YAML 1.2; people still write them. */
function typeHint(data: unknown, schema: SchemaNode, text: string | undefined, path: string): string | undefined {
  const types = new Set([schema.type ?? []].flat());
  if (typeof data === 'object' && data !== null) {
    const key = types.has('string') && /\.\d+$/.test(path) ? onlyKey(data) : undefined;
    return (
      whyNotThisType(path, Array.isArray(data) ? 'list' : 'map') ?? (key === undefined ? key : splitHint(key, schema))
    );
  }
  if (types.has('boolean') && typeof data === 'string') {
    const word = data.toLowerCase();
    if (['yes', 'y', 'on'].includes(word)) return `in YAML 1.2 \`${clip(data)}\` is text: write \`true\``;
    if (['no', 'n', 'off'].includes(word)) return `in YAML 1.2 \`${clip(data)}\` is text: write \`false\``;
  }
  if (types.has('string') && !types.has('integer') && (typeof data === 'number' || typeof data === 'boolean')) {
    return quoteHint(text ?? String(data), schema);
  }
  if (types.has('array') && data !== null) return listHint(data, schema, text, path);
  if (data === null) return 'give it a value, or leave the key out';
  return undefined;
}

/** For text that YAML has read as another type: the hint adds quotes, if the text in quotes would be right. */
function quoteHint(text: string, schema: SchemaNode): string | undefined {
  if (schema['x-unit'] !== undefined)
    return /^\d/.test(text) ? `with a unit: ${clip(text)}${schema['x-unit']}` : undefined;
  const isOfPattern = schema.pattern === undefined || new RegExp(schema.pattern).test(text);
  const isOfEnum = schema.enum === undefined || schema.enum.includes(text);
  const isPath = String(schema.examples?.[0]).startsWith('/');
  return isOfPattern && isOfEnum && !isPath ? `quote it: "${clip(text)}"` : undefined;
}

/** For one value where a list is wanted: the list with that value, if it would be right. */
function listHint(data: unknown, { items }: SchemaNode, text: string | undefined, path: string): string | undefined {
  const types = new Set([items?.type ?? []].flat());
  const isText = typeof data === 'string';
  if (!types.has(isText ? 'string' : 'integer') || (!isText && typeof data !== 'number')) return undefined;
  const one = text ?? String(data);
  // Words and commas may be meant as several entries.
  if (one === '' || /[\s,]/.test(one) || (items?.pattern !== undefined && !new RegExp(items.pattern).test(one)))
    return undefined;
  return `write \`${path.slice(path.lastIndexOf('.') + 1)}: [${isText ? `"${clip(one)}"` : clip(one)}]\``;
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: 'text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  object: 'a map',
  array: 'a list',
  null: 'nothing',
};

function typesInWords(schema: SchemaNode): string {
  const words = [schema.type ?? []].flat().map((type) => TYPE_WORDS[type] ?? type);
  return words.length < 2 ? (words[0] ?? 'something else') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

function inWords(data: unknown): string {
  if (typeof data === 'string') return data === '' ? 'empty text' : `the text "${clip(data)}"`;
  if (typeof data === 'number') return `the number ${clip(data)}`;
  if (data === null) return 'nothing';
  if (Array.isArray(data)) return 'a list';
  return typeof data === 'object' ? 'a map' : clip(String(data));
}

const inYaml = (value: unknown): string => (typeof value === 'string' ? `"${value}"` : JSON.stringify(value));

/** A JSON pointer (RFC 6901) as boxctl's dotted path. */
function pathOf(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .join('.');
}

/** Removes the wrong values from maps. Lists keep theirs, since the indices of other items must not change. */
function prune(value: unknown, bad: ReadonlySet<string>, path = ''): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, child] of Object.entries(value)) {
    const full = path === '' ? key : `${path}.${key}`;
    if (!bad.has(full)) prune(child, bad, full);
    else if (!Array.isArray(value)) Reflect.deleteProperty(value, key);
  }
}
