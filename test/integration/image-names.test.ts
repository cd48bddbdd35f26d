/** Names of images in the store: none is taken from an image without a word. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { boxctl, type Ended } from '../support/boxctl.ts';
import { dockerArchive, idOf, type TestImage } from '../support/image-archives.ts';
import { tempFolder } from '../support/temp.ts';
import { archive } from '../unit/image/archive-fixture.ts';

const imageOf = (text: string): TestImage => ({ layers: [archive({ name: 'a', data: text })], names: ['web:1'] });

test('a name from the archive that another image has is refused; a name from the command line moves to the new image, with a notice', async () => {
  const folder = tempFolder();
  const run = (...args: string[]): Promise<Ended> =>
    boxctl(['image', ...args], { cwd: folder, env: { BOXCTL_STORE: join(folder, 'store') } });
  const [one, two] = [imageOf('one'), imageOf('two')];
  writeFileSync(join(folder, 'one.tar'), dockerArchive(one));
  writeFileSync(join(folder, 'two.tar'), dockerArchive(two));
  const has = async (name: string): Promise<string> => (await run('inspect', '--json', name)).stdout;

  expect(await run('import', 'one.tar')).toMatchObject({ status: 0, stderr: '' });
  expect(await run('import', 'one.tar')).toMatchObject({ status: 0, stderr: '' });
  const refused = await run('import', 'two.tar');
  expect(refused.status).toBe(125);
  expect(refused.stderr).toContain('two.tar calls its image web:1, which is another one in the store');
  expect(refused.stderr).toContain('--replace');
  expect(await has('web:1')).toContain(idOf(one));

  const moved = await run('import', 'two.tar', 'web:1');
  expect(moved).toMatchObject({ status: 0 });
  expect(moved.stderr).toContain(`web:1 was the image ${idOf(one).slice(0, 17)} before`);
  expect(await has('web:1')).toContain(idOf(two));

  expect(await run('import', '--replace', 'one.tar')).toMatchObject({ status: 0 });
  expect(await has('web:1')).toContain(idOf(one));
  const tagged = await run('tag', idOf(two), 'web:1');
  expect(tagged.stderr).toContain(`web:1 was the image ${idOf(one).slice(0, 17)} before`);
});
