// Derives from container.schema.json what must never disagree with it: the TypeScript type of the raw document, the
// validator (so that no schema is compiled at run time), and the reference page container.md. From the default profile of
// system calls: its filters. From src/kernel: the launcher's headers in native/wire, and the table of calls in plan.md.
// From src/error-codes.ts: errors.md. From src/limits/table.ts: the limits in container.schema.json, under boxctl's names
// and Compose's, and the table in limits.md.
// `--check` writes no file that is checked in, and fails when one of them is not what would be written.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { wireHeaders } from '../native/wire/headers.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** A TypeScript module of the sources, which may import others of them, as an object. */
const load = async (path) => {
  const bundle = await rolldown({ input: here(`../${path}`), platform: 'node', logLevel: 'warn' });
  const { output } = await bundle.generate({ format: 'esm' });
  await bundle.close();
  return import(`data:text/javascript;base64,${Buffer.from(output[0].code).toString('base64')}`);
};

const [calls, constants, wire, layout, errorCodes, limitTable, limitValues] = await Promise.all(
  [
    'kernel/calls',
    'kernel/constants',
    'kernel/wire',
    'kernel/layout',
    'error-codes',
    'limits/table',
    'limits/values',
  ].map((name) => load(`src/${name}.ts`)),
);

/** JSON as prettier leaves it: on one line what fits there. */
const toJson = (value, indent = '', before = '') => {
  const flat = (one) => {
    if (one === null || typeof one !== 'object') return JSON.stringify(one);
    if (Array.isArray(one)) return `[${one.map(flat).join(', ')}]`;
    const entries = Object.entries(one).map(([key, child]) => `${JSON.stringify(key)}: ${flat(child)}`);
    return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`;
  };
  const line = flat(value);
  // A comma may follow.
  if (value === null || typeof value !== 'object' || before.length + line.length < 120) return line;
  const inner = `${indent}  `;
  const lines = Array.isArray(value)
    ? value.map((child) => `${inner}${toJson(child, inner, inner)}`)
    : Object.entries(value).map(([key, child]) => {
        const start = `${inner}${JSON.stringify(key)}: `;
        return `${start}${toJson(child, inner, start)}`;
      });
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  return `${open}\n${lines.join(',\n')}\n${indent}${close}`;
};

/** The limits by their keys, as the schema describes them. */
const limitProperties = ({ optional }) => {
  const { LIMITS, LIMIT_GROUPS, topOf } = limitTable;
  const properties = {};
  for (const [key, { about, kind, schema }] of Object.entries(LIMITS)) {
    const described = { description: about, ...limitValues.KIND_SCHEMAS[kind], ...schema };
    const top = topOf(key);
    if (top === key) {
      properties[key] = described;
      continue;
    }
    const group = LIMIT_GROUPS[top];
    properties[top] ??= {
      description: group.about,
      type: 'object',
      additionalProperties: false,
      patternProperties: { '^x-': { description: 'Ignored.' } },
      properties: {},
      examples: group.examples,
    };
    properties[top].properties[key.slice(top.length + 1)] = described;
  }
  return { ...properties, optional };
};

/** Takes out what the schema had as Compose's names of limits before, and the table has no more. */
const dropComposeLimits = (node, kept) => {
  for (const [key, child] of Object.entries(node.properties ?? {})) {
    const to = child['x-compose'];
    if (typeof to === 'string' && to.startsWith('limits.') && !kept.has(child)) delete node.properties[key];
    else if (to !== undefined) dropComposeLimits(child, kept);
  }
};

/** Puts Compose's names of limits into the schema; each stays where it is, and new ones come last. */
const putComposeLimits = (schema) => {
  const put = new Set();
  for (const [name, key, { description, note, schema: own }] of limitTable.composeNames()) {
    const parts = name.split('.');
    const last = parts.pop();
    const parent = parts.reduce((node, part) => node.properties[part], schema);
    const { kind, schema: { examples } = {} } = limitTable.LIMITS[key] ?? {};
    const usual = { ...limitValues.COMPOSE_SCHEMAS[kind], ...(examples === undefined ? {} : { examples }) };
    const sentence = `Compose's name of \`limits.${key}\`${note === undefined ? '' : `; ${note}`}.`;
    const described = { description: description ?? sentence, 'x-compose': `limits.${key}`, ...(own ?? usual) };
    parent.properties[last] = described;
    put.add(described);
  }
  dropComposeLimits(schema, put);
};

