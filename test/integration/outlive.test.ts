/** A container ends with its owner, whatever it does and whoever of its owners is killed. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { attackFolder, hasCompiler } from '../support/attack.ts';
import { boxctl } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, specFolder } from '../support/container.ts';
import { isRoot } from '../support/user.ts';

let markers = 0;

/** Processes whose command line has the marker, but for boxctl's own. */
function marked(marker: string): readonly number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/u.test(name)) return [];
    try {
      const line = readFileSync(`/proc/${name}/cmdline`, 'utf8');
      return line.startsWith('/w/attack') && line.includes(marker) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

function childrenOf(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number),
  );
}

/** The launcher of the container that these processes are in. It is boxctl's child, or that of a launcher that serves. */
function launcherAbove(pids: readonly number[]): number | undefined {
  const above = (pid: number): number | undefined => {
    if (pid <= 1) return undefined;
    if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('boxctl-launcher')) return pid;
    return above(Number(/^PPid:\t(\d+)$/mu.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]));
  };
  return pids.map(above).find((pid) => pid !== undefined);
}

/** The user and process namespaces of somebody else, to be joined. */
async function foreignNamespaces(): Promise<Keys> {
  const words = ['-U', '-pf', '--kill-child', 'sh', '-c', 'echo ready; exec sleep 100'];
  const holder = spawn('unshare', words, { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void holder.kill('SIGKILL'));
  await once(holder.stdout, 'data');
  const [pid = 0] = childrenOf(holder.pid ?? 0);
  for (const file of ['uid_map', 'gid_map']) writeFileSync(`/proc/${pid}/${file}`, '0 524288 65536\n');
  return { namespaces: { user: `/proc/${pid}/ns/user`, pid: `/proc/${pid}/ns/pid` } };
}

type Keys = Readonly<Record<string, unknown>>;

const kinds: readonly (readonly [title: string, keys: Keys | (() => Promise<Keys>), rootOnly: boolean])[] = [
  ['namespaces of its own', {}, false],
  ['boxctl’s first process', { init: true }, false],
  ['the host’s processes', { namespaces: { pid: 'host' } }, false],
  ['the host’s processes and boxctl’s first process', { namespaces: { pid: 'host' }, init: true }, false],
  ['the host’s processes and users', { namespaces: { pid: 'host', user: 'host' } }, true],
  ['processes of somebody else, which it joins', foreignNamespaces, true],
  ['a memory limit and the host’s processes', { namespaces: { pid: 'host' }, limits: { memory: '64MiB' } }, true],
];
const victims = [['launcher'], ['boxctl'], ['launcher', 'boxctl'], ['boxctl', 'launcher']] as const;

describe.skipIf(!hasBusybox || !hasCompiler).each(callers)('as $title (needs busybox-static and cc)', (caller) => {
  const own = kinds.filter(([, , rootOnly]) => !rootOnly || (isRoot && caller.user === undefined));
  const cases = own.flatMap(([title, keys]) =>
    victims.map((killed) => ({ title, keys, killed: killed.join(' and ') })),
  );

  test.each(cases)(
    'with $title, a container that clings to life ends when $killed is killed',
    async ({ keys, killed }) => {
      const marker = `clings-${process.pid}-${++markers}`;
      const spec = typeof keys === 'function' ? await keys() : keys;
      const folder = attackFolder(marker, { ...spec }, caller, 'outlive');
      const started = new Promise<ChildProcess>((resolve) => {
        const options = { held: true, onStart: resolve };
        void boxctl(['up', '--quiet', '--allow', 'all'], callerOptions(caller, folder, options));
      });
      onTestFinished(async () => {
        (await started).kill('SIGKILL');
        for (const pid of marked(marker)) process.kill(pid, 'SIGKILL');
      });
      const child = await started;
      const exited = once(child, 'exit');
      await once(child.stdout ?? child, 'data');
      await expect.poll(() => marked(marker).length).toBe(3);
      const launcher = launcherAbove(marked(marker));
      for (const name of killed.split(' and ')) {
        const pid = name === 'launcher' ? launcher : child.pid;
        if (pid === undefined) throw new Error(`there is no ${name}`);
        process.kill(pid, 'SIGKILL');
      }
      await exited;
      if (killed.includes('and')) {
        await expect.poll(() => existsSync(`/proc/${launcher ?? 0}/fd/0`)).toBe(false);
        // The next command, of whatever file.
        const options = callerOptions(caller, specFolder({ command: ['true'] }, caller));
        await boxctl(['up', '--quiet'], { ...options, once: 'the first start ends what the killed ones have left' });
        expect(marked(marker)).toEqual([]);
      } else {
        await expect.poll(() => marked(marker)).toEqual([]);
      }
    },
  );
});
