/** What the loader notes of the host: variables that are taken, files that are named, and where links lead. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BoxctlError } from '../../../src/errors.ts';
import { loadSpecText, type LoadOptions } from '../../../src/spec/load.ts';
import { readableByEveryone, realPath } from '../../../src/files/read.ts';
import type { Volume } from '../../../src/spec/spec.ts';
import { tempFolder } from '../../support/temp.ts';

const ENV = { A: 'a', B: '', TOKEN: 't', DEEP: 'd' };

function load(text: string, folder: string, options: Partial<LoadOptions> = {}) {
  return loadSpecText(`image: {host_tools: [sh]}\n${text}\n`, join(folder, 'container.yaml'), {
    env: ENV,
    home: '/home/me',
    ...options,
  });
}
const sources = (volumes: readonly Volume[]) =>
  volumes.flatMap((volume) => ('source' in volume && volume.type === 'bind' ? [volume.source] : []));

describe('variables of the caller', () => {
  const taken = (text: string) => load(text, tempFolder()).taken.map(({ name, path }) => `${path} ${name}`);
  it.each([
    ['working_dir: /$A', ['working_dir A']],
    ['working_dir: "/${A}/${TOKEN:?}"', ['working_dir A', 'working_dir TOKEN']],
    ['working_dir: "/${B:-${DEEP}}"', ['working_dir DEEP']],
    ['working_dir: "/${B-${DEEP}}x"', ['working_dir B']],
    ['working_dir: "/${MISSING:-x}"', []],
    ['working_dir: "/x${A:+set}"', []],
    ['working_dir: "/${A:-${TOKEN}}"', ['working_dir A']],
    ['working_dir: /$$A', []],
    ['environment: {TOKEN: null, X: "1"}', ['environment.TOKEN TOKEN']],
    [
      'environment: [TOKEN, "X=$A"]',
      ['environment.1 A', 'environment.0 TOKEN', 'environment.TOKEN TOKEN', 'environment.X A'],
    ],
    ['x-note: $TOKEN', []],
  ])('%j takes %j', (text, expected) => expect(taken(text)).toEqual(expected));

  it('are taken by an env_file', () => {
    const folder = tempFolder();
    writeFileSync(join(folder, 'x.env'), 'TOKEN\nA=1\n');
    expect(load('env_file: ./x.env', folder).taken).toEqual([{ name: 'TOKEN', path: 'env_file', value: 't' }]);
  });
});

describe('paths behind links', () => {
  it('are followed in the source of a bind and in the folder of the file', () => {
    const real = realpathSync(tempFolder());
    const outside = realpathSync(tempFolder());
    mkdirSync(join(real, 'data'));
    symlinkSync('data', join(real, 'inner'));
    symlinkSync(outside, join(real, 'outer'));
    const link = join(outside, 'project');
    symlinkSync(real, link);
    const { spec, folder } = load('volumes: ["./data:/a", "./inner:/b", "./outer:/c", "./data/../outer:/d"]', link);
    expect(folder).toBe(real);
    expect(sources(spec.volumes)).toEqual([`${real}/data`, `${real}/data`, outside, outside]);
  });

  it('are followed up to the last folder that exists; the rest of the path is kept', () => {
    const real = realpathSync(tempFolder());
    const link = join(tempFolder(), 'link');
    symlinkSync(real, link);
    expect(realPath(join(link, 'a/b'))).toBe(join(real, 'a/b'));
  });

  it('are noted for an env_file, which is read from outside of the folder only where it is allowed', () => {
    const folder = realpathSync(tempFolder({ open: true }));
    const outside = realpathSync(tempFolder({ open: true }));
    writeFileSync(join(outside, 'x.env'), 'X=1\n', { mode: 0o600 });
    symlinkSync(join(outside, 'x.env'), join(folder, 'x.env'));
    const { files, spec } = load('env_file: ./x.env', folder);
    const noted = { kind: 'env_file', file: join(outside, 'x.env'), path: 'env_file', everyone: false };
    expect(files).toEqual([{ ...noted, readable: false }]);
    expect(spec.environment).toEqual({});
    const allowed = load('env_file: ./x.env', folder, {
      allows: (kind, file) => file === noted.file && kind === 'env_file',
    });
    expect(allowed.files).toEqual([{ ...noted, readable: true, content: expect.any(Function) as unknown }]);
    expect(allowed.files[0]?.content?.().text).toBe('X=1\n');
    expect(allowed.spec.environment).toEqual({ X: '1' });
  });
});

it('a file counts as readable by everyone only if its own and all folders’ permission bits say so; a folder never does', () => {
  const folder = tempFolder({ open: true });
  const file = join(folder, 'file');
  writeFileSync(file, '');
  chmodSync(file, 0o644);
  expect(readableByEveryone(file)).toBe(true);
  expect(readableByEveryone(folder)).toBe(false);
  expect(readableByEveryone('/')).toBe(false);
  chmodSync(file, 0o640);
  expect(readableByEveryone(file)).toBe(false);
  chmodSync(file, 0o644);
  chmodSync(folder, 0o750);
  expect(readableByEveryone(file)).toBe(false);
  expect(readableByEveryone(join(folder, 'missing'))).toBe(false);
});

it.each(['env_file', 'seccomp'])('`%s` that names a device or a fifo is refused', (key) => {
  const folder = tempFolder();
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  for (const file of ['/dev/zero', './pipe']) {
    const told = (): string => {
      try {
        load(`${key}: ${file}`, folder, { allows: () => true });
      } catch (error) {
        if (error instanceof BoxctlError) return error.diagnostics.map(({ message }) => message).join();
      }
      return '';
    };
    expect(told()).toContain('it is no file');
  }
});

it('files that do not exist are an error, but not for a review', () => {
  const text = 'volumes: ["/no/such/place:/a:ro", "./nor/this:/b"]\nenv_file: ./missing.env';
  const folder = tempFolder();
  expect(() => load(text, folder)).toThrow(expect.objectContaining({ code: 'E_SPEC_INVALID' }));
  const { spec } = load(text, folder, { review: true });
  expect(sources(spec.volumes)[0]).toBe('/no/such/place');
});
