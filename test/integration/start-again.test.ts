/** `boxctl start`, and `restart` of what has ended: containers in the background are started again as they were made. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { box, launcherOf, outputOf, SLEEPS, until, type Box, type Listed } from '../support/background.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, hasLimits, ownedFolder, self } from '../support/container.ts';
import { PROGRAM, run, type RunOptions } from '../support/boxctl.ts';
import { busyboxRootfs } from '../support/rootfs.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot } from '../support/user.ts';

const script = (text: string): readonly string[] => ['sh', '-c', text.replaceAll('$', '$$$$')];
const COUNTS = 'echo run >>/runs; wc -l </runs';
const COUNTS_AND_SLEEPS = script(`${COUNTS}; trap "exit 3" TERM; while :; do sleep 0.05; done`);

const folderOf = ({ caller }: Box, id: string): string => join(caller.store, 'containers', id);
const fileOf = ({ folder }: Box): string => join(folder, 'container.yaml');

async function ended(one: Box): Promise<Listed> {
  return until(async () => {
    const listed = await one.listed();
    return listed !== undefined && ['exited', 'failed', 'lost'].includes(listed.status) ? listed : undefined;
  });
}

/** Started and stopped again. */
async function stopped(one: Box, options: RunOptions = {}): Promise<Listed> {
  expect(await one.run(['up', '--detach'], options)).toMatchObject({ status: 0 });
  await one.run(['stop', one.name]);
  return ended(one);
}

