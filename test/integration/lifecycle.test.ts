/** What a container in the background is beside its file: `up` again, `down`, `update`, `shell`, and its plans. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { box, SLEEPS, type Box } from '../support/background.ts';
import { PROGRAM, run } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, self } from '../support/container.ts';
import { isRoot } from '../support/user.ts';

/** Changes the container file. */
function edit({ folder }: Box, from: string | RegExp, to: string): void {
  const file = join(folder, 'container.yaml');
  const text = readFileSync(file, 'utf8');
  const changed = text.replace(from, to);
  if (changed === text) throw new Error(`nothing to change: ${String(from)}`);
  writeFileSync(file, changed);
}

const FAST = { command: SLEEPS, stop_grace_period: '1s' };

describe.skipIf(!hasBusybox).each(callers)('a container in the background of $title', (caller) => {
  test('stays as it is where its file has not changed, and is started anew where it has, which is told', async () => {
    const web = box({ ...FAST, environment: { A: '1' } }, caller);
    await web.run(['up', '--detach']);
    const first = await web.listed();
    const same = await web.run(['up', '--detach']);
    expect(same).toMatchObject({ status: 0, stdout: `${web.name}\n` });
    expect(same.stderr).toContain(`${web.name} runs already, and its file has not changed`);
    // Another way of writing the same is no difference.
    edit(web, /A: "?1"?/u, "'A' : '1' # as before");
    expect((await web.run(['up', '--detach'])).stderr).toContain('has not changed');
    expect((await web.listed())?.id).toBe(first?.id);
    edit(web, "'A' : '1'", "'A' : '2'");
    const kept = await web.run(['up', '--detach', '--no-recreate']);
    expect(kept).toMatchObject({ status: 0, stdout: `${web.name}\n` });
    expect(kept.stderr).toContain('A "1" → "2"');
    expect((await web.listed())?.id).toBe(first?.id);
    const anew = await web.run(['up', '--detach']);
    expect(anew).toMatchObject({ status: 0, stdout: `${web.name}\n` });
    expect(anew.stderr).toContain(`${web.name} is started anew, since its file has changed:`);
    expect(anew.stderr).toContain('A "1" → "2"');
    const second = await web.listed();
    expect(second).toMatchObject({ status: 'running' });
    expect(second?.id).not.toBe(first?.id);
    await web.run(['up', '--detach', '--force-recreate']);
    expect((await web.listed())?.id).not.toBe(second?.id);
  });

  test('is started anew for another secret, another env_file, and another word on the command line', async () => {
    const web = box({ ...FAST, secrets: { word: { file: './word' } }, env_file: './env' }, caller);
    writeFileSync(join(web.folder, 'word'), 'one', { mode: 0o644 });
    writeFileSync(join(web.folder, 'env'), 'B=1\n', { mode: 0o644 });
    await web.run(['up', '--detach']);
    expect((await web.run(['up', '--detach'])).stderr).toContain('has not changed');
    writeFileSync(join(web.folder, 'word'), 'two');
    const secret = await web.run(['up', '--detach']);
    expect(secret.stderr).toContain('another content of secret word at /run/secrets/word');
    expect(secret.stderr).not.toContain('two');
    expect((await web.run(['exec', web.name, 'cat', '/run/secrets/word'])).stdout).toBe('two');
    writeFileSync(join(web.folder, 'env'), 'B=2\n');
    expect((await web.run(['up', '--detach'])).stderr).toContain('~ B ');
    expect((await web.run(['up', '--detach', '--env', 'C=3'])).stderr).toContain(
      'the command line asks for another --env',
    );
    expect((await web.run(['up', '--detach', '--env', 'C=3'])).stderr).toContain('has not changed');
  });

  test('is one, however often it is brought up at a time', async () => {
    const web = box(FAST, caller);
    const all = await Promise.all(
      Array.from({ length: 4 }, () => web.run(['up', '--detach'], { once: 'all at a time' })),
    );
    expect(all.map(({ status, stdout }) => [status, stdout])).toEqual(all.map(() => [0, `${web.name}\n`]));
    expect(all.filter(({ stderr }) => stderr.includes('runs already')).length).toBe(3);
    expect(await web.listed()).toMatchObject({ status: 'running' });
  });

  test('is not replaced by a file of another folder that has the same name', async () => {
    const web = box(FAST, caller);
    const other = box({ ...FAST, name: web.name }, caller);
    await web.run(['up', '--detach']);
    const refused = await other.run(['up', '--detach']);
    expect(refused.status).toBe(125);
    expect(refused.stderr).toContain(
      `a container called ${web.name} runs already, of ${join(web.folder, 'container.yaml')}`,
    );
    expect((await other.run(['down'])).stderr).toContain('there is nothing of container.yaml to end');
    expect(await web.listed()).toMatchObject({ status: 'running' });
  });

  test('is ended and removed by down, with its volumes where that is asked for, also when its file is wrong by then', async () => {
    const web = box({ ...FAST, volumes: ['data:/data'] }, caller);
    await web.run(['up', '--detach']);
    edit(web, /^/u, 'wrong: true\n');
    const down = await web.run(['down', '--volumes', '--time', '0']);
    expect(down).toMatchObject({ status: 0, stderr: '' });
    expect(down.stdout).toMatch(new RegExp(`^${web.name}\\ndata-[0-9a-f]{12}\\n$`, 'u'));
    expect(await web.listed()).toBeUndefined();
    expect((await web.run(['volume', 'ls'])).stdout).not.toContain(web.folder);
    const events = await web.run(['events', '--since', '1h', '--until', '0s', '--filter', `container=${web.name}`]);
    expect(events.stdout).toMatch(/ start [^]* destroy /u);
    expect(await web.run(['down'])).toMatchObject({ status: 0, stdout: '' });
  });

  test('is entered by its name, and the plan of a command in it is printed', async () => {
    const web = box(FAST, caller);
    await web.run(['up', '--detach']);
    const inside = await web.run(['shell', web.name], { stdin: 'echo $((40 + 2)) in $(hostname)\n' });
    expect(inside).toMatchObject({ status: 0, stdout: `42 in ${web.name}\n` });
    const plan = await web.run(['plan', '--exec', web.name, '--', 'ls', '-l']);
    expect(plan.status).toBe(0);
    expect(plan.stdout).toContain('setns(');
    expect(plan.stdout).toContain('"ls"');
    expect((await web.run(['plan', '--exec', web.name])).stderr).toContain('boxctl plan --exec needs a command');
    expect((await web.run(['plan', 'container.yaml', 'ls'])).stderr).toContain('only with --exec');
  });

  test('of before a reboot is told to have ended by that', async () => {
    const web = box(FAST, caller);
    await web.run(['up', '--detach']);
    const { id = '' } = (await web.listed()) ?? {};
    const record = join(caller.store, 'containers', id, 'container.json');
    const before = readFileSync(record, 'utf8');
    await web.run(['kill', web.name]).catch(() => undefined);
    await web.run(['stop', '--time', '0', web.name]);
    writeFileSync(record, before.replace(/"boot":"[^"]*"/u, '"boot":"5a1e0000-0000-4000-8000-000000000000"'));
    writeFileSync(join(caller.store, 'containers', id, 'events'), '');
    expect(await web.listed()).toMatchObject({ status: 'lost', message: 'the machine was started again while it ran' });
    expect((await web.run(['ps', '--all'])).stdout).toContain('the machine was started again while it ran');
    expect(await web.run(['rm', web.name])).toMatchObject({ status: 0 });
  });
});

/** A file of the container's cgroup of version 1, wherever that is. */
function limitFile(pid: number, controller: string, file: string): string {
  const line = readFileSync(`/proc/${pid}/cgroup`, 'utf8')
    .split('\n')
    .find((one) => one.split(':')[1]?.split(',').includes(controller) === true);
  const path = line?.split(':')[2] ?? '';
  const base = `/sys/fs/cgroup/${controller}`;
  return readFileSync(join(base, path, file), 'utf8').trim();
}

describe.skipIf(!hasBusybox || !isRoot || !readdirSync('/sys/fs/cgroup').includes('pids'))(
  'limits of a container that runs',
  () => {
    const RESTARTS = { ...FAST, limits: { memory: '64MiB', pids: 50 }, restart: 'always' };

    test('are changed by update, read again, and kept for when its launcher starts it again', async () => {
      const web = box(
        { ...RESTARTS, command: ['sh', '-c', 'while [ ! -e /tmp/end ]; do sleep 0.05; done; rm /tmp/end'] },
        self,
      );
      await web.run(['up', '--detach']);
      const words = ['update', '--memory', '128m', '--pids-limit', '60', '--cpus', '0.5', web.name];
      expect(await web.run(words)).toMatchObject({ status: 0, stdout: `${web.name}\n`, stderr: '' });
      const check = async (): Promise<void> => {
        const { pid = 0 } = (await web.listed()) ?? {};
        expect(limitFile(pid, 'memory', 'memory.limit_in_bytes')).toBe(String(128 * 1024 * 1024));
        expect(limitFile(pid, 'pids', 'pids.max')).toBe('60');
        expect(limitFile(pid, 'cpu', 'cpu.cfs_quota_us')).toBe('50000');
      };
      await check();
      const before = await web.listed();
      await web.run(['exec', web.name, 'touch', '/tmp/end']);
      await expect.poll(async () => (await web.listed())?.pid, { timeout: 10_000 }).not.toBe(before?.pid);
      await expect.poll(async () => (await web.listed())?.status, { timeout: 10_000 }).toBe('running');
      await check();
      expect(await web.run(['update', '--pids-limit', '-1', web.name])).toMatchObject({ status: 0 });
      const { pid = 0 } = (await web.listed()) ?? {};
      expect(limitFile(pid, 'pids', 'pids.max')).toBe('max');
    });

    test('that the kernel does not take are an error, and all stay as they were', async () => {
      const web = box({ ...RESTARTS, limits: { memory: '64MiB', pids: 50 } }, self);
      await web.run(['up', '--detach']);
      const { pid = 0 } = (await web.listed()) ?? {};
      for (const words of [
        ['--memory', '1k'],
        ['--memory', 'much'],
        ['--pids-limit', '1.5'],
        ['--cpuset-cpus', '4000'],
        ['--pids-limit', '70', '--cpuset-cpus', '4000'],
        [],
      ]) {
        expect((await web.run(['update', ...words, web.name])).status, words.join(' ')).toBe(125);
      }
      expect(limitFile(pid, 'memory', 'memory.limit_in_bytes')).toBe(String(64 * 1024 * 1024));
      expect(limitFile(pid, 'pids', 'pids.max')).toBe('50');
    });

    test('that cannot be had where boxctl runs are named, and no line of the file is blamed for them', async () => {
      const web = box(FAST, self);
      await web.run(['up', '--detach']);
      const words = [process.execPath, PROGRAM, 'update', '--pids-limit', '10', web.name];
      const blind = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /sys && exec "$@"', 'sh'];
      const { status, stderr } = await run([...blind, ...words], callerOptions(self, web.folder));
      expect({ status, stderr }).toMatchObject({
        status: 125,
        stderr: expect.stringMatching(
          /^boxctl: error: limits\.pids cannot be applied here: no cgroup file system is mounted\n/u,
        ),
      });
      expect(stderr).not.toContain('optional');
    });

    test('that has ended are kept for its next start, shown by inspect, and told apart from those that it ended with', async () => {
      const hungry = 'test -e /ran && exec sleep 1000; touch /ran; head -c 100000000 /dev/zero | tail';
      const limits = { memory: '32MiB', swap: 0, pids: 50 };
      const web = box({ stop_grace_period: '100ms', limits, command: ['sh', '-c', hungry] }, self);
      await web.run(['up', '--detach']);
      await expect.poll(async () => (await web.listed())?.status, { timeout: 10_000 }).toBe('exited');
      const ended = await web.listed();
      expect(ended?.message).toContain('32 MiB');
      // Looked at as for one that runs.
      for (const words of [['--memory', '1k'], ['--pids-limit', '1.5'], ['--cpuset-cpus', '4000'], []]) {
        expect(await web.run(['update', ...words, web.name]), words.join(' ')).toMatchObject({
          status: 125,
          stdout: '',
        });
      }
      const inspected = async (): Promise<string> => {
        const format = '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.NanoCpus}}';
        return (await web.run(['inspect', '-f', format, web.name])).stdout.trim();
      };
      const size = 48 * 1024 * 1024;
      expect(await web.run(['update', '--memory', '48m', '--memory-swap', '48m', web.name])).toMatchObject({
        status: 0,
        stdout: `${web.name}\n`,
        stderr: '',
      });
      // A limit that the file does not have, and one that it has.
      expect(await web.run(['update', '--cpus', '0.5', '--pids-limit', '-1', web.name])).toMatchObject({ status: 0 });
      expect(await inspected()).toBe(`${size} 0 500000000`);
      expect(await web.listed()).toMatchObject({ status: 'exited', message: ended?.message });
      for (const verb of ['start', 'restart']) {
        expect(await web.run([verb, web.name])).toMatchObject({ status: 0, stderr: '' });
        const { pid = 0 } = (await web.listed()) ?? {};
        expect(limitFile(pid, 'memory', 'memory.limit_in_bytes')).toBe(String(size));
        expect(limitFile(pid, 'cpu', 'cpu.cfs_quota_us')).toBe('50000');
        expect(await inspected()).toBe(`${size} 0 500000000`);
        await web.run(['stop', web.name]);
      }
    });

    test('that were changed by update are what inspect, the file’s next `up` and the reason of the end go by', async () => {
      const hungry = 'while [ ! -e /tmp/go ]; do sleep 0.05; done; head -c 100000000 /dev/zero | tail';
      const web = box({ tmpfs: ['/tmp'], limits: { memory: '32MiB', swap: 0 }, command: ['sh', '-c', hungry] }, self);
      const inspected = async (): Promise<string> => {
        const { stdout } = await web.run([
          'inspect',
          '-f',
          '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}',
          web.name,
        ]);
        return stdout.trim();
      };
      await web.run(['up', '--detach']);
      const first = await web.listed();
      expect(
        await web.run(['update', '--memory', '48m', '--memory-swap', '48m', '--pids-limit', '60', web.name]),
      ).toMatchObject({ status: 0, stderr: '' });
      expect(await inspected()).toBe(`${48 * 1024 * 1024} 60`);
      const same = await web.run(['up', '--detach']);
      expect(same).toMatchObject({ status: 0, stdout: `${web.name}\n` });
      expect(same.stderr).toContain('its file has not changed; the limits of the file would be:');
      expect(same.stderr).toContain('boxctl up --detach --live');
      expect((await web.listed())?.pid).toBe(first?.pid);
      // A file that says by now what holds already is no reason to end a container.
      edit(web, '32MiB', '48MiB\n  pids: 60');
      const caught = await web.run(['up', '--detach']);
      expect(caught.stderr).toContain('runs already, as its file says now');
      expect((await web.listed())?.pid).toBe(first?.pid);
      expect((await web.run(['up', '--detach'])).stderr).toContain('its file has not changed');
      await web.run(['update', '--pids-limit', '70', web.name]);
      expect(await web.run(['up', '--detach', '--live'])).toMatchObject({ status: 0 });
      expect(await inspected()).toBe(`${48 * 1024 * 1024} 60`);
      await web.run(['update', '--memory', '40m', '--memory-swap', '40m', web.name]);
      await web.run(['exec', web.name, 'touch', '/tmp/go']);
      await expect.poll(async () => (await web.listed())?.status, { timeout: 10_000 }).toBe('exited');
      expect((await web.listed())?.message).toContain('40 MiB');
    });

    test('that the file changes are changed live where that is asked for, and any other change is an error', async () => {
      const web = box({ ...FAST, limits: { memory: '64MiB', pids: 50 } }, self);
      await web.run(['up', '--detach']);
      const first = await web.listed();
      edit(web, '64MiB', '96MiB');
      const live = await web.run(['up', '--detach', '--live']);
      expect(live).toMatchObject({ status: 0, stdout: `${web.name}\n` });
      expect(live.stderr).toContain(`the limits of ${web.name} are changed:`);
      expect(limitFile(first?.pid ?? 0, 'memory', 'memory.limit_in_bytes')).toBe(String(96 * 1024 * 1024));
      expect((await web.run(['up', '--detach'])).stderr).toContain('has not changed');
      edit(web, '96MiB', '128MiB\n  time: 5m');
      const refused = await web.run(['up', '--detach', '--live']);
      expect(refused.status).toBe(125);
      expect(refused.stderr).toContain('cannot be changed live: time');
      expect(limitFile(first?.pid ?? 0, 'memory', 'memory.limit_in_bytes')).toBe(String(96 * 1024 * 1024));
      expect((await web.listed())?.id).toBe(first?.id);
      expect((await web.run(['up', '--live'])).stderr).toContain('--live is for a container in the background');
    });
  },
);