const writtenSchema = readFileSync(here('container.schema.json'), 'utf8');
const whole = JSON.parse(writtenSchema);
const { limits: limitsNode } = whole.properties;
limitsNode.properties = limitProperties(limitsNode.properties);
putComposeLimits(whole);
// A schema that says the same stays as it is laid out.
const isSame = JSON.stringify(whole) === JSON.stringify(JSON.parse(writtenSchema));
const schemaText = isSame ? writtenSchema : `${toJson(whole)}\n`;
const generated = here('../src/generated');
const self = readFileSync(here('generate.mjs'), 'utf8');
const stamp = createHash('sha256').update(schemaText).update(self).digest('hex');

const writeIfChanged = (path, text) => {
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return;
  writeFileSync(path, text);
};

/** A `$ref` takes its target's keywords; its own description goes first. (Draft 7 lets validators ignore siblings.) */
const resolve = (node) => {
  if (node.$ref === undefined) return node;
  const target = schema.definitions[node.$ref.split('/').at(-1)];
  return { ...target, ...node };
};

/**
 * Keys with `x-compose` are Compose's names. The loader moves them to boxctl's own keys before anything else looks at a
 * file, so types and validator know the latter alone; the whole schema is for editors.
 */
const withoutCompose = (node) => {
  if (Array.isArray(node)) return node.map(withoutCompose);
  if (typeof node !== 'object' || node === null) return node;
  const own = Object.entries(node).filter(([, child]) => child?.['x-compose'] === undefined);
  return Object.fromEntries(own.map(([key, child]) => [key, withoutCompose(child)]));
};
const schema = withoutCompose(whole);

/** Each of them, by its path, and the path of the key that it is moved to; `true` where its value decides that. */
const composeNames = (node, path = '') =>
  Object.entries(node.properties ?? {}).flatMap(([key, child]) => {
    if (child['x-compose'] === undefined) return [];
    const full = path === '' ? key : `${path}.${key}`;
    return [{ path: full, to: child['x-compose'], description: child.description }, ...composeNames(child, full)];
  });

const typesOf = (node) => (node.type === undefined ? [] : [node.type].flat());

/** Paths (`*` for any item) whose scalars are numbers or booleans and never text: what interpolation converts. */
const scalarPaths = (node, path, wanted, found) => {
  const full = resolve(node);
  const types = typesOf(full);
  // An enumeration with `true` in it has no text "true" beside that.
  const isNeverText = !types.includes('string') || (full.enum ?? []).includes(true);
  if (isNeverText && types.some((type) => wanted.includes(type))) found.push(path);
  for (const [key, child] of Object.entries(full.properties ?? {})) {
    scalarPaths(child, path === '' ? key : `${path}.${key}`, wanted, found);
  }
  if (full.items !== undefined) scalarPaths(full.items, `${path}.*`, wanted, found);
  // A map with keys of the file's own; of a map of single values, each is what its key makes of it.
  if (hasProperties(full.additionalProperties)) scalarPaths(full.additionalProperties, `${path}.*`, wanted, found);
  return found;
};

const hasProperties = (node) => node?.properties !== undefined;

