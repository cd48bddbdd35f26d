/** Containers that run in the background: `up --detach`, and the commands that find them again. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { box, launcherOf, until, type Listed } from '../support/background.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callers } from '../support/container.ts';
import { isRoot } from '../support/user.ts';

describe.skipIf(!hasBusybox).each(callers)('a container in the background, started by $title', (caller) => {
  test('runs until it is stopped, and its end is remembered until it is removed', async () => {
    const web = box({}, caller);
    const started = await web.run(['up', '--detach']);
    expect(started).toMatchObject({ status: 0, stdout: `${web.name}\n`, stderr: '' });
    const running = await web.listed();
    expect(running).toMatchObject({ status: 'running' });
    expect(await web.run(['stop', web.name])).toMatchObject({ status: 0, stdout: `${web.name}\n` });
    expect(await web.listed()).toMatchObject({ id: running?.id, status: 'exited', exit_status: 3 });
    expect(await web.run(['wait', web.name])).toMatchObject({ status: 0, stdout: '3\n' });
    expect(await web.run(['rm', web.name])).toMatchObject({ status: 0 });
    expect(await web.listed()).toBeUndefined();
    expect(existsSync(join(caller.store, 'containers', running?.id ?? ''))).toBe(false);
    expect(readdirSync(caller.stateFolder).filter((name) => name.includes(running?.id ?? ''))).toEqual([]);
  });

  test('has its name for itself as long as it runs, and gives it to the next when it has ended', async () => {
    const web = box({}, caller);
    await web.run(['up', '--detach']);
    const first = await web.listed();
    const second = await web.run(['run', '--detach', '--', 'true']);
    expect(second).toMatchObject({ status: 125, stdout: '' });
    expect(second.stderr).toContain(`a container called ${web.name} runs already (${first?.id})`);
    await web.run(['stop', '--time', '0', web.name]);
    expect(await web.listed()).toMatchObject({ id: first?.id, status: 'exited', exit_status: 137 });
    expect(await web.run(['up', '--detach'])).toMatchObject({ status: 0 });
    expect(await web.listed()).toMatchObject({ status: 'running' });
  });

  test('whose system calls are to be seen is refused', async () => {
    const web = box({ seccomp: 'log' }, caller);
    expect(await web.run(['up', '--detach'])).toMatchObject({ status: 125, stdout: '' });
    expect(await web.listed()).toBeUndefined();
  });

  test('that cannot be started leaves nothing', async () => {
    const web = box({ command: ['/not-there'] }, caller);
    const started = await web.run(['up', '--detach']);
    expect(started).toMatchObject({ status: 127, stdout: '' });
    expect(started.stderr).toContain('/not-there');
    expect(await web.listed()).toBeUndefined();
  });

  test.skipIf(!isRoot)('is told to be lost when its launcher was killed, and ends with it (needs root)', async () => {
    const web = box({}, caller);
    await web.run(['up', '--detach']);
    const { id = '' } = (await web.listed()) ?? {};
    process.kill(launcherOf(web, id), 'SIGKILL');
    const lost = async (): Promise<Listed | undefined> =>
      [await web.listed()].find((listed) => listed?.status === 'lost');
    expect(await until(lost)).toMatchObject({ id });
    expect(await web.run(['up', '--detach'])).toMatchObject({ status: 0 });
    expect((await web.listed())?.id).not.toBe(id);
  });
});
