/** Imports point one way: from a folder of src to those below it, types included; and no file imports itself by others. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');
const src = join(root, 'src');

/** From the ground up. Each may import from those before it, and from itself. */
const LAYERS: readonly (readonly string[])[] = [
  ['error-codes.ts'],
  ['errors.ts'],
  ['kernel'],
  ['text'],
  ['inputs'],
  ['native.ts'],
  ['files'],
  ['limits'],
  ['yaml'],
  ['generated'],
  ['spec'],
  ['host'],
  ['oci'],
  ['model'],
  ['plan'],
  ['trust'],
  ['launcher'],
  ['show'],
  ['run'],
  ['worker'],
  ['state'],
  ['registry'],
  ['image'],
  ['lock'],
  ['review'],
  ['systemd'],
  ['container'],
  ['doctor'],
  ['index.ts'],
  ['cli'],
];

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(src, join(entry.parentPath, entry.name)));
}

const files = filesBelow(src);

/** What a file imports of src, at once or later, as a value or as a type. */
function importsOf(file: string): readonly string[] {
  const text = readFileSync(join(src, file), 'utf8');
  const found = text.matchAll(/(?:\bfrom|\bimport\()\s*'(\.[^']+)'/gu);
  return [...found].map(([, path = '']) => relative(src, join(src, dirname(file), path)));
}

const layerOf = (file: string): number => {
  const [top = ''] = file.split('/');
  return LAYERS.findIndex((names) => names.includes(top));
};

describe('the layers of src', () => {
  test('every file has its place in the list', () => {
    expect(files.filter((file) => layerOf(file) < 0)).toEqual([]);
    const tops = new Set(files.map((file) => file.split('/')[0]));
    expect(LAYERS.flat().filter((name) => !tops.has(name))).toEqual([]);
  });

  test('no file imports from a layer above its own', () => {
    const upward = files.flatMap((file) =>
      importsOf(file)
        .filter((imported) => layerOf(imported) > layerOf(file))
        .map((imported) => `${file} imports ${imported}`),
    );
    expect(upward).toEqual([]);
  });

  test('no file imports itself through others, not even for a type', () => {
    const imports = new Map(files.map((file) => [file, importsOf(file)]));
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (file: string, way: readonly string[]): void => {
      if (way.includes(file)) circles.push([...way.slice(way.indexOf(file)), file].join(' → '));
      if (way.includes(file) || done.has(file)) return;
      for (const imported of imports.get(file) ?? []) visit(imported, [...way, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
    expect(circles).toEqual([]);
  });
});

test('paths that comments and documents name are there', () => {
  const named = /(?<![\w/.-])(?:src|native|specs|test|examples)\/[\w./-]+\.(?:ts|cc|h|c|mjs|cjs|md|json|sh|yaml)\b/gu;
  const folders = ['src', 'native', 'specs', 'test'].flatMap((folder) =>
    readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile() && /\.(?:ts|cc|h|c|mjs|md)$/u.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name)),
  );
  const sources = folders.filter((path) => !/\/(?:node_modules|build|generated)\//u.test(path));
  const documents = readdirSync(root)
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(root, name));
  const missing = [...sources, ...documents].flatMap((path) =>
    (readFileSync(path, 'utf8').match(named) ?? [])
      .filter((name) => !/^(?:src|native)\/(?:generated|build)\/|\/NAME\./u.test(name) && !existsSync(join(root, name)))
      .map((name) => `${relative(root, path)} names ${name}`),
  );
  expect(missing).toEqual([]);
});