const code = (value) => `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;

const describe = (node, path, lines) => {
  const full = resolve(node);
  const facts = [
    `Type: ${typesOf(full).join(' or ')}.`,
    ...(full.enum === undefined ? [] : [`One of ${full.enum.map(code).join(', ')}.`]),
    ...(full['x-expected'] === undefined ? [] : [`Expected: ${full['x-expected']}.`]),
    ...(full.minimum === undefined ? [] : [`From ${full.minimum} to ${full.maximum}.`]),
    ...(full.default === undefined ? [] : [`Default: ${code(full.default)}.`]),
  ];
  lines.push(`${path.includes('.') || path.includes('[') ? '###' : '##'} ${code(path)}`, '', full.description, '');
  lines.push(facts.join(' '), '');
  if (full.examples !== undefined) lines.push(`Examples: ${full.examples.map(code).join(', ')}`, '');
  for (const [key, child] of Object.entries(full.properties ?? {})) describe(child, `${path}.${key}`, lines);
  for (const [key, child] of Object.entries(full.items?.properties ?? {})) {
    describe(child, `${path}[].${key}`, lines);
  }
  if (hasProperties(full.additionalProperties)) describe(full.additionalProperties, `${path}.NAME`, lines);
};

const referencePage = () => {
  const lines = [
    '# container.yaml: reference',
    '',
    '<!-- Written by specs/generate.mjs from container.schema.json. Change the schema and run `npm run generate`. -->',
    '',
    schema.description,
    '',
    'Put this on the first line and an editor with the YAML language server completes and checks the file:',
    '',
    '```yaml',
    '# yaml-language-server: $schema=specs/container.schema.json',
    '```',
    '',
    'Keys that start with `x-` are ignored; any other key that is not on this page is an error. Anchors, aliases and',
    'merge keys (`<<`) work. `image` may be left out only where the mount namespace is not private.',
    '',
    'In text, `${VAR}` and `$VAR` take the value of an environment variable, which must be set; `${VAR:-default}`,',
    '`${VAR-default}`, `${VAR:?message}`, `${VAR?message}`, `${VAR:+other}` and `${VAR+other}` work as in a shell, and',
    '`$$` is a dollar sign. Sizes are 1024-based.',
    '',
  ];
  for (const [key, child] of Object.entries(schema.properties)) describe(child, key, lines);
  lines.push('## Names of Compose', '');
  lines.push(
    'These are taken as Compose has them, so that a service can be pasted. Where a file says the same thing by two',
  );
  lines.push(
    'names, both must say the same. Every other key of Compose is an error that says what to write instead.',
    '',
  );
  for (const { path, description } of composeNames(whole)) lines.push(`- ${code(path)}: ${description}`);
  return `${lines.join('\n').trimEnd()}\n`;
};

/** What json-schema-to-typescript may see: draft-7 references without siblings, no unnamed `x-` index signatures. */
const forTypes = (node) => {
  if (Array.isArray(node)) return node.map(forTypes);
  if (typeof node !== 'object' || node === null) return node;
  const {
    patternProperties: _ignored,
    minItems: _min,
    maxItems: _max,
    'x-expected': _said,
    'x-unit': _unit,
    ...rest
  } = node.$ref === undefined ? node : resolve(node);
  delete rest.$ref;
  return Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, forTypes(value)]));
};

const FOR_READERS = new Set(['$schema', '$id', 'title', 'description', 'default', 'x-compose']);
const IN_MESSAGES = new Set(['examples', 'x-expected', 'x-unit']);

/** The schema without the given keywords; those that are names of properties stay. */
const without = (node, keywords) => {
  const map = (children) =>
    Object.fromEntries(Object.entries(children).map(([key, child]) => [key, without(child, keywords)]));
  return Object.fromEntries(
    Object.entries(node).flatMap(([keyword, value]) => {
      if (keywords.has(keyword)) return [];
      if (['properties', 'patternProperties', 'definitions'].includes(keyword)) return [[keyword, map(value)]];
      const isSchema = ['items', 'additionalProperties'].includes(keyword) && typeof value === 'object';
      return [[keyword, isSchema ? without(value, keywords) : value]];
    }),
  );
};

/** What validation and its messages need of the schema, and what validation alone does. */
const forValidation = (root) => without(root, FOR_READERS);
const withoutWords = (root) => without(root, new Set([...FOR_READERS, ...IN_MESSAGES]));

/** Smaller ones stay where they are: a function costs more than they do. */
const LEAST_PART = 100;

/**
 * The same schema with each key's part among the definitions. ajv makes a function of each, and V8 compiles those of the keys
 * that a file has, and not of all others.
 */
