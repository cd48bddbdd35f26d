/** The archive that npm installs: `boxctl` is the program of native/front wherever it is put, and however it is called. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PROJECT, run, type Ended, type RunOptions } from '../support/boxctl.ts';
import { isRoot } from '../support/user.ts';

const folder = mkdtempSync('/var/tmp/boxctl-test-package-');
afterAll(() => rmSync(folder, { recursive: true }));
let archive = '';

const VERSION = `boxctl ${(JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as { version: string }).version}\n`;
const ELF = Buffer.from('\u007fELF');

async function ran(command: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const ended = await run(command, options);
  if (ended.status !== 0) throw new Error(`${command.join(' ')}: ${ended.stderr}`);
  return ended;
}

const npm = (args: readonly string[], cwd: string): Promise<Ended> =>
  ran(['npm', ...args, '--offline', '--no-audit', '--no-fund', '--no-update-notifier'], { cwd });

const version = async (command: readonly string[], options: RunOptions = {}): Promise<string> =>
  (await ran([...command, '--version'], options)).stdout;

beforeAll(async () => {
  const { stdout } = await ran([process.execPath, join(PROJECT, 'src/package.mjs'), '--to', folder]);
  archive = stdout.trim();
  mkdirSync(join(folder, 'project'));
  writeFileSync(join(folder, 'project/package.json'), '{"private": true}\n');
  const installed = await npm(['install', archive], join(folder, 'project'));
  expect(installed.stderr).toBe('');
  await npm(['install', '--global', '--prefix', join(folder, 'global'), archive], folder);
}, 180_000);

const local = (): string => join(folder, 'project/node_modules/.bin/boxctl');
const global = (): string => join(folder, 'global/bin/boxctl');

test('the command is a program of this machine, and no script', () => {
  for (const path of [local(), global()]) expect(readFileSync(path).subarray(0, 4)).toEqual(ELF);
});

test('is found in node_modules/.bin, by npx and as a global command', async () => {
  const cwd = join(folder, 'project');
  expect(await version([local()])).toBe(VERSION);
  expect(await version(['npx', '--offline', 'boxctl'], { cwd })).toBe(VERSION);
  const PATH = `${join(folder, 'global/bin')}:${process.env['PATH'] ?? ''}`;
  expect(await version(['boxctl'], { env: { PATH } })).toBe(VERSION);
});

test('finds its files by links to links, by another name, and where the folder was moved', async () => {
  const links = join(folder, 'links');
  mkdirSync(links);
  symlinkSync(global(), join(links, 'one'));
  symlinkSync('one', join(links, 'two'));
  expect(await version([join(links, 'two')])).toBe(VERSION);
  expect(await version(['bash', '-c', 'exec -a another "$@"', 'bash', join(links, 'two')])).toBe(VERSION);
  const before = join(folder, 'project');
  const after = join(folder, 'project moved');
  renameSync(before, after);
  expect(await version([join(after, 'node_modules/.bin/boxctl')])).toBe(VERSION);
  renameSync(after, before);
});

test.skipIf(!isRoot)('is found from another file system (needs root)', async () => {
  const script = 'mount -t tmpfs none "$1" && ln -s "$2" "$1/boxctl" && exec "$1/boxctl" --version';
  const other = join(folder, 'other');
  mkdirSync(other);
  expect((await ran(['unshare', '-m', 'sh', '-c', script, 'sh', other, global()])).stdout).toBe(VERSION);
});

test('says what is missing without Node, and where its files are not beside it', async () => {
  const PATH = '/nowhere';
  const without = await run(['/bin/sh', '-c', `PATH=${PATH} exec "$1" --version`, 'sh', global()]);
  expect(without).toMatchObject({ status: 125, stderr: 'boxctl: needs Node 20 or newer, and PATH has no `node`\n' });
  cpSync(global(), join(folder, 'alone'), { dereference: true });
  const alone = await run([join(folder, 'alone'), '--version']);
  const stderr =
    'boxctl: its other files are not beside it: a copy of the program alone does not run, but a link to it does\n';
  expect(alone).toMatchObject({ status: 125, stderr });
});

test('is refused on another kind of processor, and has no script that npm would have to run', () => {
  const installed = join(folder, 'project/node_modules/boxctl/package.json');
  const description = JSON.parse(readFileSync(installed, 'utf8')) as { cpu: unknown; scripts?: unknown };
  expect([description.cpu, description.scripts]).toEqual([[process.arch], undefined]);
});
