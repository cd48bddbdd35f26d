/** Watching containers: stats and events. */
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { box, until, type Box } from '../support/background.ts';
import { boxctl, PROGRAM, run } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callers, hasLimits, ownedFolder } from '../support/container.ts';
import { tempFolder } from '../support/temp.ts';
import { whenSeen } from '../support/when-seen.ts';

const BUSY = ['sh', '-c', 'while :; do :; done'];

/** A command that goes on until it is stopped. Gives what it has written, as soon as that is what `isEnough` waits for. */
function watching(web: Box, words: readonly string[]): (isEnough: (text: string) => boolean) => Promise<string> {
  let stdout = '';
  let stop: () => void = () => undefined;
  const ended = web.run(words, {
    onStart: (child) => {
      child.stdout?.on('data', (text) => (stdout += String(text)));
      stop = () => child.kill('SIGTERM');
    },
  });
  onTestFinished(() => stop());
  return async (isEnough) => {
    await until(() => isEnough(stdout) || undefined);
    stop();
    return (await ended).stdout;
  };
}

const actions = (text: string): readonly string[] =>
  text
    .trim()
    .split('\n')
    .map((line) => line.split(' ')[2] ?? '');

describe.skipIf(!hasBusybox).each(callers)('what is seen of a container by $title (needs busybox-static)', (caller) => {
  test('is what it uses: a processor, memory, processes, once or again and again', async () => {
    const web = box({ command: BUSY }, caller);
    await web.run(['up', '-d']);
    const { stdout, status } = await web.run(['stats', '--no-stream', '--json', web.name]);
    const [used] = JSON.parse(stdout) as {
      cpu_percent: number;
      memory: { usage: number };
      pids: object;
      name: string;
    }[];
    expect(status).toBe(0);
    expect(used).toMatchObject({ name: web.name, pids: { current: 1 }, network: { received: 0, sent: 0 } });
    expect(used?.cpu_percent).toBeGreaterThan(1);
    expect(used?.memory.usage).toBeGreaterThan(10_000);
    const row = await web.run(['stats', '--no-stream', '--format', '{{.Name}} {{.CPUPerc}} {{.PIDs}}', web.name]);
    expect(row.stdout).toMatch(new RegExp(`^${web.name} [\\d.]+% 1\\n$`, 'u'));
    expect((await web.run(['stats', '--no-stream'])).stdout).toContain(web.name);
    const seen = watching(web, ['stats', '--json', web.name]);
    await seen((text) => text.split('\n').length > 2);
    // A stream ends with the last of those that are named.
    let told = '';
    const last = web.run(['stats', web.name], {
      onStart: (child) => void child.stdout?.on('data', (text) => (told += String(text))),
    });
    await until(() => told.includes(web.name) || undefined);
    await web.run(['stop', '-t', '0', web.name]);
    expect(await last).toMatchObject({ status: 0 });
    expect((await web.run(['stats', '--no-stream', web.name])).stderr).toContain('does not run');
  }, 120_000);

  test('is what happens to it, while it happens and afterwards', async () => {
    const web = box({}, caller);
    const since = String(Date.now() / 1000);
    // Since before the start: the watcher may begin to look only after it.
    const seen = watching(web, ['events', '--since', since, '--filter', `container=${web.name}`]);
    await web.run(['up', '-d'], { once: 'its events are counted' });
    await web.run(['stop', web.name]);
    await web.run(['rename', web.name, `${web.name}-old`]);
    await web.run(['rename', `${web.name}-old`, web.name]);
    await web.run(['rm', web.name]);
    const told = actions(await seen((text) => ['destroy', 'stop'].every((action) => actions(text).includes(action))));
    // What its launcher has told while it had the other name is told when it has this one again.
    const all = told.filter((action) => action !== 'stop').toSorted();
    expect(all).toEqual(['create', 'destroy', 'die', 'rename', 'start']);
    expect(told).toContain('stop');
    const filter = ['--filter', `container=${web.name}`, '--filter', 'event=die', '--filter', 'event=start'];
    const later = await web.run(['events', '--since', since, '--until', '0s', '--json', ...filter]);
    const events = later.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(events).toMatchObject([
      { Type: 'container', Action: 'start', Actor: { Attributes: { name: web.name } } },
      { Type: 'container', Action: 'die', Actor: { Attributes: { exitCode: '3' } } },
    ]);
  }, 120_000);

  test('is told although the journal is damaged, and the journal does not grow without end', async () => {
    // A journal of its own: that of the usual store has the events of others, too.
    const web = box({}, { ...caller, store: ownedFolder(caller, 'store', tempFolder({ open: true })) });
    await web.run(['up', '-d']);
    const { id = '' } = (await web.listed()) ?? {};
    await web.run(['kill', '-s', 'WINCH', web.name]);
    const journal = join(web.caller.store, 'containers/journal');
    const text = readFileSync(journal, 'utf8');
    expect(text).toContain(`"action":"kill","id":"${id}"`);
    // A copy of the user's own is put back with more than fits, half of it no event.
    const filler = `{"time":1,"action":"start","id":"x","name":"y","attributes":{}}\nno event\n{"time":\n`;
    renameSync(journal, `${journal}.old`);
    writeFileSync(`${journal}.new`, filler.repeat(20_000) + text);
    const { status } = await run(
      ['sh', '-c', `cat "$0.new" >>"$0"`, journal],
      caller.user === undefined ? {} : { user: caller.user },
    );
    if (status !== 0) return;
    await web.run(['kill', '-s', 'WINCH', web.name]);
    const names = readdirSync(join(web.caller.store, 'containers')).filter((name) => name.startsWith('journal'));
    expect(names).toContain('journal.1');
    const { stdout } = await web.run(['events', '--since', '1m', '--until', '0s', '--filter', `container=${id}`]);
    expect(actions(stdout).filter((action) => action === 'kill')).toHaveLength(2);
  });
});