function inParts(root) {
  const definitions = {};
  const partOf = (value, path) => {
    const part = inside(value, path);
    if (JSON.stringify(part).length < LEAST_PART) return part;
    definitions[path] = part;
    return { $ref: `#/definitions/${path}` };
  };
  const inside = (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    const entries = Object.entries(value).map(([key, inner]) => {
      if (key !== 'properties') return [key, inside(inner, `${path}.${key}`)];
      const parts = Object.entries(inner).map(([name, part]) => [name, partOf(part, `${path}.${name}`)]);
      return [key, Object.fromEntries(parts)];
    });
    return Object.fromEntries(entries);
  };
  const { definitions: known = {}, ...rest } = root;
  const keys = inside(rest, 'key');
  for (const [name, part] of Object.entries(known)) definitions[name] = inside(part, name);
  return { ...keys, definitions };
}

/** Where the brackets end that begin at `at`. */
function endOfBrackets(source, at) {
  const token = /"(?:[^"\\]|\\.)*"|[{[(]|[}\])]/gu;
  token.lastIndex = at;
  let depth = 0;
  for (let found = token.exec(source); found !== null; found = token.exec(source)) {
    if (/^[{[(]$/u.test(found[0])) depth++;
    else if (/^[}\])]$/u.test(found[0]) && --depth === 0) return token.lastIndex;
  }
  throw new Error('brackets without an end in the code of ajv');
}

