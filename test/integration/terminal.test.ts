/** A terminal, as a person at one sees it: tmux is the person's screen and keyboard. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { PROGRAM } from '../support/boxctl.ts';
import { FRONT } from '../support/front.ts';
import { keepAtTerminal } from '../support/front-terminal.ts';
import { hasBusybox } from '../support/busybox.ts';
import { hasLimits, self, specFolder } from '../support/container.ts';
import { debianRootfs } from '../support/rootfs.ts';

const hasTmux = existsSync('/usr/bin/tmux');
const hasDebian = existsSync('/usr/bin/mmdebstrap');
/** One for each test: the last one's may be about to end. */
let server = '';
let servers = 0;

/** A person's terminal: in a CI job nothing would be drawn. */
const { CI: _ci, ...personal } = process.env;

function tmux(...args: readonly string[]): string {
  return execFileSync('tmux', ['-L', server, ...args], { encoding: 'utf8', env: personal });
}

const screen = (): string => tmux('capture-pane', '-p', '-t', 'main');
const type = (...keys: readonly string[]): void => void tmux('send-keys', '-t', 'main', ...keys);
const see = (what: RegExp | string): Promise<void> =>
  expect.poll(screen, { timeout: 15_000, interval: 50 }).toMatch(what);

let current = '';
const folderOf = (): string => current;

/** By what the words of a start are done, and what the shell is told to run for them. */
interface Way {
  readonly title: string;
  readonly program: string;
  readonly alias: string;
}

const BY_NODE: Way = { title: 'by Node', program: PROGRAM, alias: `${process.execPath} ${PROGRAM}` };
/** Where there is no Node, a start that needs it fails. */
const BY_KEPT_PLAN: Way = { title: 'by a kept plan', program: FRONT, alias: `PATH=/nowhere ${FRONT}` };

/** A plan is kept for it, too. */
const TERM = 'screen';

interface Opened {
  readonly shell?: string;
  readonly way?: Way;
  /** Of the start that is to be made in it. */
  readonly words?: readonly string[];
}

/** A shell of the host in the folder, at 100 by 30. */
async function openTerminal(folder: string, { shell = 'sh', way = BY_NODE, words = [] }: Opened = {}): Promise<void> {
  current = folder;
  if (way === BY_KEPT_PLAN) await keepAtTerminal(words, folder, { ...personal, TERM, BOXCTL_STORE: self.store });
  server = `boxctl-test-${process.pid}-${++servers}`;
  tmux('-f', '/dev/null', 'new-session', '-d', '-s', 'main', '-x', '100', '-y', '30', '-c', folder, shell);
  type(`PS1='host> '; export TERM=${TERM} BOXCTL_STORE=${self.store}; alias boxctl='${way.alias}'; clear`, 'Enter');
}

afterEach(() => {
  spawnSync('tmux', ['-L', server, 'kill-server']);
});

