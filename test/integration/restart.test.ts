/** `restart`: containers in the background that their launchers start again. */
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { box, launcherOf, outputOf, SLEEPS, until, type Box, type Listed } from '../support/background.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callers, hasLimits, self } from '../support/container.ts';
import { boxctl } from '../support/boxctl.ts';
import { isRoot } from '../support/user.ts';

const script = (text: string): readonly string[] => ['sh', '-c', text.replaceAll('$', '$$$$')];

/** Adds a line to a file of its own layer at each run, and says how many there are. */
const COUNTS = 'echo run >>/var/runs; wc -l </var/runs';

async function listedAs(one: Box, is: (listed: Listed) => boolean): Promise<Listed> {
  return until(async () => {
    const listed = await one.listed();
    return listed !== undefined && is(listed) ? listed : undefined;
  });
}

const folderOf = ({ caller }: Box, id: string): string => join(caller.store, 'containers', id);

/** The command's own process; a reaper's number is told by its parent. */
function kill(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}

describe.skipIf(!hasBusybox).each(callers)('restart, of a container that $title has started', (caller) => {
  test('starts a container that fails as often as it says, with its id and what it has written', async () => {
    const web = box({ restart: 'on-failure:2', command: script(`mkdir -p /var; ${COUNTS}; exit 3`) }, caller);
    expect(await web.run(['up', '--detach'])).toMatchObject({ status: 0, stderr: '' });
    const { id } = (await web.listed()) ?? {};
    const ended = await listedAs(web, ({ status }) => status === 'exited');
    expect(ended).toMatchObject({ id, restarts: 2, exit_status: 3 });
    expect(outputOf(web, ended.id)).toBe('1\n2\n3\n');
    expect(await web.run(['wait', web.name])).toMatchObject({ stdout: '3\n' });
    expect(existsSync(join(folderOf(web, ended.id), 'events.2'))).toBe(true);
    expect(existsSync(join(folderOf(web, ended.id), 'events.3'))).toBe(false);
  });

  test('leaves a container alone that has ended well, and one that was stopped', async () => {
    const well = box({ restart: 'on-failure', command: ['true'] }, caller);
    await well.run(['up', '--detach']);
    expect(await listedAs(well, ({ status }) => status === 'exited')).toMatchObject({ restarts: 0, exit_status: 0 });
    const web = box({ restart: 'unless-stopped' }, caller);
    await web.run(['up', '--detach']);
    await web.run(['stop', web.name]);
    expect(await web.listed()).toMatchObject({ status: 'exited', restarts: 0, exit_status: 3 });
  });

  test('starts a container again that was killed, until it is stopped', async () => {
    const web = box({ restart: 'always' }, caller);
    await web.run(['up', '--detach']);
    const first = await web.listed();
    kill(first?.pid);
    const second = await listedAs(web, ({ status, pid }) => status === 'running' && pid !== first?.pid);
    expect(second).toMatchObject({ id: first?.id, restarts: 1 });
    expect(await web.run(['exec', web.name, 'true'])).toMatchObject({ status: 0 });
    expect(await web.run(['stop', web.name])).toMatchObject({ status: 0 });
    expect(await web.listed()).toMatchObject({ status: 'exited', exit_status: 3, restarts: 1 });
  });

  test('waits longer from time to time, tells so, and is ended by a stop meanwhile', async () => {
    const web = box({ restart: 'always', command: ['false'], stop_grace_period: '1h' }, caller);
    await web.run(['up', '--detach']);
    const waiting = await listedAs(web, ({ status, restarts }) => status === 'restarting' && restarts > 3);
    expect(waiting).toMatchObject({ exit_status: 1 });
    const { stdout } = await web.run(['ps']);
    expect(stdout).toMatch(/restarting \(1\), restarts: \d/u);
    expect(await web.run(['stop', web.name])).toMatchObject({ status: 0 });
    expect(await web.listed()).toMatchObject({ status: 'exited', exit_status: 1 });
  });

  test('takes a start that fails for an end', async () => {
    const web = box({ restart: 'always', volumes: ['./data:/data'], command: script('ls /data; sleep 0.1') }, caller);
    const data = join(web.folder, 'data');
    mkdirSync(data);
    await web.run(['up', '--detach']);
    renameSync(data, `${data}.away`);
    const failed = await listedAs(web, ({ status, ...rest }) => status === 'restarting' && !('exit_status' in rest));
    renameSync(`${data}.away`, data);
    await listedAs(
      web,
      ({ status, restarts, exit_status: end }) => restarts > failed.restarts && (end === 0 || status === 'running'),
    );
    await web.run(['stop', web.name]);
  });

  test('adds the account of the command to the image’s once', async () => {
    const web = box(
      {
        restart: 'on-failure:2',
        ...(caller.keys['uid_map'] === undefined ? { user: '1234:1234' } : {}),
        command: script('grep -c : /etc/passwd; exit 1'),
      },
      caller,
    );
    await web.run(['up', '--detach']);
    const { id } = await listedAs(web, ({ status }) => status === 'exited');
    const lines = outputOf(web, id).trim().split('\n');
    expect(lines).toHaveLength(3);
    expect(new Set(lines).size).toBe(1);
  });

  test('is asked for by `boxctl restart`, of a container that runs and of one that waits', async () => {
    const web = box(
      { command: script('echo run >>/runs; wc -l </runs; trap "exit 3" TERM; while :; do sleep 0.05; done') },
      caller,
    );
    await web.run(['up', '--detach']);
    const first = await web.listed();
    expect(await web.run(['restart', web.name])).toMatchObject({ status: 0, stdout: `${web.name}\n`, stderr: '' });
    const second = await web.listed();
    expect(second).toMatchObject({ id: first?.id, status: 'running', restarts: 0 });
    expect(second?.pid).not.toBe(first?.pid);
    await web.run(['stop', web.name]);
    expect(outputOf(web, second?.id ?? '')).toBe('1\n2\n');
    const goes = script('[ -e /w/go ] && exec sleep 1000; exit 1');
    const waits = box({ restart: 'always', volumes: ['./:/w:ro'], command: goes, stop_signal: 'SIGKILL' }, caller);
    await waits.run(['up', '--detach']);
    await listedAs(waits, ({ status, restarts }) => status === 'restarting' && restarts > 3);
    writeFileSync(join(waits.folder, 'go'), '');
    expect(await waits.run(['restart', waits.name])).toMatchObject({ status: 0 });
    expect(await waits.listed()).toMatchObject({ status: 'running', restarts: 0 });
    await waits.run(['stop', waits.name]);
  });

  test.skipIf(!isRoot)('is true to `ps` when the launcher is killed between two runs (needs root)', async () => {
    const web = box({ restart: 'always', command: ['false'] }, caller);
    await web.run(['up', '--detach']);
    const { id } = await listedAs(web, ({ status, restarts }) => status === 'restarting' && restarts > 3);
    kill(launcherOf(web, id));
    expect(await listedAs(web, ({ status }) => status === 'exited')).toMatchObject({ id, exit_status: 1 });
    expect(await web.run(['up', '--detach'])).toMatchObject({ status: 0 });
  });
});

