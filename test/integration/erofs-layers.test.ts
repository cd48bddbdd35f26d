/** Indexes of layers as overlay's lower layers: what an upper one deletes and hides is gone. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { inNamespace, kernelComplaints, makeIndex } from '../support/erofs.ts';
import type { IndexReport } from '../support/erofs.ts';
import { archive } from '../unit/image/archive-fixture.ts';
import type { Fixture } from '../unit/image/archive-fixture.ts';

let base = '';
let complaints: string[] = [];
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'boxctl-erofs-'));
  complaints = kernelComplaints();
});
afterEach(() => {
  rmSync(base, { recursive: true });
  expect(kernelComplaints(complaints)).toEqual([]);
});

/** Indexes layers, the lowest first; the lowest is a layer that has nothing below it. */
function indexLayers(layers: readonly (readonly Fixture[])[]): IndexReport[] {
  return layers.map((fixtures, number) => {
    const tar = join(base, `${number}.tar`);
    writeFileSync(tar, archive(...fixtures));
    return makeIndex(tar, join(base, `${number}.index`), { whiteouts: number === 0 ? 'dropped' : 'marks' });
  });
}

/** Mounts the indexes and an overlay over them, and runs a script in it. */
function inOverlay(count: number, script: string, options = 'userxattr'): string {
  const numbers = Array.from({ length: count }, (_, number) => number);
  return inNamespace(
    `mkdir merged scratch ${numbers.join(' ')}
    mount -t tmpfs none scratch
    mkdir scratch/upper scratch/work
    for number in ${numbers.join(' ')}; do "$ERO" mount $PWD/$number.index $PWD/$number.tar $number; done
    mount -t overlay -o ${options},lowerdir=${numbers.toReversed().join(':')},upperdir=scratch/upper,workdir=scratch/work none merged
    cd merged
    ${script}`,
    base,
  );
}

const file = (name: string, data = name): Fixture => ({ name, data });
const folder = (name: string): Fixture => ({ name, type: '5', mode: 0o755 });

describe.skipIf(process.geteuid?.() !== 0)('as root (skipped without: it mounts)', () => {
  test('three layers with whiteouts and opaque folders look as the unpacked ones do', () => {
    const reports = indexLayers([
      `stays gone gone-again replaced was-folder/x swapped/old opaque/old opaque/sub/old deep/a/b/c again/one link-to
        .wh.nothing`
        .split(/\s+/u)
        .map((name) => file(name)),
      [
        file('.wh.gone'),
        file('.wh.gone-again'),
        file('replaced', 'new'),
        file('was-folder', 'now a file'),
        // In any order: a whiteout is about the layers below, never about its own.
        file('swapped/new'),
        file('.wh.swapped'),
        file('opaque/new'),
        file('opaque/.wh..wh..opq'),
        file('deep/a/b/.wh.c'),
        file('deep/a/b/d'),
        folder('deep/a/e'),
        file('.wh.again'),
      ],
      [
        file('gone-again', 'back'),
        file('opaque/third'),
        file('again/two'),
        file('deep/.wh.a'),
        { name: '.wh.link-to', type: '1', link: '.wh..wh.aufs' },
        file('.wh..wh.aufs'),
        { name: '.wh..wh.plnk/1.2', data: 'of aufs' },
      ],
    ]);
    expect(reports).toMatchObject([
      { ok: true, skipped: 0, opaqueRoot: false },
      { ok: true, skipped: 0, opaqueRoot: false },
      { ok: true, skipped: 2, opaqueRoot: false },
    ]);
    const found = inOverlay(
      3,
      "find . -type f -printf '%P ' -exec cat {} \\; -printf '\\n' | sort; find . ! -type f -printf '%P/%y '; find . -type c",
    );
    const [files = '', folders = ''] = [
      found.slice(0, found.lastIndexOf('\n')),
      found.slice(found.lastIndexOf('\n') + 1),
    ];
    expect(files.split('\n')).toEqual(
      [
        'stays stays',
        'gone-again back',
        'replaced new',
        'was-folder now a file',
        'swapped/new swapped/new',
        'opaque/new opaque/new',
        'opaque/third opaque/third',
        'again/two again/two',
      ].toSorted(),
    );
    expect(folders.trim().split(' ').toSorted()).toEqual(['/d', 'again/d', 'deep/d', 'opaque/d', 'swapped/d']);
  });

  test('writes go to the upper layer, and a folder that is deleted and made again is empty', () => {
    indexLayers([[file('d/a'), file('d/b')], [file('d/.wh.a')]]);
    expect(inOverlay(2, 'echo changed >d/b; cat d/b; ls d; rm -r d; mkdir d; ls -A d; echo end')).toBe(
      'changed\nb\nend\n',
    );
  });

  test('a layer whose root is opaque is reported, since overlay ignores the mark at the root', () => {
    const reports = indexLayers([[file('below')], [file('.wh..wh..opq'), file('above')]]);
    expect(reports).toMatchObject([{ opaqueRoot: false }, { opaqueRoot: true }]);
    expect(inOverlay(2, 'ls')).toBe('above\nbelow\n');
  });

  test('folders that only a layer’s paths imply are reported, except below an opaque folder', () => {
    const [, report] = indexLayers([[file('a/b/c')], [file('a/b/d'), file('x/.wh.y'), file('w/f'), file('.wh.w')]]);
    expect(report).toMatchObject({ ok: true, implied: ['', 'a', 'a/b', 'x'] });
  });

  test('a whiteout without a file below it cannot be seen', () => {
    indexLayers([[file('a/x')], [file('a/.wh.none'), file('.wh.none'), file('new/f'), file('new/.wh.none')]]);
    expect(inOverlay(2, 'find . | sort; cat new/none 2>&1 || true').split('\n')).toEqual([
      '.',
      './a',
      './a/x',
      './new',
      './new/f',
      'cat: new/none: No such file or directory',
      '',
    ]);
  });
});