describe.skipIf(!hasTmux || !hasBusybox).each([BY_NODE, BY_KEPT_PLAN])(
  'a terminal in tmux, of a start $title (needs tmux and busybox-static)',
  (way) => {
    test('the command has a terminal of its own, which follows the size of the caller’s', async () => {
      await openTerminal(specFolder({ command: ['sh', '-c', 'stty size; tty; read x; stty size; read x'] }), {
        way,
        words: ['up', '-it'],
      });
      await see('host>');
      type('boxctl up -it', 'Enter');
      await see(/30 100\n\/dev\/(console|pts\/0)/u);
      tmux('resize-window', '-t', 'main', '-x', '80', '-y', '20');
      type('Enter');
      await see('20 80');
      type('Enter');
      await see(/^host>\s*$/mu);
    });

    test('the caller’s terminal is restored when boxctl is killed', async () => {
      await openTerminal(specFolder({ command: ['sh', '-c', 'stty raw -echo; echo ready; sleep 100'] }), {
        way,
        words: ['up', '-it'],
      });
      await see('host>');
      // The shell learns of the end at the same moment as the launcher, who puts the terminal back.
      const again = 'until stty -a | cmp -s - before; do echo "not yet"; sleep 0.1; done; echo sa""me';
      type(`stty -a >before; boxctl up -it; ${again}`, 'Enter');
      await see('ready');
      spawnSync('pkill', ['-KILL', '-f', `${way.program} up -it`]);
      await see('same');
    });

    test('boxctl in the background stops as a job, and goes on in the foreground', async () => {
      await openTerminal(
        specFolder({ command: ['sh', '-c', 'stty -a | grep -o ".icanon"; read line; echo "got $$line"'] }),
        { way, shell: 'bash', words: ['up', '-it'] },
      );
      await see('host>');
      type('stty -a >before; boxctl up -it & sleep 1', 'Enter');
      await see(/Stopped +.*(node|boxctl)/u);
      type('echo my""self', 'Enter');
      await see('myself');
      type('clear; fg', 'Enter');
      await see(/ icanon/u);
      type('words', 'Enter');
      await see(/got words\s+host>/u);
      type('stty -a | cmp - before && echo sa""me', 'Enter');
      await see('same');
    });

    test('boxctl that is stopped by SIGSTOP and continued has the terminal again', async () => {
      await openTerminal(specFolder({ command: ['sh', '-c', 'echo ready; read line; echo "got $$line"'] }), {
        way,
        shell: 'bash',
        words: ['up', '-it'],
      });
      await see('host>');
      type('boxctl up -it', 'Enter');
      await see('ready');
      const { stdout } = spawnSync('pgrep', ['-f', `${way.program} up -it`], { encoding: 'utf8' });
      process.kill(-Number(stdout.split('\n')[0]), 'SIGSTOP');
      await see(/Stopped +.*(node|boxctl)/u);
      type('clear; fg', 'Enter');
      await see(/up -it/u);
      type('words', 'Enter');
      await see('got words');
      type('echo stat""us $?', 'Enter');
      await see('status 0');
    });

    test('ctrl-c interrupts the command and not boxctl', async () => {
      await openTerminal(
        specFolder({ command: ['sh', '-c', 'trap "echo interrupted" INT; echo ready; sleep 100; echo after; exit 4'] }),
        { way, words: ['up', '-it'] },
      );
      await see('host>');
      type('boxctl up -it; echo status $?', 'Enter');
      await see('ready');
      type('C-c');
      await see(/interrupted\s+after\s+status 4/u);
    });
  },
);

describe.skipIf(!hasTmux || !hasBusybox).each([BY_NODE, BY_KEPT_PLAN])(
  'the caller’s terminal and a command without one, of a start $title (needs tmux, busybox-static)',
  (way) => {
    test('the command holds no descriptor of it, writes to it through pipes, and reads nothing from it', async () => {
      const script =
        'for n in 0 1 2; do readlink /proc/self/fd/$$n; done; echo named >/dev/stderr; tty; cat; echo ended';
      await openTerminal(specFolder({ command: ['sh', '-c', script] }), { way, words: ['up', '--quiet'] });
      await see('host>');
      type('clear; boxctl up --quiet', 'Enter');
      await see(/\/dev\/null\npipe:.*\npipe:.*\nnamed\nnot a tty\nended/u);
    });

    test('with -i the command reads the lines of the terminal, and the end of the input', async () => {
      await openTerminal(
        specFolder({
          command: ['sh', '-c', 'readlink /proc/self/fd/0; while read x; do echo "<$$x>"; done; echo end'],
        }),
        { way, words: ['up', '-i', '--quiet'] },
      );
      await see('host>');
      type('clear; boxctl up -i --quiet', 'Enter');
      await see('pipe:');
      type('some words', 'Enter');
      await see('<some words>');
      type('C-d');
      await see(/^end$/mu);
    });

    test.each(['', '-i'])('in the background it leaves alone what is typed, with "%s"', async (option) => {
      await openTerminal(
        specFolder({ command: ['sh', '-c', 'echo ready; while read x; do echo "took $$x"; done; sleep 30'] }),
        { way, shell: 'bash', words: ['up', ...(option === '' ? [] : [option]), '--quiet'] },
      );
      await see('host>');
      type(`clear; boxctl up ${option} --quiet & sleep 1`, 'Enter');
      await see('ready');
      for (const word of ['one', 'two', 'three']) type(`echo my""${word}`, 'Enter');
      await see(/myone\n(.*\n)*mytwo\n(.*\n)*mythree/u);
      expect(screen()).not.toContain('took');
      type('kill -KILL %1', 'Enter');
    });

    test('ctrl-z stops the command too, and fg lets both go on', async () => {
      await openTerminal(
        specFolder({
          command: ['sh', '-c', 'i=0; while :; do i=$$((i+1)); echo $$i >/w/count; sleep 0.02; done'],
          volumes: ['./:/w'],
        }),
        { way, shell: 'bash', words: ['up', '--quiet'] },
      );
      await see('host>');
      rmSync(join(folderOf(), 'count'), { force: true });
      type('clear; boxctl up --quiet', 'Enter');
      const grows = 'a=$(cat count); sleep 0.5; [ "$a" = "$(cat count)" ] && echo sti""ll || echo mov""ing';
      await expect.poll(() => existsSync(join(folderOf(), 'count')), { timeout: 15_000 }).toBe(true);
      type('C-z');
      await see(/Stopped +.*(node|boxctl)/u);
      type(`sleep 0.3; ${grows}`, 'Enter');
      await see('still');
      type(`clear; bg; sleep 0.3; ${grows}`, 'Enter');
      await see('moving');
      type('clear; fg', 'Enter');
      // Until the shell has cleared the screen, it shows what `bg` printed, which ends with "&".
      await see(/up --quiet$/mu);
      type('C-z');
      await see(/Stopped +.*(node|boxctl)/u);
      type('kill -KILL %1', 'Enter');
    });

    test.each(['', '-i', '-it'])('when it is closed, the container ends, with "%s"', async (option) => {
      const script = 'trap "" HUP; trap "sleep 0" TERM; echo ready; while :; do sleep 0.05; done';
      await openTerminal(specFolder({ command: ['sh', '-c', `: ${server}x; ${script}`], stop_grace_period: '500ms' }), {
        way,
        words: ['up', '--quiet', ...(option === '' ? [] : [option])],
      });
      await see('host>');
      type(`clear; boxctl up --quiet ${option}`, 'Enter');
      await see('ready');
      const pids = (): string =>
        spawnSync('pgrep', ['-f', `sh -c : ${server.replace(/\d+$/u, '')}`], { encoding: 'utf8' }).stdout;
      expect(pids()).not.toBe('');
      tmux('kill-server');
      await expect.poll(pids, { timeout: 15_000 }).toBe('');
    });
  },
);

