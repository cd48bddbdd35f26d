/** Namespaces of another process, each joined by its path. */
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { hasBusybox } from '../support/busybox.ts';
import { attackFolder, attempts } from '../support/attack.ts';
import { boxctl } from '../support/boxctl.ts';
import { callerOptions, callers, self, sh } from '../support/container.ts';
import { isRoot } from '../support/user.ts';

let other: ChildProcess | undefined;
afterEach(() => {
  other?.kill('SIGKILL');
});

/** The id of a process that sleeps in namespaces of its own. */
async function sleeper(options: readonly string[]): Promise<number> {
  const child = spawn('unshare', [...options, '--kill-child', 'sh', '-c', 'echo ready; exec sleep 100'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  other = child;
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const [inner = ''] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ');
  return Number(inner);
}

const ALLOW = { args: ['up', '--allow', 'all'] };

describe.skipIf(!isRoot || !hasBusybox)('joined by path (needs root and busybox-static)', () => {
  test.each(['net', 'uts', 'ipc', 'cgroup', 'time'] as const)('the %s namespace can be joined alone', async (kind) => {
    const pid = await sleeper(['-fnuiCT']);
    const path = `/proc/${pid}/ns/${kind}`;
    const wanted = readlinkSync(path);
    expect(wanted).not.toBe(readlinkSync(`/proc/self/ns/${kind}`));
    const { stdout, stderr } = await sh(
      `readlink /proc/self/ns/${kind}`,
      { namespaces: { [kind]: path } },
      self,
      ALLOW,
    );
    expect({ stdout, stderr }).toEqual({ stdout: `${wanted}\n`, stderr: '' });
  });

  test('a process namespace is joined with its user namespace, and /proc shows its processes alone', async () => {
    const pid = await sleeper(['-U', '-pf']);
    for (const file of ['uid_map', 'gid_map']) writeFileSync(`/proc/${pid}/${file}`, '0 524288 65536\n');
    const namespaces = { user: `/proc/${pid}/ns/user`, pid: `/proc/${pid}/ns/pid` };
    // Beside the sleeper and this shell there is what forked it there.
    const script = 'echo /proc/[0-9]*; cat /proc/1/comm; readlink /proc/self/ns/user';
    const { stdout, stderr } = await sh(script, { namespaces }, self, ALLOW);
    const [processes = '', first, user] = stdout.split('\n');
    expect({ stderr, first, user }).toEqual({ stderr: '', first: 'sleep', user: readlinkSync(namespaces.user) });
    expect(processes.split(' ').length).toBeLessThan(4);
  });

  test.each([{}, { pid: 'host' }])(
    'limits of the process hold with the user namespace of others and %o',
    async (more) => {
      const pid = await sleeper(['-U', '-f']);
      for (const file of ['uid_map', 'gid_map']) writeFileSync(`/proc/${pid}/${file}`, '0 524288 65536\n');
      const namespaces = { user: `/proc/${pid}/ns/user`, ...more };
      const spec = { namespaces, ulimits: { nofile: { soft: 100, hard: 200 } } };
      const { stdout, stderr } = await sh('ulimit -Sn; ulimit -Hn', spec, self, ALLOW);
      expect({ stdout, stderr }).toEqual({ stdout: '100\n200\n', stderr: '' });
    },
  );

  test('a user namespace that denies setgroups is named in the error', async () => {
    const pid = await sleeper(['-U', '-r', '-f']);
    const { stderr, status } = await sh('true', { namespaces: { user: `/proc/${pid}/ns/user` } }, self, ALLOW);
    expect(status).toBe(125);
    expect(stderr).toContain('setgroups([]): EPERM');
    expect(stderr).toContain('the user namespace that is joined denies groups');
  });

  test('a process namespace without its user namespace is refused at its line', async () => {
    const pid = await sleeper(['-pf', '--mount-proc']);
    const namespaces = { pid: `/proc/${pid}/ns/pid` };
    const { stdout, stderr, status } = await sh('echo /proc/[0-9]*', { namespaces }, self, ALLOW);
    expect({ stdout, status }).toEqual({ stdout: '', status: 125 });
    expect(stderr).toMatch(/container\.yaml:\d+:\d+: error: a process namespace can be joined only with /u);
  });
});

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test('in a network of its own a process without capabilities may use ping and port 80', async () => {
    const folder = attackFolder('network', { cap_drop: ['ALL'] }, caller, 'exhaust');
    const found = attempts(await boxctl(['up', '--allow', 'all'], callerOptions(caller, folder)));
    expect(found).toEqual({ ping: 0, port_80: 0 });
  });
});
