import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { noted } from '../../../src/inputs/environment.ts';
import * as outside from '../../../src/inputs/outside.ts';
import { isSettled, noteGap, startRecording, type Input, type Recording } from '../../../src/inputs/record.ts';
import { realPath, readBounded, openUnlinkedFile } from '../../../src/files/read.ts';
import { gatherHostFacts } from '../../../src/host/gather.ts';
import { recall } from '../../../src/trust/remembered.ts';

let folder = '';
let recording: Recording;

beforeEach(() => {
  folder = realPath(mkdtempSync(join(tmpdir(), 'boxctl-inputs-')));
  recording = startRecording();
});
afterEach(() => {
  recording.stop();
  rmSync(folder, { recursive: true, force: true });
});

const at = (name: string): string => join(folder, name);
const of = (path: string): readonly Input[] =>
  recording.inputs.filter((input) => 'path' in input && input.path === path);

/** What a later look would note in place of it. */
function again(look: () => unknown): readonly Input[] {
  const second = startRecording();
  try {
    look();
  } catch {
    // It is gone.
  }
  second.stop();
  return second.inputs;
}

const withoutTime = (inputs: readonly Input[]): unknown => inputs.map((input) => ({ ...input, at: 0 }));

describe('the record of what was read', () => {
  const LOOKS: Readonly<Record<string, (path: string) => unknown>> = {
    lstatSync: (path) => outside.lstatSync(path, { throwIfNoEntry: false }),
    statSync: (path) => outside.statSync(path, { throwIfNoEntry: false }),
    readText: (path) => outside.readText(path),
    existsSync: (path) => outside.existsSync(path),
    realPath: (path) => realPath(path),
    openSync: (path) => outside.openSync(path, 0),
    readBounded: (path) => readBounded(path),
    openUnlinkedFile: (path) => openUnlinkedFile(path),
    readdirSync: (path) => outside.readdirSync(path),
    accessSync: (path) => outside.accessSync(path, 4),
    fileSystemOf: (path) => outside.fileSystemOf(path),
  };

  test.each(Object.entries(LOOKS))(
    '%s notes that a path is not there, and a later look tells that it is',
    (_, look) => {
      try {
        look(at('x'));
      } catch {
        // That is what is noted.
      }
      const before = of(at('x'));
      expect(before).not.toEqual([]);
      writeFileSync(at('x'), 'text');
      expect(withoutTime(again(() => look(at('x'))))).not.toEqual(withoutTime(before));
    },
  );

  test.each(['readText', 'openSync', 'readBounded', 'openUnlinkedFile', 'statSync', 'lstatSync'])(
    '%s notes what tells of a change of the content that keeps the size',
    (name) => {
      writeFileSync(at('x'), 'one');
      LOOKS[name]?.(at('x'));
      const before = of(at('x'));
      writeFileSync(at('x'), 'two');
      utimesSync(at('x'), 1, 1);
      expect(withoutTime(again(() => LOOKS[name]?.(at('x'))))).not.toEqual(withoutTime(before));
    },
  );

  test('a file that is replaced by another of the same size and times is told from it', () => {
    writeFileSync(at('x'), 'one');
    utimesSync(at('x'), 1, 1);
    outside.readText(at('x'));
    const before = of(at('x'));
    writeFileSync(at('y'), 'two');
    utimesSync(at('y'), 1, 1);
    renameSync(at('y'), at('x'));
    expect(withoutTime(again(() => outside.readText(at('x'))))).not.toEqual(withoutTime(before));
  });

  test('where a link leads is noted, and that it leads elsewhere later', () => {
    mkdirSync(at('one'));
    mkdirSync(at('two'));
    symlinkSync('one', at('link'));
    realPath(at('link'));
    expect(of(at('link'))).toEqual([{ kind: 'real', path: at('link'), leads: at('one') }]);
    rmSync(at('link'));
    symlinkSync('two', at('link'));
    expect(again(() => realPath(at('link')))).toEqual([{ kind: 'real', path: at('link'), leads: at('two') }]);
  });

  test('names in a folder count where they were read, and do not where the folder was only looked at', () => {
    mkdirSync(at('f'));
    outside.statSync(at('f'));
    const seen = of(at('f'));
    writeFileSync(at('f/x'), '');
    expect(withoutTime(again(() => outside.statSync(at('f'))))).toEqual(withoutTime(seen));
    outside.readdirSync(at('f'));
    const listed = of(at('f'));
    writeFileSync(at('f/y'), '');
    expect(withoutTime(again(() => outside.readdirSync(at('f'))))).not.toEqual(withoutTime(listed));
  });

  test('the mode of a folder counts', () => {
    mkdirSync(at('f'));
    outside.statSync(at('f'));
    const seen = of(at('f'));
    chmodSync(at('f'), 0o777);
    expect(withoutTime(again(() => outside.statSync(at('f'))))).not.toEqual(withoutTime(seen));
  });

  test('a file that changes between two readings of one plan makes a gap', () => {
    writeFileSync(at('x'), 'one');
    outside.statSync(at('x'));
    expect(recording.gaps).toEqual([]);
    recording.add({ kind: 'path', path: at('x'), follows: true, isWhole: true, found: 'ENOENT', at: 0 });
    expect(recording.gaps).toEqual([`${at('x')} changed while the plan was made`]);
  });

  test('a file that was changed within a tick of the clock before it was read is not settled', () => {
    writeFileSync(at('x'), 'one');
    outside.readText(at('x'));
    expect(recording.unsettled.map((input) => 'path' in input && input.path)).toEqual([at('x')]);
  });

  test('a file with whole seconds as times is settled only after the longest step of such a clock', () => {
    const found = {
      dev: 1n,
      ino: 1n,
      mode: 0o100644,
      uid: 0,
      gid: 0,
      rdev: 0n,
      size: 1n,
      mtime: 0n,
      ctime: 10_000_000_000n,
    };
    const input = { kind: 'path', path: '/x', follows: true, isWhole: true, found } as const;
    expect(isSettled({ ...input, at: 12_000 })).toBe(false);
    expect(isSettled({ ...input, at: 14_000 })).toBe(true);
    expect(isSettled({ ...input, found: { ...found, ctime: 10_000_000_001n }, at: 10_010 })).toBe(false);
    expect(isSettled({ ...input, found: { ...found, ctime: 10_000_000_001n }, at: 10_100 })).toBe(true);
    expect(isSettled({ ...input, found: { ...found, mtime: 99_000_000_000n }, at: 14_000 })).toBe(false);
  });

  test('variables are noted when they are looked up, also those that are not set', () => {
    const env = noted({ SET: 'x', OTHER: 'y' });
    expect([env['SET'], env['MISSING'], Object.hasOwn(env, 'ASKED')]).toEqual(['x', undefined, false]);
    expect(recording.inputs).toEqual([
      { kind: 'variable', name: 'SET', value: 'x' },
      { kind: 'variable', name: 'MISSING', value: undefined },
      { kind: 'variable', name: 'ASKED', value: undefined },
    ]);
    expect({ ...env }).toEqual({ SET: 'x', OTHER: 'y' });
    expect(recording.gaps).toEqual(['all variables of the environment were read']);
  });

  test('a file that the kernel writes is noted with its text, and with the lines that were asked for alone', () => {
    const text = outside.readText('/proc/self/status', ['Uid:', 'NoNewPrivs:']);
    expect(text).toMatch(/^Uid:.*\nNoNewPrivs:.*\n$/u);
    expect(of('/proc/self/status')).toEqual([
      { kind: 'text', path: '/proc/self/status', lines: ['Uid:', 'NoNewPrivs:'], text },
    ]);
  });

  test('what comes from a pipe makes a gap', () => {
    readBounded('/dev/null');
    expect(recording.gaps).toEqual(['/dev/null is not a file']);
  });

  test('a path by a descriptor of a folder cannot be opened without its real path', () => {
    const fd = outside.openSync(folder, 0);
    expect(() => outside.openSync(`/proc/self/fd/${fd}/x`, 0)).toThrow('use openIn');
    writeFileSync(at('x'), '');
    outside.openIn(fd, folder, 'x', 0);
    expect(of(at('x'))).toHaveLength(1);
  });

  test('the facts of the host are gathered twice to the same record', () => {
    gatherHostFacts({ HOME: folder, XDG_RUNTIME_DIR: folder, BOXCTL_STORE: at('store') });
    const first = withoutTime(recording.inputs);
    expect(recording.inputs.length).toBeGreaterThan(40);
    const second = again(() => gatherHostFacts({ HOME: folder, XDG_RUNTIME_DIR: folder, BOXCTL_STORE: at('store') }));
    expect(withoutTime(second)).toEqual(first);
  });

  test('what was allowed for good is in the record, by the folder that it really lies in', () => {
    const keeper = { env: { XDG_CONFIG_HOME: folder }, home: folder, euid: process.geteuid?.() ?? 0 };
    mkdirSync(at('boxctl/allowed'), { recursive: true, mode: 0o700 });
    recall(keeper, at('project/container.yaml'));
    expect(
      recording.inputs.some((input) => 'path' in input && /boxctl\/allowed\/[0-9a-f]{64}\.json$/u.test(input.path)),
    ).toBe(true);
    expect(recording.inputs.some((input) => 'path' in input && input.path.startsWith('/proc/self/fd'))).toBe(false);
  });

  test('two records at once have both all that is read', () => {
    const other = startRecording();
    outside.existsSync(at('x'));
    noteGap('a claim');
    other.stop();
    outside.existsSync(at('y'));
    expect(other.inputs).toEqual(of(at('x')));
    expect(other.gaps).toEqual(recording.gaps);
    expect(recording.inputs).toHaveLength(2);
  });
});
