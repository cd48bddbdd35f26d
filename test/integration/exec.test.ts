/** `boxctl exec`: a command in a container that runs has all that the container has, and nothing more. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { box, type Box } from '../support/background.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callers, hasLimits } from '../support/container.ts';

const NAMESPACES = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'time', 'user', 'uts'];
/** What the kernel tells of a process's rights, as far as it does not change from run to run. */
const RIGHTS = 'grep -E "^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Umask)" /proc/self/status';

const sh = (web: Box, script: string, ...options: string[]) =>
  web.run(['exec', ...options, web.name, 'sh', '-c', script]);

describe.skipIf(!hasBusybox).each(callers)('a command in a container, started by $title', (caller) => {
  test('is in every namespace of the container, and has its ids, capabilities, filter and limits', async () => {
    const script = `${RIGHTS}; ulimit -n; ulimit -c; cat /proc/self/cgroup; umask`;
    const web = box(
      {
        command: ['sh', '-c', `(${script}) >/tmp/own; echo >/tmp/ready; exec sleep 100`],
        tmpfs: ['/tmp'],
        ulimits: { nofile: 99 },
      },
      caller,
    );
    expect(await web.run(['up', '-d'])).toMatchObject({ status: 0 });
    const namespaces = NAMESPACES.map((name) => `readlink /proc/1/ns/${name}; readlink /proc/self/ns/${name}`).join(
      '; ',
    );
    const seen = (await sh(web, namespaces)).stdout.trim().split('\n');
    expect(seen).toHaveLength(2 * NAMESPACES.length);
    for (const [at, own] of seen.entries()) if (at % 2 === 1) expect(own).toBe(seen[at - 1]);
    const both = await sh(web, `while [ ! -e /tmp/ready ]; do sleep 0.05; done; cat /tmp/own; echo ---; ${script}`);
    const [own, its] = both.stdout.split('---\n');
    expect(its).toBe(own);
  });

  test('has the environment of the container, and ends with its own status', async () => {
    const web = box({ environment: { FROM_FILE: 'a' } }, caller);
    await web.run(['up', '-d']);
    expect(await sh(web, 'echo "$FROM_FILE $MORE $HOSTNAME"; exit 7', '-e', 'MORE=b')).toMatchObject({
      status: 7,
      stdout: `a b ${web.name}\n`,
      stderr: '',
    });
    const missing = await web.run(['exec', web.name, '/not-there']);
    expect(missing).toMatchObject({ status: 127, stdout: '' });
    // No line of the container's file.
    expect(missing.stderr).toMatch(/^boxctl: error: /u);
    expect(missing.stderr).toContain('correct the name, or add the program to the image');
    const line = await web.run(['exec', web.name, 'ls -l']);
    expect(line).toMatchObject({ status: 127, stdout: '' });
    expect(line.stderr).toContain('this is one word with spaces in it');
    expect(await web.run(['exec', web.name, '/etc'])).toMatchObject({ status: 126, stdout: '' });
    expect(await sh(web, 'kill -KILL $$')).toMatchObject({ status: 137 });
    expect(await web.run(['exec', '-i', web.name, 'cat'], { stdin: 'typed' })).toMatchObject({ stdout: 'typed' });
    expect(await web.run(['exec', web.name, 'cat'], { stdin: 'piped' })).toMatchObject({ stdout: 'piped' });
  });

  test('begins in the folder that is asked for, and not outside of the container', async () => {
    const web = box({ working_dir: '/etc' }, caller);
    await web.run(['up', '-d']);
    expect(await web.run(['exec', web.name, 'pwd'])).toMatchObject({ stdout: '/etc\n' });
    expect(await web.run(['exec', '-w', '/tmp', web.name, 'pwd'])).toMatchObject({ stdout: '/tmp\n' });
    for (let fd = 3; fd < 20; fd++) {
      const { status, stdout } = await web.run(['exec', '-w', `/proc/self/fd/${fd}`, web.name, 'pwd']);
      expect([fd, status, stdout]).toEqual([fd, 125, '']);
    }
  }, 120_000);

  test('ends when boxctl is killed, and with the container', async () => {
    const web = box({ tmpfs: ['/tmp'] }, caller);
    await web.run(['up', '-d']);
    const running = web.run(['exec', web.name, 'sh', '-c', 'echo >/tmp/there; exec sleep 1234'], {
      once: 'what it makes is waited for',
      onStart: (child) => {
        void sh(web, 'while [ ! -e /tmp/there ]; do sleep 0.05; done').then(() => child.kill('SIGKILL'));
      },
    });
    await running;
    expect(await sh(web, 'while ps | grep -q "sleep [1]234"; do sleep 0.05; done; echo ended')).toMatchObject({
      stdout: 'ended\n',
    });
    const other = web.run(['exec', web.name, 'sleep', '1235'], { once: 'it is ended with the container' });
    await sh(web, 'while ! ps | grep -q "sleep [1]235"; do sleep 0.05; done');
    await web.run(['stop', '-t', '0', web.name]);
    expect(await other).toMatchObject({ status: 137 });
  });

  test('cannot be run where the container does not run', async () => {
    const web = box({}, caller);
    const none = await web.run(['exec', web.name, 'true']);
    expect(none).toMatchObject({ status: 125, stdout: '' });
    expect(none.stderr).toContain(`no container of yours is called "${web.name}"`);
    await web.run(['up', '-d']);
    await web.run(['stop', '-t', '0', web.name]);
    const ended = await web.run(['exec', web.name, 'true']);
    expect(ended).toMatchObject({ status: 125, stdout: '' });
    expect(ended.stderr).toContain(`the container ${web.name} does not run`);
  });
});

describe.skipIf(!hasBusybox).each(callers.filter(({ keys }) => !('uid_map' in keys)))(
  'another user of a container, started by $title',
  (caller) => {
    test('has no capability, and is who was asked for', async () => {
      const web = box({}, caller);
      await web.run(['up', '-d']);
      expect(
        await sh(web, 'id -u; id -g; grep -E "Cap(Prm|Eff|Inh|Amb)" /proc/self/status', '-u', '1000:1001'),
      ).toMatchObject({
        status: 0,
        stdout: `1000\n1001\n${['Inh', 'Prm', 'Eff', 'Amb'].map((set) => `Cap${set}:\t${'0'.repeat(16)}\n`).join('')}`,
      });
      for (const word of ['0x1', '+1', '01', '4294967295', '-1', 'nobody-of-this-name']) {
        const { status, stdout } = await web.run(['exec', `--user=${word}`, web.name, 'id']);
        expect([word, status, stdout]).toEqual([word, 125, '']);
      }
    });
  },
);

describe.skipIf(!hasBusybox)('a command in a container with limits (needs busybox-static)', () => {
  test.skipIf(!hasLimits)('is in the cgroups of the container (needs control groups)', async () => {
    const web = box({ limits: { memory: '100M', pids: 30 } });
    await web.run(['up', '-d']);
    const { pid = 0 } = (await web.listed()) ?? {};
    const running = web.run(['exec', web.name, 'sleep', '1.5']);
    const { stdout } = await sh(web, 'cat /proc/self/cgroup');
    expect(stdout).toBe(readFileSync(`/proc/${pid}/cgroup`, 'utf8').replaceAll(/:[^:]*boxctl-[^:\n]*$/gmu, ':/'));
    await running;
  });
});