describe.skipIf(!hasBusybox)('restart (needs busybox-static)', () => {
  test.skipIf(!isRoot || !hasLimits)('makes network, ports, volumes, cgroups and init anew', async () => {
    const web = box({
      restart: 'always',
      init: true,
      networks: ['restarts'],
      ports: ['127.0.0.1:18943:80'],
      volumes: ['kept:/kept'],
      limits: { memory: '64MiB', pids: 50 },
      command: script('echo run >>/kept/runs; wc -l </kept/runs; grep -c eth0 /proc/net/dev; sleep 0.05; exit 1'),
    });
    expect(
      await web.run(['up', '--detach', '--allow', 'all'], { once: 'its volume has a line for each run' }),
    ).toMatchObject({ status: 0 });
    const { id } = await listedAs(web, ({ status, restarts }) => status === 'restarting' && restarts > 2);
    expect(outputOf(web, id).startsWith('1\n1\n2\n1\n3\n1\n')).toBe(true);
    await web.run(['stop', web.name]);
    await web.run(['volume', 'rm', 'kept']);
  });

  test('follows the end of `limits.time`, by the stop signal and with init, whatever the status is', async () => {
    const web = box({
      init: true,
      stop_signal: 'SIGINT',
      limits: { time: '1s' },
      restart: 'on-failure:1',
      command: script('trap "echo int; exit 0" INT; echo run; while :; do sleep 0.05; done'),
    });
    await web.run(['up', '--detach']);
    const { id } = await listedAs(web, ({ status, restarts }) => status === 'exited' && restarts === 1);
    expect(outputOf(web, id)).toBe('run\nint\nrun\nint\n');
    expect(await web.listed()).toMatchObject({ exit_status: 124 });
  });

  test('is told to have no effect in the foreground', async () => {
    const web = box({ restart: 'always', command: ['false'] });
    const { stderr, status } = await boxctl(['up'], { cwd: web.folder, env: { BOXCTL_STORE: self.store } });
    expect(status).toBe(1);
    expect(stderr).toContain('`restart` is for `up --detach`');
  });

  test.skipIf(!isRoot)(
    'leaves nothing but what `ps` tells when its processes are killed at random moments',
    async () => {
      const web = box({ restart: 'always', networks: ['restarts'], command: SLEEPS });
      await web.run(['up', '--detach', '--allow', 'all']);
      let seed = 7;
      const random = (): number => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31;
      for (let round = 0; round < 6; round++) {
        const { pid, id } = await listedAs(web, ({ pid: running }) => running !== undefined);
        await sleep(random() * 150);
        kill(pid);
        await sleep(random() * 250);
        if (round % 3 !== 2) continue;
        kill(launcherOf(web, id));
        await listedAs(web, ({ status }) => status === 'exited' || status === 'lost');
        expect(await web.run(['up', '--detach', '--allow', 'all'])).toMatchObject({ status: 0 });
      }
      const { id } = await listedAs(web, ({ status }) => status === 'running');
      await web.run(['stop', '--time', '0', web.name]);
      expect(await web.listed()).toMatchObject({ id, status: 'exited' });
      await web.run(['rm', web.name]);
      expect(existsSync(folderOf(web, id))).toBe(false);
      expect(existsSync(join(self.stateFolder, `${web.name}-${id}`))).toBe(false);
    },
  );
});
