/** People who do not wait: signals at any moment, many commands at once, full disks, terminals that change. */
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { box } from '../support/background.ts';
import { PROGRAM, run } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, self } from '../support/container.ts';
import { isRoot } from '../support/user.ts';

describe.skipIf(!hasBusybox).each(callers)('$title, in a hurry (needs busybox-static),', (caller) => {
  test(
    'may end a start in the background at any moment: the container runs, or there is none',
    { timeout: 120_000 },
    async () => {
      const web = box({}, caller);
      const began = Date.now();
      await web.run(['up', '-d']);
      const took = Date.now() - began;
      for (let round = 0; round < 12; round++) {
        await web.run(['rm', '-f', web.name]);
        const signal = round % 2 === 0 ? 'SIGINT' : 'SIGTERM';
        const end = await web.run(['up', '-d'], {
          once: 'it is killed at any moment',
          onStart: (child) => void sleep((took * (round + 4)) / 16).then(() => child.kill(signal)),
        });
        const listed = await web.listed();
        if (end.status === 0) {
          expect(listed).toMatchObject({ status: 'running' });
          continue;
        }
        expect(end.stderr).not.toContain('unexpected');
        if (end.signal === null && end.status !== 0) {
          expect(end.stderr).toMatch(/was given up|signal/u);
          expect(end.status).toBe(signal === 'SIGINT' ? 130 : 143);
        }
        // Node itself was ended before the launcher was there, or it has taken all back.
        // By the signal itself it is ended, too, when the container is its launcher's already.
        const possible = [undefined, 'lost', 'failed', 'exited', ...(end.signal === null ? [] : ['running'])];
        expect(possible).toContain(listed?.status);
      }
      await web.run(['rm', '-f', web.name]);
      expect(await web.run(['up', '-d'])).toMatchObject({ status: 0 });
    },
  );

  test('may start the same name many times at once: one of them is started', { timeout: 120_000 }, async () => {
    const web = box({}, caller);
    const ends = await Promise.all(Array.from({ length: 8 }, () => web.run(['up', '-d'], { once: 'all at a time' })));
    expect(ends.map(({ status, stdout }) => [status, stdout])).toEqual(ends.map(() => [0, `${web.name}\n`]));
    expect(ends.filter(({ stderr }) => stderr.includes('has not changed'))).toHaveLength(7);
    expect(await web.listed()).toMatchObject({ status: 'running' });
  });

  test(
    'may ask for all kinds of things while a container ends, and is told what is so',
    { timeout: 120_000 },
    async () => {
      const web = box({}, caller);
      await web.run(['up', '-d']);
      const all = [
        ['stop', '-t', '1', web.name],
        ['exec', web.name, 'true'],
        ['cp', `${web.name}:/bin`, '-'],
        ['changes', web.name],
        ['rm', '-f', web.name],
        ['ps', '-a'],
      ];
      const ends = await Promise.all([...all, ...all].map((words) => web.run(words)));
      for (const { stderr } of ends) expect(stderr).not.toContain('unexpected');
      await web.run(['rm', '-f', web.name]);
      expect(await web.listed()).toBeUndefined();
    },
  );
});

test.skipIf(!isRoot || !hasBusybox)(
  'on a full disk, what runs goes on and can be listed, entered and ended, and a copy says that there is no room',
  { timeout: 120_000 },
  async () => {
    const web = box({});
    const store = join(web.folder, 'store');
    writeFileSync(join(web.folder, 'large'), 'x'.repeat(3 << 20));
    const script = `mkdir ${store}; mount -t tmpfs -o size=24m none ${store}; boxctl() { ${process.execPath} ${PROGRAM} "$@"; }
      boxctl up -d || exit 90
      dd if=/dev/zero of=${store}/fill bs=1M 2>/dev/null
      boxctl cp large ${web.name}:/large; echo "copied $?"
      boxctl exec ${web.name} true; echo "entered $?"
      boxctl ps -q | grep -c .; boxctl changes ${web.name} | head -1
      boxctl stop -t 1 ${web.name}; rm ${store}/fill; boxctl rm ${web.name}; boxctl ps -aq --filter name=${web.name}; ls -d ${store}/containers/[0-9a-f]*; echo end`;
    const options = callerOptions(self, web.folder, { env: { BOXCTL_STORE: store } });
    const { status, stdout, stderr } = await run(
      ['unshare', '-m', '--propagation', 'private', 'sh', '-c', script],
      options,
    );
    expect(stdout).toContain('copied 125\nentered 0\n');
    expect(stdout.trim().split('\n').slice(-3)).toEqual([web.name, web.name, 'end']);
    expect(stderr).toContain(`${web.name}:/large: the file cannot be written: ENOSPC`);
    expect(status).toBe(0);
  },
);

test.skipIf(!existsSync('/usr/bin/tmux') || !hasBusybox)(
  'The terminal of an exec follows that of its caller',
  { timeout: 120_000 },
  async () => {
    const web = box({});
    await web.run(['up', '-d']);
    const server = `boxctl-test-${process.pid}-exec`;
    const { CI: _ci, ...personal } = process.env;
    const tmux = (...args: readonly string[]): string =>
      execFileSync('tmux', ['-L', server, ...args], {
        encoding: 'utf8',
        env: { ...personal, BOXCTL_STORE: self.store },
      });
    onTestFinished(() => void tmux('kill-server'));
    tmux('-f', '/dev/null', 'new-session', '-d', '-s', 'main', '-x', '100', '-y', '30', '-c', web.folder, 'sh');
    const type = (text: string): string => tmux('send-keys', '-t', 'main', text, 'Enter');
    const see = (what: RegExp) =>
      expect.poll(() => tmux('capture-pane', '-p', '-t', 'main'), { timeout: 15_000, interval: 50 }).toMatch(what);
    type(`${process.execPath} ${PROGRAM} exec -it ${web.name} sh; echo status $?`);
    await see(/^\/ #/mu);
    type('stty size');
    await see(/^30 100$/mu);
    tmux('resize-window', '-t', 'main', '-x', '80', '-y', '20');
    // The new size comes inside a little later.
    const asked = (): string => {
      type('stty size');
      return tmux('capture-pane', '-p', '-t', 'main');
    };
    await expect.poll(asked, { timeout: 15_000, interval: 100 }).toMatch(/^20 80$/mu);
    type('exit 5');
    await see(/^status 5$/mu);
  },
);
