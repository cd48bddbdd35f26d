/** The way into the bundle, with what makes it fast and without. */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { PROGRAM } from '../../support/boxctl.ts';

const run = promisify(execFile);
const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

/** What boxctl is told by `words`, where these files of its folder are missing. */
async function without(missing: readonly string[], words: readonly string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'boxctl-bin-'));
  folders.push(folder);
  // Not the library.
  await cp(dirname(PROGRAM), folder, { recursive: true, filter: (path) => !/\/types$|\.js$/u.test(path) });
  for (const name of missing) await rm(join(folder, name));
  const { stdout } = await run(process.execPath, [join(folder, 'boxctl.cjs'), ...words]);
  return stdout;
}

const CACHES = ['start', 'rest'].flatMap((name) => [`${name}.pack.cache`, `${name}.pack.looks.cache`]);

test.each([
  ['its addon', ['native/boxctl.node']],
  ['what V8 has compiled', CACHES],
  ['both', ['native/boxctl.node', ...CACHES]],
])('boxctl says the same without %s', async (_, missing) => {
  for (const words of [
    ['help', 'completion'],
    ['ps', '--help'],
  ]) {
    expect(await without(missing, words)).toBe(await without([], words));
  }
});

test.each([
  ['a profile', ['--cpu-prof'], {}],
  ['what was covered', [], { NODE_V8_COVERAGE: '.' }],
])('Node writes %s at its end where it is asked for it', async (_, options, variables) => {
  const cwd = await mkdtemp(join(tmpdir(), 'boxctl-bin-'));
  folders.push(cwd);
  const { PATH, HOME } = process.env;
  await run(process.execPath, [...options, PROGRAM, '--version'], { cwd, env: { PATH, HOME, ...variables } });
  expect(await readdir(cwd)).toHaveLength(1);
});

const REJECTED = `
const [, program, , ...names] = process.argv;
const { openPack } = require(program);
process.stdout.write(JSON.stringify(names.map((name) => openPack(name).script.cachedDataRejected)));
`;

test.each([
  ['starts', 'up', ['start', 'network', 'rest']],
  ['looks at containers', 'ps', ['start', 'rest']],
])('V8 takes what it has compiled, for what %s', async (_, word, names) => {
  const { stdout } = await run(process.execPath, ['-e', REJECTED, PROGRAM, word, ...names]);
  expect(JSON.parse(stdout)).toEqual(names.map(() => false));
});
