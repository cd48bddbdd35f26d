/** `uid_map: auto`: a range for each container, which no other gets. */
import type { ChildProcess } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { boxctl, type Ended, type RunOptions } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, ownedFolder, specFolder } from '../support/container.ts';
import { tempFolder } from '../support/temp.ts';

interface Range {
  readonly start: number;
  readonly size: number;
}

const SCRIPT = 'cat /proc/self/uid_map /proc/self/gid_map; read line';
const able = callers.filter(({ keys }) => !('uid_map' in keys));

function rangesOf({ status, stdout, stderr }: Ended): readonly Range[] {
  if (status !== 0) throw new Error(stderr);
  return stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/u).map(Number))
    .map(([inside, start = 0, size = 0]) => {
      expect(inside).toBe(0);
      return { start, size };
    });
}

const apart = (a: Range, b: Range): boolean => a.start + a.size <= b.start || b.start + b.size <= a.start;

describe.skipIf(!hasBusybox).each(able)('as $title (needs busybox-static)', (caller) => {
  const size = 1024;
  const folderOf = (keys: Readonly<Record<string, unknown>> = {}): string =>
    specFolder({ uid_map: `auto:${size}`, command: ['sh', '-c', SCRIPT], ...keys }, caller);
  const storeOf = (): string => ownedFolder(caller, 'store', tempFolder({ open: true }));
  const start = (folder: string, store: string, options: RunOptions = { stdin: 'go\n' }) =>
    boxctl(['up'], callerOptions(caller, folder, { ...options, env: { BOXCTL_STORE: store } }));

  test('each folder’s container has a range of its own, and the same one the next time', async () => {
    const store = storeOf();
    const folders = [folderOf(), folderOf(), folderOf()];
    const all: Range[] = [];
    for (const folder of folders) {
      const [uids, gids] = rangesOf(await start(folder, store));
      expect([uids?.size, gids?.size]).toEqual([size, size]);
      if (uids !== undefined) all.push(uids);
    }
    for (const [index, range] of all.entries()) {
      for (const other of all.slice(index + 1)) expect(apart(range, other)).toBe(true);
    }
    expect(rangesOf(await start(folders[1] ?? '', store))[0]).toEqual(all[1]);
    expect(readdirSync(join(store, 'id-ranges')).filter((name) => name !== 'lock')).toHaveLength(3);
  });

  test('two containers of one folder at the same time have different ranges', async () => {
    const store = storeOf();
    const folder = folderOf();
    // Each waits for its line until both have written their maps.
    let go: (line: string) => void = () => undefined;
    const stdin = new Promise<string>((resolve) => (go = resolve));
    let written = 0;
    const count = (): void => {
      if (++written === 2) go('go\n');
    };
    const onStart = ({ stdout }: ChildProcess): void => void stdout?.once('data', count);
    const both = [1, 2].map(() => start(folder, store, { held: true, stdin, onStart }));
    // One that has failed writes nothing, and the other must not wait for it.
    const [one, other] = await Promise.all(both.map((ended) => ended.finally(() => go('go\n'))));
    if (one === undefined || other === undefined) throw new Error('not started');
    const [first] = rangesOf(one);
    const [second] = rangesOf(other);
    if (first === undefined || second === undefined) throw new Error('no map');
    expect(apart(first, second)).toBe(true);
  });

  test('a request for more ids than there are is an error at its line', async () => {
    const { status, stderr } = await start(folderOf({ uid_map: 'auto:4000000000' }), storeOf());
    expect(status).toBe(125);
    expect(stderr).toMatch(/container\.yaml:\d+:\d+: error: there are only \d+ ids to choose from/u);
  });

  test('auto beside a gid_map is an error that says to write auto once', async () => {
    const { status, stderr } = await start(folderOf({ gid_map: ['0:100000:10'] }), storeOf());
    expect(status).toBe(125);
    expect(stderr).toContain('write `auto` once');
  });
});
