/** The launcher of a kept plan begins while the front compares what the plan was made from. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { run } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { FRONT, warm } from '../support/front.ts';
import { busyboxRootfs } from '../support/rootfs.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot } from '../support/user.ts';

const UP = ['up', '--quiet', '--allow', 'all'];
/** What the launcher and the first process must not do before the plan is known to hold: file systems of its own that has. */
const CHANGES = /^(?:mkdir|mknod|unlink|symlink|link|rename|open_tree|move_mount|mount\(|pivot_root|flock|bind\()/u;

interface Traced {
  readonly calls: readonly string[];
  readonly status: number | null;
}

function project(keys: object) {
  const around = tempFolder({ open: true });
  const folder = join(around, 'project');
  for (const path of [folder, join(around, 'run')]) mkdirSync(path, { mode: 0o700 });
  copyFileSync(busyboxRootfs(), join(folder, 'rootfs.tar'));
  const write = (word: string): void =>
    writeFileSync(
      join(folder, 'container.yaml'),
      stringify({ image: './rootfs.tar', command: ['echo', word], ...keys }),
    );
  write('one');
  const store = join(around, 'store');
  const env = { BOXCTL_STORE: store, XDG_RUNTIME_DIR: join(around, 'run'), HOME: around };
  const options = { cwd: folder, env };
  /** The calls of the launcher and of what it makes, where there is no Node to go on. */
  const trace = async (): Promise<Traced> => {
    const log = join(around, 'log');
    const alone = ['/bin/sh', '-c', 'PATH=/nowhere exec "$@"', 'sh'];
    const { status } = await run(['strace', '-f', '-s', '300', '-o', log, ...alone, FRONT, ...UP], options);
    const lines = readFileSync(log, 'utf8').split('\n');
    const begun = lines.findIndex((line) => line.includes('execveat('));
    const front = lines.find((line) => line.includes('execve('))?.split(' ')[0];
    const calls = lines.slice(begun).flatMap((line) => {
      const [, pid, call] = /^(\d+) +(\w+\(.*)$/u.exec(line) ?? [];
      return call === undefined || pid === front ? [] : [call];
    });
    return { calls, status };
  };
  return { options, write, trace, left: () => readdirSync(join(store, 'upper')) };
}

describe.skipIf(!isRoot || !hasBusybox || !existsSync('/usr/bin/strace'))(
  'a kept plan (needs root, busybox-static and strace)',
  () => {
    test.each([
      ['without limits', {}, 'clone3('],
      ['with limits, which are made before the first process', { limits: { pids: 50 } }, 'execveat('],
      ['of a terminal', { tty: true }, 'clone3('],
    ])('%s whose file has changed is begun, and changes nothing', async (_title, keys, first) => {
      const { options, write, trace, left } = project(keys);
      expect(await warm(UP, options)).toMatchObject({ status: 0 });
      const good = await trace();
      expect(good.status).toBe(0);
      expect(good.calls.some((call) => CHANGES.test(call))).toBe(true);

      write('two');
      const { calls, status } = await trace();
      expect(status).toBe(125);
      expect(calls.some((call) => call.startsWith(first))).toBe(true);
      expect(calls.filter((call) => CHANGES.test(call) || call.includes('O_CREAT'))).toEqual([]);
      expect(left()).toEqual([]);
      expect(await warm(UP, options)).toMatchObject({ status: 0, stdout: expect.stringContaining('two') });
    });
  },
);
