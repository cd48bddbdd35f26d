/** The planner is told, it never asks. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const SOURCES = join(import.meta.dirname, '../../../src');

test('no file of the planner reads a file, the clock, or a random number', () => {
  const files = ['kernel', 'plan'].flatMap((folder) =>
    readdirSync(join(SOURCES, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(folder, name)),
  );
  expect(files.length).toBeGreaterThan(15);
  for (const name of files) {
    const text = readFileSync(join(SOURCES, name), 'utf8');
    const modules = [...text.matchAll(/from 'node:([^']+)'/gu)].map((match) => match[1]);
    expect({ name, outside: modules.filter((module) => module !== 'path') }).toEqual({ name, outside: [] });
    expect(text, name).not.toMatch(
      /\bprocess\.(?:env|pid|argv|hrtime|\w+\()|\b(?:Date|performance|Math\.random|fetch)\b/u,
    );
  }
});
