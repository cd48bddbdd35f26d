// Derives from container.schema.json what must never disagree with it: the TypeScript type of the raw document, the
// validator (so that no schema is compiled at run time), and the reference page container.md.
// `--check` writes nothing and fails when container.md is not what would be written.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const schemaText = readFileSync(here('container.schema.json'), 'utf8');
const whole = JSON.parse(schemaText);
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
  if (!types.includes('string') && types.some((type) => wanted.includes(type))) found.push(path);
  for (const [key, child] of Object.entries(full.properties ?? {})) {
    scalarPaths(child, path === '' ? key : `${path}.${key}`, wanted, found);
  }
  if (full.items !== undefined) scalarPaths(full.items, `${path}.*`, wanted, found);
  return found;
};

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
    ...rest
  } = node.$ref === undefined ? node : resolve(node);
  delete rest.$ref;
  return Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, forTypes(value)]));
};

const page = referencePage();
if (process.argv.includes('--check')) {
  if (!existsSync(here('container.md')) || readFileSync(here('container.md'), 'utf8') !== page) {
    console.error('specs/container.md is not what container.schema.json says; run `npm run generate`.');
    process.exit(1);
  }
} else {
  writeIfChanged(here('container.md'), page);
}

const stampFile = `${generated}/stamp`;
if (!existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== stamp) {
  // Loaded only here: the two packages take longer than everything else together.
  const [{ default: Ajv }, { default: standalone }, { compile }] = await Promise.all([
    import('ajv'),
    import('ajv/dist/standalone/index.js'),
    import('json-schema-to-typescript'),
  ]);
  mkdirSync(generated, { recursive: true });
  const ajv = new Ajv.default({
    allErrors: true,
    verbose: true,
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
    code: { source: true, esm: false },
  });
  ajv.addKeyword({ keyword: 'x-expected', schemaType: 'string' });
  const validator = ajv.compile(schema);
  const banner = '// Written by specs/generate.mjs from specs/container.schema.json.\n';
  writeIfChanged(`${generated}/validate.cjs`, `${banner}${(standalone.default ?? standalone)(ajv, validator)}\n`);
  const { definitions: _definitions, ...withoutDefinitions } = schema;
  const types = await compile(forTypes(withoutDefinitions), 'ContainerFile', {
    bannerComment: banner.trim(),
    format: false,
    additionalProperties: false,
  });
  writeIfChanged(`${generated}/container.ts`, types);
  writeIfChanged(
    `${generated}/validate.d.cts`,
    `${banner}import type { ContainerFile } from './container.ts';

declare namespace validate {
  interface SchemaNode {
    readonly type?: string | readonly string[];
    readonly properties?: Readonly<Record<string, unknown>>;
    readonly examples?: readonly unknown[];
    readonly 'x-expected'?: string;
  }
  interface Problem {
    readonly instancePath: string;
    readonly keyword: string;
    readonly params: Readonly<Record<string, unknown>>;
    readonly parentSchema: SchemaNode;
    readonly data: unknown;
  }
  let errors: readonly Problem[] | null;
}
declare function validate(data: unknown): data is ContainerFile;
export = validate;
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
