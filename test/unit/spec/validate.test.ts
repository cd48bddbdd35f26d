/** The validator beside ajv, on documents that are made from the schema and then broken. */
import { Ajv } from 'ajv';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SCHEMA } from '../../../src/generated/schema.ts';
import { validate, type SchemaNode } from '../../../src/spec/validate.ts';

const schema = JSON.parse(SCHEMA) as SchemaNode;

function reference(root: object): (data: unknown) => readonly string[] {
  const ajv = new Ajv({
    allErrors: true,
    allowUnionTypes: true,
    strict: true,
    strictRequired: false,
    logger: false,
    unicode: false,
  });
  ajv.addKeyword({ keyword: 'x-expected', schemaType: 'string' });
  ajv.addKeyword({ keyword: 'x-unit', schemaType: 'string' });
  const check = ajv.compile(root);
  return (data) => {
    check(data);
    return (check.errors ?? [])
      .map(({ instancePath, keyword, params }) => {
        const path = instancePath.split('/').slice(1).join('.').replaceAll('~1', '/').replaceAll('~0', '~');
        const key = (params['additionalProperty'] ?? params['missingProperty'] ?? '') as string;
        return `${path}: ${keyword} ${key}`;
      })
      .toSorted();
  };
}

const own = (root: SchemaNode, data: unknown): readonly string[] =>
  validate(root, data)
    .map(({ path, keyword, key = '' }) => `${path}: ${keyword} ${key}`)
    .toSorted();

const wrong = fc.oneof(
  fc.constantFrom(null, '', 'x', 'x-note', 0, -1, 1.5, 2 ** 40, Number.NaN, Infinity, true, false, [], {}, [[]], ['']),
  fc.string({ maxLength: 5 }),
  fc.dictionary(fc.constantFrom('name', 'type', 'x-a', '__proto__', 'constructor', 'a/b', 'a~b'), fc.jsonValue()),
  fc.jsonValue({ maxDepth: 2 }),
);

/** Values of a schema, most of which are as it wants them. */
function valueOf(node: SchemaNode, depth: number): fc.Arbitrary<unknown> {
  const target = schema.definitions?.[node.$ref?.split('/').at(-1) ?? ''];
  if (target !== undefined) {
    const { $ref: _, ...rest } = node;
    return valueOf({ ...target, ...rest }, depth);
  }
  const right: fc.Arbitrary<unknown>[] = [...(node.examples ?? []), ...(node.enum ?? [])].map((one) =>
    fc.constant(one),
  );
  if (node.minimum !== undefined && node.maximum !== undefined) {
    right.push(fc.constantFrom(node.minimum, node.maximum, node.minimum - 1, node.maximum + 1));
  }
  const types = new Set([node.type ?? []].flat());
  if (depth > 0 && types.has('array') && node.items !== undefined) {
    right.push(fc.array(valueOf(node.items, depth - 1), { maxLength: 4 }));
  }
  if (depth > 0 && types.has('object')) {
    const known = Object.entries(node.properties ?? {}).map(
      ([key, child]) => [key, valueOf(child, depth - 1)] as const,
    );
    const other = fc.dictionary(fc.constantFrom('x-note', 'nmae', 'toString', '__proto__', 'A'), wrong, { maxKeys: 1 });
    const map = fc.record(Object.fromEntries(known), { requiredKeys: [] });
    right.push(fc.tuple(map, other).map(([values, more]) => ({ ...values, ...more })));
  }
  return fc.oneof({ weight: 1, arbitrary: wrong }, ...right.map((arbitrary) => ({ weight: 3, arbitrary })));
}

describe('the validator', () => {
  test('finds in documents of every kind what ajv finds by the same schema', () => {
    const check = reference(schema);
    let broken = 0;
    fc.assert(
      fc.property(valueOf(schema, 5), (document) => {
        const expected = check(document);
        if (expected.length > 0) broken += 1;
        expect(own(schema, document)).toEqual(expected);
      }),
      { numRuns: 1500 },
    );
    expect(broken).toBeGreaterThan(100);
  });

  test('takes each example of the schema by itself', () => {
    const check = reference(schema);
    for (const [key, node] of Object.entries(schema.properties ?? {})) {
      for (const example of node.examples ?? []) {
        expect([key, own(schema, { [key]: example })]).toEqual([key, check({ [key]: example })]);
      }
    }
  });

  test('does not take what every object inherits for a key of the schema', () => {
    const document = JSON.parse('{"toString": 1, "constructor": 2, "__proto__": 3}') as unknown;
    expect(own(schema, document)).toEqual([
      ': additionalProperties __proto__',
      ': additionalProperties constructor',
      ': additionalProperties toString',
    ]);
  });
});