describe.skipIf(!hasTmux || !hasBusybox)('the steps of a start at a terminal (needs tmux and busybox-static)', () => {
  test.skipIf(!hasLimits)(
    'the steps are drawn before the command starts, each with its duration, where they are asked for (needs root, or a cgroup of the user’s own)',
    async () => {
      await openTerminal(specFolder({ command: ['echo', 'started'], limits: { pids: 10 } }));
      await see('host>');
      type('clear; boxctl up --progress list', 'Enter');
      await see(/✔ limits +\d+ steps +\d.*ms\n(.*\n)*.*✔ namespaces +\d+ steps(.*\n)*started/u);
    },
  );

  test.each([20, 40, 57])('no line of the steps wraps at %d columns', async (columns) => {
    await openTerminal(specFolder({ command: ['echo', 'started'] }));
    tmux('resize-window', '-t', 'main', '-x', String(columns), '-y', '40');
    await see('host>');
    type('clear; boxctl up --progress list', 'Enter');
    await see(/started\n/u);
    const lines = screen().split('\n');
    const from = lines.findIndex((line) => line.includes('✔'));
    const steps = lines.slice(from, lines.indexOf('started'));
    expect(steps.length).toBeGreaterThan(8);
    expect(steps.filter((line) => !line.startsWith('  ✔ '))).toEqual([]);
  });
});

describe.skipIf(!hasTmux || !hasDebian)('a Debian userland in tmux (needs tmux and mmdebstrap)', () => {
  test('bash has job control, and vi and less behave', { timeout: 200_000 }, async () => {
    await openTerminal(specFolder({ image: debianRootfs(), environment: { PS1: 'inside> ', TERM: 'screen' } }));
    await see('host>');
    type('boxctl shell', 'Enter');
    await see(/root@test-\w+:\/#|inside>/u);
    // Of this test alone.
    const sleep = `sleep 100.${process.pid}`;
    type(`clear; ${sleep}`, 'Enter');
    await expect.poll(() => spawnSync('pgrep', ['-fx', sleep]).status, { timeout: 15_000 }).toBe(0);
    type('C-z');
    await see(/\[1\]\+ +Stopped +sleep 100/u);
    type('bg; jobs', 'Enter');
    await see(/\[1\]\+ +Running +sleep 100\.\d+ &/u);
    type('kill %1; wait; clear; seq 500 | less', 'Enter');
    await see(/^29\n:/mu);
    type('G');
    await see(/^500\n\(END\)/mu);
    type('q');
    type('clear; vi /tmp/file', 'Enter');
    // The name alone is in the command line too.
    await see(/"\/tmp\/file" \[New/u);
    type('i', 'written in vi', 'Escape', ':wq', 'Enter');
    type('clear; cat /tmp/file; tty', 'Enter');
    await see(/written in vi\n\/dev\/(console|pts\/0)/u);
    type('exit', 'Enter');
    await see(/^host>\s*$/mu);
  });
});
