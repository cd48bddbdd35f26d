/**
 * Checks plain data against a JSON Schema (draft 7), by the keywords that container.schema.json has; specs/generate.mjs
 * refuses others. A validator that is generated from the schema does the same by 170 KB of code, which each start would load.
 */

/** A schema, with `$ref` to definitions alone, and with words of our own for messages. */
export interface SchemaNode {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly pattern?: string;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly items?: SchemaNode;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly patternProperties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: boolean | SchemaNode;
  readonly definitions?: Readonly<Record<string, SchemaNode>>;
  readonly examples?: readonly unknown[];
  readonly 'x-expected'?: string;
  /** The unit that a number without one was probably meant in. */
  readonly 'x-unit'?: string;
}

/** A keyword that does not hold. */
export interface Violation {
  /** Of the value: keys and indexes, joined by dots; '' for the whole. */
  readonly path: string;
  readonly keyword: keyof SchemaNode;
  /** The schema that has the keyword. */
  readonly schema: SchemaNode;
  readonly data: unknown;
  /** The key that is missing (`required`), or that is unknown (`additionalProperties`). */
  readonly key?: string;
}

type Fail = (keyword: keyof SchemaNode, key?: string) => void;

/** All violations, outer ones before those within. A keyword for another type than the value's holds, as draft 7 says. */
export function validate(root: SchemaNode, data: unknown): readonly Violation[] {
  const found: Violation[] = [];
  const check = (schema: SchemaNode, value: unknown, path: string): void => {
    const fail: Fail = (keyword, key) => {
      found.push({ path, keyword, schema, data: value, ...(key === undefined ? {} : { key }) });
    };
    if (schema.type !== undefined && !isOfType(schema.type, value)) fail('type');
    if (schema.enum !== undefined && !schema.enum.includes(value)) fail('enum');
    if (schema.$ref !== undefined) check(definition(root, schema.$ref), value, path);
    if (typeof value === 'number' && Number.isFinite(value)) checkNumber(schema, value, fail);
    else if (typeof value === 'string') checkText(schema, value, fail);
    else if (Array.isArray(value)) {
      checkLength(schema, value, fail);
      const { items } = schema;
      if (items !== undefined) value.forEach((item, index) => check(items, item, below(path, String(index))));
    } else if (isMap(value)) {
      checkRequired(schema, value, fail);
      for (const [key, child] of Object.entries(value)) {
        const wanted = schemasOf(schema, key);
        if (wanted === undefined) fail('additionalProperties', key);
        else if (child !== undefined) for (const one of wanted) check(one, child, below(path, key));
      }
    }
  };
  check(root, data, '');
  return found;
}

function below(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

function definition(root: SchemaNode, reference: string): SchemaNode {
  const found = root.definitions?.[reference.slice('#/definitions/'.length)];
  if (found === undefined) throw new Error(`the schema has no ${reference}`);
  return found;
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isOfType(type: string | readonly string[], value: unknown): boolean {
  return typeof type === 'string' ? isOf(type, value) : type.some((one) => isOf(one, value));
}

function isOf(type: string, value: unknown): boolean {
  switch (type) {
    case 'integer':
      return Number.isInteger(value);
    case 'number':
      return Number.isFinite(value);
    case 'array':
      return Array.isArray(value);
    case 'object':
      return isMap(value);
    case 'null':
      return value === null;
    default:
      return typeof value === type;
  }
}

function checkNumber({ minimum, maximum }: SchemaNode, value: number, fail: Fail): void {
  if (minimum !== undefined && !(value >= minimum)) fail('minimum');
  if (maximum !== undefined && !(value <= maximum)) fail('maximum');
}

/** Lengths in UTF-16 units, as no length here depends on it. */
function checkText({ minLength, pattern }: SchemaNode, value: string, fail: Fail): void {
  if (minLength !== undefined && value.length < minLength) fail('minLength');
  if (pattern !== undefined && !new RegExp(pattern, 'u').test(value)) fail('pattern');
}

function checkLength({ minItems, maxItems }: SchemaNode, value: readonly unknown[], fail: Fail): void {
  if (minItems !== undefined && value.length < minItems) fail('minItems');
  if (maxItems !== undefined && value.length > maxItems) fail('maxItems');
}

function checkRequired({ required = [] }: SchemaNode, value: Readonly<Record<string, unknown>>, fail: Fail): void {
  for (const key of required) if (value[key] === undefined) fail('required', key);
}

const NOTHING: readonly SchemaNode[] = [];

/** What holds for the value of a key; undefined where there may be no such key. */
function schemasOf(schema: SchemaNode, key: string): readonly SchemaNode[] | undefined {
  const { properties = {}, patternProperties = {}, additionalProperties = true } = schema;
  const named = Object.hasOwn(properties, key) ? properties[key] : undefined;
  const patterns = Object.keys(patternProperties).filter((pattern) => new RegExp(pattern, 'u').test(key));
  const found = [named, ...patterns.map((pattern) => patternProperties[pattern])].filter((one) => one !== undefined);
  if (found.length > 0) return found;
  if (typeof additionalProperties === 'object') return [additionalProperties];
  return additionalProperties ? NOTHING : undefined;
}
