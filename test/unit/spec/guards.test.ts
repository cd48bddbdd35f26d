/** What is covered under a bind, by what the specification's text alone and the person who runs it say. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadSpecText } from '../../../src/spec/load.ts';
import { tempFolder } from '../../support/temp.ts';

test('a folder outside of the file’s is looked into once it is allowed, and read-only as a whole until then', () => {
  const outside = tempFolder();
  mkdirSync(join(outside, '.git'));
  for (const name of ['HEAD', 'config']) writeFileSync(join(outside, '.git', name), '');
  const text = `image: {folder: .}\nvolumes: ['${outside}:/w', '.:/here']\n`;
  const guards = (allowed: boolean) => {
    const asked: unknown[] = [];
    const { spec } = loadSpecText(text, join(tempFolder(), 'container.yaml'), {
      env: {},
      home: '/nowhere',
      allows: (...one) => (asked.push(one.slice(0, 2)), allowed),
    });
    const [bind] = spec.volumes;
    return { asked, paths: bind?.type === 'bind' ? bind.guards?.map(({ path }) => path) : undefined };
  };
  expect(guards(false)).toEqual({ asked: [['bind', outside]], paths: [''] });
  expect(guards(true)).toEqual({
    asked: [['bind', outside]],
    paths: expect.arrayContaining(['.git/config', '.git/commondir', 'commondir']),
  });
});