/** The validator's code with a number for each error: how many there are is all that its functions ask each other. */
function withoutErrors(source) {
  const begin =
    /(?:\.errors = \[|const err\d+ = |validate\d+\((?:data[^{(),]*), )(?=\{)|function validate\d+\(data, (?=\{)/gu;
  let text = '';
  let at = 0;
  for (let found = begin.exec(source); found !== null; found = begin.exec(source)) {
    const end = endOfBrackets(source, begin.lastIndex);
    const isError = !found[0].endsWith(', ');
    text += source.slice(at, begin.lastIndex - (isError ? 0 : 2)) + (isError ? '0' : '');
    at = isError ? end : source.startsWith('={}', end) ? end + '={}'.length : end;
    begin.lastIndex = at;
  }
  return text + source.slice(at);
}

/** The validator's code without its schemas, but for what it asks of them: whether a key is among those that one names. */
function withNamesAlone(source) {
  let text = source;
  for (const [declaration, name] of source.matchAll(/const (schema\d+) = (?=\{)/gu)) {
    const at = text.indexOf(declaration) + declaration.length;
    const end = endOfBrackets(text, at);
    const declared = JSON.parse(text.slice(at, end));
    const paths = new Set([...text.matchAll(new RegExp(`\\b${name}\\.([\\w.]+)`, 'gu'))].map(([, path]) => path));
    if (paths.size > 1) throw new Error(`the code of ajv asks ${name} for more than one list of names`);
    const keys = [...paths].flatMap((path) => path.split('.'));
    const names = keys.reduce((part, key) => part[key], declared);
    const numbers = keys.length === 0 ? {} : Object.fromEntries(Object.keys(names).map((key) => [key, 0]));
    const short = keys.reduceRight((part, key) => ({ [key]: part }), numbers);
    text = text.slice(0, at) + JSON.stringify(short) + text.slice(end);
  }
  return text;
}

/** The text of a file with what is between two marks replaced. */
const between = (path, mark, lines) => {
  const text = readFileSync(here(path), 'utf8');
  const parts = text.split(new RegExp(`(<!-- ${mark}[^>]*-->\\n)[^]*?(<!-- end of ${mark} -->)`, 'u'));
  if (parts.length !== 4) throw new Error(`${path} has no marks of ${mark}`);
  const [before, begin, end, after] = parts;
  return `${before}${begin}\n${lines.join('\n')}\n\n${end}${after}`;
};

/** The lines of a table, as prettier writes it. */
const table = (head, rows) => {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column].length)));
  const line = (cells, fill = ' ') => `| ${cells.map((cell, n) => cell.padEnd(widths[n], fill)).join(' | ')} |`;
  const rule = line(
    head.map(() => ''),
    '-',
  );
  return [line(head), rule, ...rows.map((row) => line(row))];
};

/** The calls that are more than one system call. */
const callTable = ({ CALLS }) =>
  table(
    ['call', 'what the launcher does'],
    Object.entries(CALLS).flatMap(([name, { does }]) => (does === undefined ? [] : [[code(name), does]])),
  );

const errorPage = ({ ERROR_CODES, EXIT_BOXCTL }) => {
  const statusOf = (status) => (status === 'signal' ? '128 + signal' : String(status ?? EXIT_BOXCTL));
  const rows = Object.entries(ERROR_CODES).map(([name, { status, meaning }]) => [
    code(name),
    statusOf(status),
    meaning,
  ]);
  const lines = [
    '# Errors',
    '',
    '<!-- Written by specs/generate.mjs from src/error-codes.ts. Change the table there and run `npm run generate`. -->',
    '',
    'Each failure of boxctl has a code. It keeps its meaning from version to version, so that scripts can match it; the',
    'sentences may change. A person sees the sentence, the line of the file, and what to do. `--json` gives `code`, `message`,',
    '`hint` and `at` ([plan.md](plan.md)). In the library, failures are a `BoxctlError` with these fields.',
    '',
    'A file with mistakes is `E_SPEC_INVALID`, and its `diagnostics` have a code each. Codes that begin with `W_` are warnings',
    'only.',
    '',
    'The exit status is the command’s own once it runs: 128 and the number of the signal when a signal ended it, 124 when',
    'its time was over.',
    '',
    ...table(['code', 'exit status', 'what it means'], rows),
  ];
  return `${lines.join('\n')}\n`;
};

/** The limits by their keys, and the files by which the kernel is told. */
const limitRows = ({ LIMIT_ROWS }) => {
  const file = (name, note, word) => {
    const text = `${code(name)}${word === undefined ? '' : `, ${code(word)}`}`;
    return note === undefined ? text : `${text} (${note})`;
  };
  const rows = LIMIT_ROWS.map(([key, { cgroup, appliedBy }]) => {
    if (cgroup === undefined) return [code(key), appliedBy, 'the same', ''];
    const { v1, v2, v2Word, notes = {}, readAgain } = cgroup;
    const again =
      readAgain === undefined ? '' : readAgain === 'written' ? 'yes' : `${code(readAgain.v1)}, ${code(readAgain.v2)}`;
    return [code(key), v1 === undefined ? 'refused' : file(v1, notes.v1), file(v2, notes.v2, v2Word), again];
  });
  return table(['key', 'version 1', 'version 2', 'read again'], rows);
};

/** All that is derived and checked in, by its path from here. */
const files = {
  'container.schema.json': schemaText,
  'container.md': referencePage(),
  'limits.md': between('limits.md', 'limits', limitRows(limitTable)),
  'errors.md': errorPage(errorCodes),
  'plan.md': between('plan.md', 'calls', callTable(calls)),
  ...Object.fromEntries(
    Object.entries(wireHeaders({ calls, constants, wire, layout })).map(([name, text]) => [
      `../native/wire/${name}`,
      text,
    ]),
  ),
};
const stale = Object.entries(files).filter(
  ([path, text]) => !existsSync(here(path)) || readFileSync(here(path), 'utf8') !== text,
);
if (!process.argv.includes('--check')) {
  for (const [path, text] of stale) writeFileSync(here(path), text);
} else if (stale.length > 0) {
  for (const [path] of stale) console.error(`${path} is not what its source says`);
  console.error('run `npm run generate`, and commit what it writes');
  process.exit(1);
}

mkdirSync(generated, { recursive: true });
const [{ defaultSeccomp }, { compileSeccomp }] = await Promise.all(
  ['model/seccomp-default', 'plan/seccomp/compile'].map((name) => load(`src/${name}.ts`)),
);
const defaultFilter = (arch) => Buffer.from(compileSeccomp(defaultSeccomp(arch), arch)).toString('base64');
writeIfChanged(
  `${generated}/default-filters.ts`,
  `// Written by specs/generate.mjs from src/model/seccomp-default.ts.
/** The filters of the default profile, in base64. */
export const DEFAULT_FILTERS = {
  x86_64: '${defaultFilter('x86_64')}',
  aarch64: '${defaultFilter('aarch64')}',
} as const;
`,
);

const stampFile = `${generated}/stamp`;
if (!existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== stamp) {
  // Loaded only here: the two packages take longer than everything else together.
  const [{ default: Ajv }, { default: standalone }, { compile }] = await Promise.all([
    import('ajv'),
    import('ajv/dist/standalone/index.js'),
    import('json-schema-to-typescript'),
  ]);
  const banner = '// Written by specs/generate.mjs from specs/container.schema.json.\n';
  /** The source of a module that ajv makes of the schema. */
  const moduleOf = (settings, source) => {
    const ajv = new Ajv.default({
      allowUnionTypes: true,
      strict: true,
      // It would say on every build that `unicode: false` is discouraged.
      logger: false,
      // `required` beside `properties` of another type in the same union is meant.
      strictRequired: false,
      // Lengths in UTF-16 units: one module less to load, and no length here depends on it.
      unicode: false,
      // A reference is a call: half of the code, and read in less time.
      inlineRefs: false,
      code: { source: true, esm: true },
      ...settings,
    });
    for (const keyword of ['x-expected', 'x-unit', 'x-compose']) ajv.addKeyword({ keyword });
    return (standalone.default ?? standalone)(ajv, ajv.compile(source));
  };
  // Two validators by one schema: a start runs the short one, which only says whether the file is sound; the other says
  // what is wrong.
  const short = withNamesAlone(withoutErrors(moduleOf({ messages: false }, inParts(withoutWords(schema)))));
  writeIfChanged(`${generated}/is-valid.mjs`, `${banner}${short}\n`);
  const full = moduleOf({ allErrors: true, verbose: true }, forValidation(schema));
  writeIfChanged(`${generated}/validate.mjs`, `${banner}${full}\n`);
  const { definitions: _definitions, ...withoutDefinitions } = schema;
  const types = await compile(forTypes(withoutDefinitions), 'ContainerFile', {
    bannerComment: banner.trim(),
    format: false,
    additionalProperties: false,
  });
  writeIfChanged(`${generated}/container.ts`, types);
  writeIfChanged(
    `${generated}/is-valid.d.mts`,
    `${banner}import type { ContainerFile } from './container.ts';

export declare function validate(data: unknown): data is ContainerFile;
`,
  );
  writeIfChanged(
    `${generated}/validate.d.mts`,
    `${banner}import type { ContainerFile } from './container.ts';

export interface SchemaNode {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly examples?: readonly unknown[];
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly 'x-expected'?: string;
  /** The unit that a number without one was probably meant in. */
  readonly 'x-unit'?: string;
  /** Of a list. */
  readonly items?: SchemaNode;
}
export interface Problem {
  readonly instancePath: string;
  readonly keyword: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly parentSchema: SchemaNode;
  readonly data: unknown;
}
export declare const validate: {
  (data: unknown): data is ContainerFile;
  errors?: readonly Problem[] | null;
};
`,
  );
  const list = (wanted) => JSON.stringify(scalarPaths(schema, '', wanted, []));
  writeIfChanged(
    `${generated}/scalars.ts`,
    `${banner}export const NUMBER_PATHS: readonly string[] = ${list(['number', 'integer'])};
export const BOOLEAN_PATHS: readonly string[] = ${list(['boolean'])};
`,
  );
  const moved = composeNames(whole).filter(({ to }) => typeof to === 'string');
  writeIfChanged(
    `${generated}/compose-names.ts`,
    `${banner}/** Paths of Compose, and the path of the key of boxctl's that has the same meaning. */
export const COMPOSE_NAMES: readonly (readonly [path: string, to: string])[] = ${JSON.stringify(moved.map(({ path, to }) => [path, to]))};
export const COMPOSE_KEYS: readonly string[] = ${JSON.stringify(composeNames(whole).map(({ path }) => path))};
`,
  );
  writeFileSync(stampFile, stamp);
}