describe.skipIf(!hasBusybox).each(callers)('a container that $title has started and that has ended', (caller) => {
  test.each(['start', 'restart'])(
    'runs again by `boxctl %s`, with its id, labels, log and what it has written',
    async (verb) => {
      const web = box({ labels: { tier: 'front' }, command: COUNTS_AND_SLEEPS }, caller);
      const { id } = await stopped(web, { once: 'its events are counted' });
      expect(await web.run([verb, web.name])).toMatchObject({ status: 0, stdout: `${web.name}\n`, stderr: '' });
      const running = await web.listed();
      expect(running).toMatchObject({ id, status: 'running', restarts: 0, labels: { tier: 'front' } });
      expect(await web.run(['exec', web.name, 'true'])).toMatchObject({ status: 0 });
      await web.run(['stop', web.name]);
      expect(await web.listed()).toMatchObject({ id, status: 'exited', exit_status: 3 });
      expect(outputOf(web, id)).toBe('1\n2\n');
      const { stdout } = await web.run([
        'events',
        '--since',
        '1h',
        '--until',
        '0s',
        '--filter',
        `container=${web.name}`,
      ]);
      expect(stdout.match(/ start /gu)).toHaveLength(2);
      expect(stdout.match(/ die /gu)).toHaveLength(2);
    },
  );

  test('is left alone where it runs already, which is no error', async () => {
    const web = box({}, caller);
    await web.run(['up', '--detach']);
    const before = await web.listed();
    const again = await web.run(['start', web.name]);
    expect(again).toMatchObject({ status: 0, stdout: `${web.name}\n` });
    expect(again.stderr).toContain(`${web.name} runs already: there is nothing to do`);
    expect((await web.listed())?.pid).toBe(before?.pid);
  });

  test('has the account of its user in its files once, and its volumes', async () => {
    const web = box(
      {
        ...(caller.keys['uid_map'] === undefined ? { user: '1234:1234' } : {}),
        volumes: ['data:/data'],
        command: script('grep -c : /etc/passwd; ls -d /data'),
      },
      caller,
    );
    await web.run(['up', '--detach']);
    const { id } = await ended(web);
    for (let times = 0; times < 2; times++) {
      expect(await web.run(['start', web.name])).toMatchObject({ status: 0, stderr: '' });
      await ended(web);
    }
    const lines = outputOf(web, id).trim().split('\n');
    expect(lines).toHaveLength(6);
    expect(new Set(lines).size).toBe(2);
  });

  test('is started as it was made where its file has changed, which is told, and where it is gone', async () => {
    const web = box({ environment: { COLOUR: 'red' }, command: script('echo $COLOUR; sleep 0.1') }, caller);
    await web.run(['up', '--detach']);
    const { id } = await ended(web);
    writeFileSync(fileOf(web), readFileSync(fileOf(web), 'utf8').replace('red', 'blue'));
    const changed = await web.run(['start', web.name]);
    expect(changed).toMatchObject({ status: 0, stdout: `${web.name}\n` });
    expect(changed.stderr).toContain(`${web.name} is started as it was made, although its file has changed`);
    expect(changed.stderr).toContain('boxctl up --detach');
    await ended(web);
    renameSync(fileOf(web), `${fileOf(web)}.away`);
    const gone = await web.run(['start', web.name]);
    expect(gone).toMatchObject({ status: 0, stdout: `${web.name}\n` });
    expect(gone.stderr).toMatch(/is started as it was made; its file cannot be used any more/u);
    await ended(web);
    expect(outputOf(web, id)).toBe('red\nred\nred\n');
  });

  test('gets what its secrets hold from its file, and is an error without it', async () => {
    const web = box(
      {
        secrets: { token: { file: './token' } },
        command: script('cat /run/secrets/token; sleep 0.1'),
      },
      caller,
    );
    writeFileSync(join(web.folder, 'token'), 'one\n', { mode: 0o644 });
    expect(await web.run(['up', '--detach'])).toMatchObject({ status: 0 });
    const { id } = await ended(web);
    writeFileSync(join(web.folder, 'token'), 'two\n');
    expect(await web.run(['start', web.name])).toMatchObject({ status: 0, stderr: '' });
    await ended(web);
    expect(outputOf(web, id)).toBe('one\ntwo\n');
    rmSync(fileOf(web));
    const gone = await web.run(['start', web.name]);
    expect(gone).toMatchObject({ status: 125, stdout: '' });
    expect(gone.stderr).toContain('kept nowhere');
    expect(await web.listed()).toMatchObject({ status: 'exited', exit_status: 0 });
  });

  test('is judged anew: what it has of the host must be allowed again', async () => {
    const outside = box({}, caller);
    const web = box({ volumes: [`${outside.folder}:/outside:ro`] }, caller);
    expect(await web.run(['up', '--detach', '--allow', `bind=${outside.folder}`])).toMatchObject({ status: 0 });
    await web.run(['stop', web.name]);
    const refused = await web.run(['start', web.name]);
    expect(refused).toMatchObject({ status: 125, stdout: '' });
    expect(refused.stderr).toContain(`not allowed: the container reads ${outside.folder}`);
    expect(refused.stderr).toContain(fileOf(web));
    expect(await web.run(['start', '--allow', `bind=${outside.folder}`, web.name])).toMatchObject({ status: 0 });
  });

  test('is judged anew, too, for the files that its secrets are read from', async () => {
    const outside = box({}, caller);
    const token = join(outside.folder, 'token');
    writeFileSync(token, 'one\n', { mode: 0o644 });
    const command = script('cat /run/secrets/token; sleep 0.1');
    const web = box({ secrets: { token: { file: token } }, command }, caller);
    const allow = ['--allow', `secret=${token}`];
    expect(await web.run(['up', '--detach', ...allow])).toMatchObject({ status: 0 });
    const { id } = await ended(web);
    const refused = await web.run(['start', web.name]);
    expect(refused).toMatchObject({ status: 125, stdout: '' });
    expect(refused.stderr).toContain('not allowed');
    expect(await web.run(['start', ...allow, web.name])).toMatchObject({ status: 0, stderr: '' });
    await ended(web);
    expect(outputOf(web, id)).toBe('one\none\n');
  });

  test('has no write access to files that a repository in its bind has got meanwhile', async () => {
    const command = script('echo evil >>/src/.git/config && echo written || echo refused');
    const web = box({ volumes: ['./src:/src'], command }, caller);
    const git = join(ownedFolder(caller, 'src', web.folder), '.git');
    await web.run(['up', '--detach']);
    const { id } = await ended(web);
    expect(outputOf(web, id)).toBe('refused\n');
    rmSync(git, { recursive: true, force: true });
    ownedFolder(caller, '.git', join(web.folder, 'src'));
    for (const name of ['objects', 'refs']) ownedFolder(caller, name, git);
    writeFileSync(join(git, 'HEAD'), 'ref: refs/heads/main\n');
    writeFileSync(join(git, 'config'), '', { mode: 0o666 });
    expect(await web.run(['start', web.name])).toMatchObject({ status: 0 });
    await ended(web);
    expect(outputOf(web, id)).toBe('refused\nrefused\n');
    expect(readFileSync(join(git, 'config'), 'utf8')).toBe('');
  });

  test('stays as it ended where a step of its start fails, and can be started when that is mended', async () => {
    const web = box({ volumes: ['./data:/data'], command: script('ls /data; sleep 0.1') }, caller);
    const data = join(web.folder, 'data');
    mkdirSync(data);
    await web.run(['up', '--detach']);
    const { id } = await ended(web);
    renameSync(data, `${data}.away`);
    const failed = await web.run(['start', web.name]);
    expect(failed).toMatchObject({ status: 125, stdout: '' });
    expect(await web.listed()).toMatchObject({ id, status: 'failed' });
    renameSync(`${data}.away`, data);
    expect(await web.run(['start', web.name])).toMatchObject({ status: 0 });
    expect(await ended(web)).toMatchObject({ id, status: 'exited', exit_status: 0 });
  });

  test.skipIf(!isRoot)('is started when its launcher was killed, and after a reboot (needs root)', async () => {
    const web = box({ command: COUNTS_AND_SLEEPS }, caller);
    await web.run(['up', '--detach']);
    const { id = '' } = (await web.listed()) ?? {};
    await until(() => (outputOf(web, id) === '' ? undefined : true));
    process.kill(launcherOf(web, id), 'SIGKILL');
    await ended(web);
    expect(await web.run(['start', web.name])).toMatchObject({ status: 0, stderr: '' });
    await until(() => (outputOf(web, id) === '1\n2\n' ? true : undefined));
    process.kill(launcherOf(web, id), 'SIGKILL');
    await ended(web);
    // As if the machine had been started again.
    const record = join(folderOf(web, id), 'container.json');
    writeFileSync(record, readFileSync(record, 'utf8').replace(/"boot":"[^"]*"/u, '"boot":"another"'));
    expect(await web.listed()).toMatchObject({ status: 'lost' });
    expect(await web.run(['start', web.name])).toMatchObject({ status: 0, stderr: '' });
    expect(await web.listed()).toMatchObject({ id, status: 'running' });
    await web.run(['stop', web.name]);
    expect(outputOf(web, id)).toBe('1\n2\n3\n');
  });

  test.skipIf(!isRoot).each([
    // As `ip netns exec` has it.
    ['they are not mounted', 'umount -R /sys/fs/cgroup'],
    ['another mount covers them', 'mount -t tmpfs none /sys'],
  ])(
    'is started after its launcher was killed and a command came first that sees no control groups, since %s (needs root)',
    async (_why, hides) => {
      const web = box({ command: COUNTS_AND_SLEEPS }, caller);
      await web.run(['up', '--detach']);
      const { id = '' } = (await web.listed()) ?? {};
      await until(() => (outputOf(web, id) === '' ? undefined : true));
      process.kill(launcherOf(web, id), 'SIGKILL');
      const blind = ['unshare', '-m', 'sh', '-c', `${hides} && exec "$@"`, 'sh'];
      const words = [...blind, process.execPath, PROGRAM, 'gc'];
      expect(await run(words, callerOptions(self, web.folder))).toMatchObject({ status: 0 });
      expect(await web.run(['start', web.name])).toMatchObject({ status: 0, stderr: '' });
      await web.run(['stop', web.name]);
      expect(outputOf(web, id)).toBe('1\n2\n');
    },
  );

  test('is started once by several commands at the same time', async () => {
    const web = box({ command: COUNTS_AND_SLEEPS }, caller);
    const { id } = await stopped(web);
    const all = await Promise.all(
      [
        ['start', web.name],
        ['start', web.name],
        ['up', '--detach'],
        ['start', web.name],
      ].map((words) => web.run(words)),
    );
    expect(all.map(({ status }) => status)).toEqual([0, 0, 0, 0]);
    const running = await web.listed();
    expect(running?.status).toBe('running');
    await web.run(['stop', web.name]);
    // `up` makes another one where it comes first.
    expect(outputOf(web, running?.id ?? '')).toBe(running?.id === id ? '1\n2\n' : '1\n');
  });
});

describe.skipIf(!hasBusybox || !existsSync('/usr/bin/strace'))(
  '`boxctl start` that is broken off (needs strace)',
  () => {
    /** All that boxctl itself does to names, and what it does once all is written. strace counts each by itself. */
    const NAMES = ['link', 'rename', 'unlink', 'mkdir', 'rmdir'];
    const LAUNCH = ['socketpair'];
    const BREAKS = [
      ['is killed at', 'the time limit of 150ms was reached', 'signal=SIGKILL', NAMES],
      ['is refused', 'the time limit of 150ms was reached', 'error=EIO', NAMES],
      ['is killed at', 'the machine was started again while it ran', 'signal=SIGKILL', LAUNCH],
    ] as const;

    test.each(BREAKS)(
      'because it %s any of its calls has `ps` tell of the last run that %s, and leaves what can be started',
      async (_how, why, what, calls) => {
        const web = box({ limits: { time: '150ms' }, command: script('trap "exit 3" TERM; sleep 1000 & wait') }, self);
        await web.run(['up', '--detach']);
        const { id } = await ended(web);
        const folder = folderOf(web, id);
        const edit = (name: string, from: string | RegExp, to: string): void =>
          writeFileSync(join(folder, name), readFileSync(join(folder, name), 'utf8').replace(from, to));
        // The plan of the next run has another limit.
        edit('document.json', '"time":150', '"time":3600000');
        if (!why.startsWith('the time')) {
          // As a machine leaves it that goes down.
          edit('container.json', /"boot":"[^"]*"/u, '"boot":"of-another-start"');
          writeFileSync(join(folder, 'events'), readFileSync(join(folder, 'events')).subarray(0, 64));
        }
        const endOf = ({ status, exit_status, message }: Listed): object => ({ status, exit_status, message });
        const before = (await web.listed()) as Listed;
        expect(before.message).toContain(why);
        expect((await web.run(['inspect', '-f', '{{.State.Message}} {{.RestartCount}}', web.name])).stdout).toContain(
          why,
        );
        expect((await web.run(['wait', web.name])).stderr).toContain(why);
        const saved = join(tempFolder(), 'saved');
        await run(['cp', '-a', folder, saved]);
        const start = [process.execPath, PROGRAM, 'start', web.name];
        for (const call of calls) {
          for (let count = 1; ; count++) {
            const trace = [
              '-qq',
              '-o',
              '/dev/null',
              '-e',
              `trace=${call}`,
              '-e',
              `inject=${call}:${what}:when=${count}`,
            ];
            await run(['strace', ...trace, ...start], { env: { BOXCTL_STORE: web.caller.store } });
            const now = (await web.listed()) as Listed;
            // A launcher tells of another run.
            const isOver = existsSync(join(folder, 'events.1')) && existsSync(join(folder, 'events'));
            if (!isOver) expect(endOf(now), `${call} ${count}`).toEqual(endOf(before));
            expect(await web.run(['start', web.name])).toMatchObject({ status: 0 });
            expect(await web.listed()).toMatchObject({ id, status: 'running' });
            await web.run(['stop', web.name]);
            rmSync(folder, { recursive: true });
            await run(['cp', '-a', saved, folder]);
            if (isOver) break;
          }
        }
      },
      120_000,
    );
  },
);

describe.skipIf(!hasBusybox)('`boxctl start` (needs busybox-static)', () => {
  test('says what to do with a container that is not kept', async () => {
    const none = box({}, self);
    const unknown = await none.run(['start', 'no-such-container-at-all']);
    expect(unknown).toMatchObject({ status: 125, stdout: '' });
    expect(unknown.stderr).toContain('nothing is kept of one that has ended in the foreground: boxctl up FILE');
  });

  test.skipIf(!isRoot)('leaves a paused container paused, and says what to do (needs root)', async () => {
    const web = box({}, self);
    await web.run(['up', '--detach']);
    expect(await web.run(['pause', web.name])).toMatchObject({ status: 0 });
    const paused = await web.run(['start', web.name]);
    expect(paused).toMatchObject({ status: 125, stdout: '' });
    expect(paused.stderr).toContain(`boxctl unpause ${web.name}`);
    expect(await web.listed()).toMatchObject({ status: 'paused' });
  });

  test.skipIf(!isRoot)(
    'is an error where the image is another by now, and leaves the container as it was',
    async () => {
      const web = box({ image: './root.tar', command: ['true'] }, self);
      const image = join(web.folder, 'root.tar');
      copyFileSync(busyboxRootfs(), image);
      await web.run(['up', '--detach']);
      const before = await ended(web);
      expect(await web.run(['start', web.name])).toMatchObject({ status: 0, stderr: '' });
      await ended(web);
      // An archive that is mounted where it lies, and the store has no copy of.
      copyFileSync(busyboxRootfs(), `${image}.new`);
      renameSync(`${image}.new`, image);
      const gone = await web.run(['start', web.name]);
      expect(gone).toMatchObject({ status: 125, stdout: '' });
      expect(gone.stderr).toContain(`the image that ${web.name} was made from is gone`);
      expect(gone.stderr).toContain(`boxctl up --detach ${fileOf(web)}`);
      expect(await web.listed()).toMatchObject({ id: before.id, status: 'exited', exit_status: 0 });
    },
  );

  test('tries all that are named, and ends with the status of what failed', async () => {
    const one = box({ command: SLEEPS }, self);
    const other = box({ secrets: { token: { file: './token' } }, command: ['true'] }, self);
    writeFileSync(join(other.folder, 'token'), 'x', { mode: 0o644 });
    await stopped(one);
    await other.run(['up', '--detach']);
    await ended(other);
    rmSync(fileOf(other));
    const both = await one.run(['start', other.name, one.name]);
    expect(both).toMatchObject({ status: 125, stdout: `${one.name}\n` });
    expect(both.stderr).toContain(other.name);
  });

  test.skipIf(!hasLimits)('keeps the limits that `boxctl update` gave it (needs control groups)', async () => {
    const web = box({ limits: { pids: 40 } }, self);
    await web.run(['up', '--detach']);
    expect(await web.run(['update', '--pids-limit', '50', web.name])).toMatchObject({ status: 0 });
    await web.run(['stop', web.name]);
    expect(await web.run(['start', web.name])).toMatchObject({ status: 0, stderr: '' });
    const { stdout } = await web.run(['inspect', '--format', '{{.HostConfig.PidsLimit}}', web.name]);
    expect(stdout).toBe('50\n');
  });
});
