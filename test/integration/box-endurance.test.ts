/** Many containers in a row from one process, and neither the process nor the host has grown. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { openTemplate } from '../../src/container/template.ts';
import { loadSpec } from '../../src/spec/load.ts';
import { hasBusybox } from '../support/busybox.ts';
import { hasLimits, self, specFolder, state } from '../support/container.ts';

/** The whole number is 10,000, which takes some minutes. */
const COUNT = Number(process.env['BOXCTL_TEST_BOXES'] ?? 400);
/** After these, what is made once is there. */
const FIRST = 40;
const IN_FLIGHT = 4;
/** Bytes: code that is compiled meanwhile, and less for each container than anything that was kept of it would take. */
const MOST_GROWTH = 3 * 2 ** 20 + COUNT * 200;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function heapUsed(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

const env = { PATH: process.env['PATH'], BOXCTL_STORE: self.store, HOME: '/root' };
const listed = (folder: string): number => readdirSync(folder).length;

/** What may grow with each container. */
function own() {
  return {
    descriptors: listed('/proc/self/fd'),
    threads: listed('/proc/self/task'),
    mounts: readFileSync('/proc/self/mountinfo', 'utf8').split('\n').length,
  };
}

test.skipIf(!hasBusybox)(
  `${COUNT} containers from one process leave no descriptor, thread, mount, cgroup or record behind, and no memory (needs busybox-static)`,
  { timeout: 120_000 + COUNT * 1000 },
  async () => {
    const limits = hasLimits ? { limits: { memory: '64MiB', pids: 30 } } : {};
    const folder = specFolder({ command: ['sh', '-c', 'echo >/file; echo done'], tmpfs: ['/tmp'], ...limits });
    using template = await openTemplate(loadSpec(join(folder, 'container.yaml'), { env, home: '/root' }), { env });
    let left = FIRST;
    const follow = async (): Promise<void> => {
      while (left-- > 0) {
        const wanted = left % 3;
        const box = await template.start({ args: ['sh', '-c', `echo >/file; echo done; exit ${wanted}`] });
        box.stdout?.resume();
        expect((await box.ended).status).toBe(wanted);
      }
    };
    const run = async (count: number): Promise<void> => {
      left = count;
      await Promise.all(Array.from({ length: IN_FLIGHT }, follow));
    };
    await run(FIRST);
    const before = { ...own(), host: state(self) };
    const memory = heapUsed();
    await run(COUNT);
    // A launcher that was made ahead is not of a container.
    await expect.poll(() => ({ ...own(), host: state(self) }), { timeout: 10_000 }).toEqual(before);
    expect(heapUsed() - memory).toBeLessThan(MOST_GROWTH);
  },
);
