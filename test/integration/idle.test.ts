/** Many containers that wait at once: what each of them costs, that all are listed, and that all end. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { box, type Listed } from '../support/background.ts';
import { INSTALLED, run } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions } from '../support/container.ts';

const MANY = 200;
/** Kilobytes of memory that a launcher may take for itself alone. */
const MOST_EACH = 1024;

/** By the library, since a process of Node's for each would take most of the time. */
const START_MANY = `
  import { loadSpecText, startInBackground } from '${INSTALLED}/dist/index.js';
  import { readFileSync } from 'node:fs';
  const [name, many] = process.argv.slice(1);
  const text = readFileSync('container.yaml', 'utf8');
  let next = 0;
  const some = async () => {
    while (next < Number(many)) {
      const own = text.replace(name, name + '-' + ++next);
      await startInBackground(loadSpecText(own, process.cwd() + '/container.yaml', { env: process.env, home: '/root' }), { takesSignals: false });
    }
  };
  await Promise.all([some(), some(), some(), some()]);
  console.log('started', next);
`;

/** Of each launcher that has a file of the folder open: its memory that is nobody else's, kilobytes. */
function privateMemory(folder: string): readonly number[] {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('boxctl-launcher')) return [];
      const fds = readdirSync(`/proc/${pid}/fd`);
      if (!fds.some((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith(`${folder}/`))) return [];
      const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
      const of = (key: string): number => Number(new RegExp(String.raw`^${key}:\s+(\d+)`, 'mu').exec(rollup)?.[1] ?? 0);
      return [of('Private_Clean') + of('Private_Dirty')];
    } catch {
      // It has ended meanwhile.
      return [];
    }
  });
}

test.skipIf(!hasBusybox || process.geteuid?.() !== 0)(
  '200 idle containers run at once, in little memory, are all listed, and all end',
  { timeout: 300_000 },
  async () => {
    const web = box({ command: ['sleep', '100000'] });
    const node = [process.execPath, '--input-type=module', '-e', START_MANY, web.name, String(MANY)];
    const started = await run(node, callerOptions(web.caller, web.folder));
    const names = Array.from({ length: MANY }, (_, at) => `${web.name}-${at + 1}`);
    const listed = async (): Promise<readonly Listed[]> => {
      const { stdout } = await web.run(['ps', '--all', '--json']);
      return (JSON.parse(stdout) as readonly Listed[]).filter(({ name }) => names.includes(name));
    };
    try {
      expect([started.stdout, started.stderr]).toEqual([`started ${MANY}\n`, '']);
      const all = await listed();
      expect(all.filter(({ status }) => status === 'running')).toHaveLength(MANY);
      expect(new Set(all.map(({ pid }) => pid)).size).toBe(MANY);
      const memory = privateMemory(join(web.caller.store, 'containers'));
      expect(memory.length).toBeGreaterThanOrEqual(MANY);
      expect(Math.max(...memory)).toBeLessThan(MOST_EACH);
      const ended = await web.run(['stop', '-t', '0', ...names]);
      expect([ended.status, ended.stdout.trim().split('\n').length]).toEqual([0, MANY]);
      expect((await listed()).filter(({ status }) => status === 'running')).toEqual([]);
    } finally {
      await web.run(['rm', '--force', ...names]);
    }
    expect(await listed()).toEqual([]);
  },
);
