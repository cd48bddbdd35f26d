/** A container ends with its owner, whatever it does and whoever of its owners is killed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { attackFolder, hasCompiler } from '../support/attack.ts';
import { boxctl, PROGRAM } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, specFolder } from '../support/container.ts';
import { asUser, isRoot, userEnvironment } from '../support/user.ts';

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
      const { user, cwd, env } = callerOptions(caller, folder);
      const words = [process.execPath, PROGRAM, 'up', '--quiet', '--allow', 'all'];
      const [program = '', ...args] = user === undefined ? words : asUser(user, words);
      const given = user === undefined ? { HOME: '/root', PATH: process.env['PATH'] } : userEnvironment(user);
      const child = spawn(program, args, { cwd, env: { ...given, ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
      onTestFinished(() => {
        child.kill('SIGKILL');
        for (const pid of marked(marker)) process.kill(pid, 'SIGKILL');
      });
      const exited = once(child, 'exit');
      await once(child.stdout, 'data');
      await expect.poll(() => marked(marker).length).toBe(3);
      const launcher = childrenOf(child.pid ?? 0).find((pid) =>
        readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('boxctl-launcher'),
      );
      for (const name of killed.split(' and '))
        process.kill(name === 'launcher' ? (launcher ?? 0) : (child.pid ?? 0), 'SIGKILL');
      await exited;
      if (killed.includes('and')) {
        await expect.poll(() => existsSync(`/proc/${launcher ?? 0}/fd/0`)).toBe(false);
        // The next command, of whatever file.
        const options = callerOptions(caller, specFolder({ command: ['true'] }, caller));
        await boxctl(['up', '--quiet'], { ...options, once: 'the first start ends what the killed ones have left' });
        expect(marked(marker)).toEqual([]);
      } else {
        await expect.poll(() => marked(marker), { timeout: 5000 }).toEqual([]);
      }
    },
  );
});