describe.skipIf(!hasBusybox || !hasLimits)('a container with limits (needs busybox-static and control groups)', () => {
  test('is measured against them', async () => {
    const web = box({ limits: { memory: '64MiB', pids: 50 }, network_mode: 'none' });
    await web.run(['up', '-d']);
    const { stdout } = await web.run(['stats', '--no-stream', '--json', web.name]);
    const [used] = JSON.parse(stdout) as object[];
    expect(used).toMatchObject({ memory: { limit: 64 * 2 ** 20 }, pids: { limit: 50 } });
    expect(used).toHaveProperty('io.read');
  });

  test('that had too little memory has an event of its own for that', async () => {
    const web = box({
      limits: { memory: '16MiB', swap: '16MiB' },
      command: ['sh', '-c', 'tail -c 100000000 /dev/zero'],
    });
    await web.run(['up', '-d'], { once: 'its events are counted' });
    await web.run(['wait', web.name]);
    const { stdout } = await web.run(['events', '--since', '1m', '--until', '0s', '--filter', `container=${web.name}`]);
    expect(actions(stdout)).toEqual(['create', 'start', 'oom', 'die']);
  });
});

test.skipIf(!hasBusybox)('the live table is drawn over on a terminal, and leaves its settings alone', async () => {
  const web = box({});
  await web.run(['up', '-d']);
  // Ctrl-C ends `stats` alone.
  const command = `stty cols 60 rows 10; stty -a >before; trap : INT; '${process.execPath}' '${PROGRAM}' stats ${web.name}; stty -a >after; cmp before after && echo same`;
  const { stdout } = await run(['script', '-qec', command, '/dev/null'], {
    cwd: web.folder,
    env: { BOXCTL_STORE: web.caller.store, TERM: 'xterm', SHELL: '/bin/sh' },
    stdin: new Promise<string>(() => undefined),
    onStart: whenSeen('\u001b[2A\r\u001b[J', (child) => child.stdin?.write('\u0003')),
  });
  expect(stdout).toContain('same');
  expect(stdout).toContain('\u001b[2A\r\u001b[J');
  for (const line of stdout.replaceAll('\r', '').split('\n'))
    expect((line.split('\u001b[J').at(-1) ?? '').length).toBeLessThan(60);
});

test.skipIf(!hasBusybox)(
  'bash offers the names of containers that a command can do something with',
  async () => {
    const web = box({});
    await web.run(['up', '-d']);
    const folder = tempFolder();
    const { stdout: script } = await web.run(['completion', 'bash']);
    writeFileSync(join(folder, 'script'), script);
    writeFileSync(join(folder, 'boxctl'), `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`, { mode: 0o755 });
    const offered = async (command: string): Promise<readonly string[]> => {
      const ask = `source ${folder}/script; COMP_WORDS=(boxctl ${command} ''); COMP_CWORD=2; _boxctl; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const env = { BOXCTL_STORE: web.caller.store, PATH: `${folder}:${process.env['PATH'] ?? ''}` };
      return (await run(['bash', '-c', ask], { env })).stdout.split('\n');
    };
    for (const command of [
      'exec',
      'stop',
      'kill',
      'pause',
      'top',
      'stats',
      'rm',
      'wait',
      'inspect',
      'port',
      'rename',
    ]) {
      expect([command, await offered(command)]).toEqual([command, expect.arrayContaining([web.name])]);
    }
    expect(await offered('unpause')).not.toContain(web.name);
    await web.run(['stop', '-t', '0', web.name]);
    expect(await offered('stop')).not.toContain(web.name);
    expect(await offered('rm')).toContain(web.name);
  },
  120_000,
);

test.each([
  [['events', '--since', 'zzz'], 'is no time'],
  [['events', '--filter', 'event=dye'], 'did you mean die?'],
  [['events', '--filter', 'contaner=x'], 'did you mean container?'],
  [['events', '--format', '{{.Actin}}'], 'did you mean Action?'],
  [['stats', '--no-stream', 'nothing'], 'no container of yours is called'],
  [['stats', '--format', '{{.CPU}}'], 'there is no field .CPU'],
  [['stats', '--json', '--format', 'json'], 'excludes'],
])('%j is a mistake that is explained', async (words, message) => {
  const { status, stdout, stderr } = await boxctl(words, { env: { BOXCTL_STORE: tempFolder() } });
  expect({ status, stdout }).toEqual({ status: 125, stdout: '' });
  expect(stderr).toContain(message);
});
