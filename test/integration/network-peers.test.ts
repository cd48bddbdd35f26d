/** Containers on one network find each other by name, whichever starts first. */
import type { ChildProcess } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { callerOptions, self, specFolder } from '../support/container.ts';
import { makeLab, whyNoLab, type Lab } from '../support/network-lab.ts';
import type { Ended, RunOptions } from '../support/boxctl.ts';

type Keys = Readonly<Record<string, unknown>>;

const WHY = whyNoLab();
const PEERS = "sed -n '/^# Containers/,/^# (end/p' /etc/hosts";
const waitFor = (what: string): string =>
  `i=0; until ${what}; do i=$((i+1)); [ $i -lt 400 ] || break; sleep 0.05; done`;

interface Running {
  readonly output: () => string;
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

describe.skipIf(WHY !== undefined)(`containers on one network (${WHY ?? 'as root'})`, () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await makeLab();
  });
  afterAll(() => lab.end());

  const networks = (name: string, keys: Keys = {}): Keys => ({ networks: { back: { name, ...keys } } });
  const folderOf = (script: string, keys: Keys): string =>
    specFolder({ stop_signal: 'SIGKILL', command: ['sh', '-c', script.replaceAll('$', '$$$$')], ...keys });

  const up = (script: string, keys: Keys, options = {}): Promise<Ended> => {
    const folder = folderOf(script, keys);
    return lab.host.boxctl(['up', '--allow', 'all'], { ...callerOptions(self, folder), ...options });
  };

  /** Starts a container, and returns once it has written `ready`. */
  async function start(script: string, keys: Keys, options: RunOptions = { held: true }): Promise<Running> {
    let child: ChildProcess | undefined;
    let output = '';
    const onStart = (process: ChildProcess): void => {
      child = process;
      process.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
    };
    const ended = up(`echo ready; ${script}`, keys, { ...options, onStart });
    const early = ended.then(({ stderr }) => Promise.reject(new Error(`it has ended: ${stderr}`)));
    early.catch(() => undefined);
    await Promise.race([vi.waitFor(() => expect(output).toContain('ready'), { timeout: 20_000 }), early]);
    if (child === undefined) throw new Error('it was not started');
    return { output: () => output, child, ended };
  }

  test('one that runs finds those that start later, reaches them by name, and forgets them when they end', async () => {
    const first = await start(
      `${waitFor('grep -q later /etc/hosts')}; ${waitFor('nc -w 1 later 80 </dev/null 2>/dev/null')}; ${PEERS}
       ${waitFor('! grep -q later /etc/hosts')}; echo gone; cat /etc/hosts | grep -c '^#'`,
      { name: 'earlier', ...networks('peers-1') },
    );
    const later = await start('while :; do echo served | nc -l -p 80; done', {
      name: 'later',
      hostname: 'host-of-later',
      ...networks('peers-1', { aliases: ['web'] }),
    });
    await vi.waitFor(() => expect(first.output()).toContain('(end of these)'), { timeout: 20_000 });
    later.child.kill('SIGTERM');
    await later.ended;
    const { stdout, stderr } = await first.ended;
    expect(stderr).toBe('');
    expect(stdout).toMatch(
      /^ready\nserved\n# Containers on the same networks[^\n]*\n\S+\tlater host-of-later web\n\S+\tlater host-of-later web\n# \(end of these\)\ngone\n0\n$/u,
    );
  });

  test('what a container writes to its /etc/hosts stays, before and after the names of others, and no name is given twice', async () => {
    const first = await start(
      `echo '10.9.9.9 mine taken' >> /etc/hosts; echo edited; ${waitFor('grep -q other /etc/hosts')}
       echo '10.9.9.8 second' >> /etc/hosts; echo again
       ${waitFor('grep -q third /etc/hosts')}; grep -v -e ip6- -e localhost /etc/hosts`,
      { name: 'writer', ...networks('peers-2') },
    );
    await vi.waitFor(() => expect(first.output()).toContain('edited'), { timeout: 20_000 });
    const other = await start(
      'sleep 100',
      {
        name: 'other',
        ...networks('peers-2', { aliases: ['taken', 'localhost'] }),
      },
      { once: 'the first writes after it' },
    );
    await vi.waitFor(() => expect(first.output()).toContain('again'), { timeout: 20_000 });
    const third = await start(
      'sleep 100',
      {
        name: 'third',
        ...networks('peers-2', { aliases: ['second', 'writer'] }),
      },
      { once: 'the first ends after it' },
    );
    const { stdout } = await first.ended;
    for (const one of [other, third]) one.child.kill('SIGTERM');
    await Promise.all([other.ended, third.ended]);
    const lines = stdout.replace(/^[^]*again\n/u, '');
    expect(lines).toMatch(/^\S+\twriter\n(?:\S+\twriter\n)?10\.9\.9\.9 mine taken\n# Containers/u);
    expect(lines).toMatch(/\n# \(end of these\)\n10\.9\.9\.8 second\n$/u);
    expect(lines.match(/^\S+\tother$/gmu)).toHaveLength(2);
    expect(lines.match(/^\S+\tthird$/gmu)).toHaveLength(2);
  });

  test('a container that fills, empties or breaks its /etc/hosts harms no other and not the host', async () => {
    const spoil = [
      'head -c 1000000 /dev/zero | tr "\\\\0" x > /etc/hosts',
      ': > /etc/hosts',
      'echo "# Containers on the same networks, kept up to date:" > /etc/hosts',
      'echo "# (end of these)" > /etc/hosts',
      'head -c 20000 /dev/urandom > /etc/hosts',
      'ln -sf /etc/passwd /etc/hosts',
    ];
    for (const [index, attack] of spoil.entries()) {
      const keys = networks(`peers-3-${index}`);
      const bad = await start(`${attack} 2>/dev/null; echo done; sleep 100`, { name: 'bad', ...keys });
      await vi.waitFor(() => expect(bad.output()).toContain('done'), { timeout: 20_000 });
      const { stdout, stderr } = await up(`${PEERS} | grep -c bad; grep -c localhost /etc/hosts`, {
        name: 'good',
        ...keys,
      });
      expect({ attack, stdout, stderr }).toEqual({ attack, stdout: '2\n2\n', stderr: '' });
      bad.child.kill('SIGTERM');
      expect((await bad.ended).stderr).not.toContain('launcher');
    }
  });

  test('the names of a container whose launcher was killed are forgotten by those that run, and not given to those that start', async () => {
    const keys = networks('peers-4');
    const killed = await start('sleep 100', { name: 'killed', ...keys });
    const watcher = await start(
      `grep -c killed /etc/hosts; ${waitFor('! grep -q killed /etc/hosts')}; grep -c killed /etc/hosts; sleep 100`,
      { name: 'watcher', ...keys },
    );
    await vi.waitFor(() => expect(watcher.output()).toBe('ready\n2\n'), { timeout: 20_000 });
    const { pid } = killed.child;
    await lab.host.shell(`for p in $(cat /proc/${pid}/task/*/children); do kill -9 $p; done; kill -9 ${pid}`);
    await killed.ended.catch(() => undefined);
    await vi.waitFor(() => expect(watcher.output()).toBe('ready\n2\n0\n'), { timeout: 20_000 });
    expect((await up('grep -c killed /etc/hosts; grep -c watcher /etc/hosts', { name: 'next', ...keys })).stdout).toBe(
      '0\n2\n',
    );
    watcher.child.kill('SIGTERM');
    await watcher.ended;
  });

  test('those of another network are not found, and an end leaves no file of names', async () => {
    const first = await start('sleep 100', { name: 'alone', ...networks('peers-5') });
    const other = await up('grep -c alone /etc/hosts', { name: 'stranger', ...networks('peers-6') });
    expect(other.stdout).toBe('0\n');
    first.child.kill('SIGTERM');
    await first.ended;
    const folder = '/run/boxctl/network/$(readlink /proc/self/ns/net | tr -cd 0-9)/names';
    expect(await lab.host.shell(`find ${folder} -type d | wc -l; find ${folder} -type f`)).toMatch(/^\d+\n$/u);
  });
});
