/** Containers as a library's caller has them: started many times from one plan, with streams, signals and a result. */
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { startInBackground } from '../../src/container/background.ts';
import type { Box } from '../../src/container/box.ts';
import { openTemplate, startContainer } from '../../src/container/template.ts';
import type { LaunchEvent } from '../../src/launcher/events.ts';
import { dismissLauncher } from '../../src/native.ts';
import { loadSpec } from '../../src/spec/load.ts';
import { boxctl } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, hasLimits, self, specFolder } from '../support/container.ts';
import { tempFolder } from '../support/temp.ts';

const env = { PATH: process.env['PATH'], BOXCTL_STORE: self.store, HOME: '/root' };

function load(spec: Readonly<Record<string, unknown>>) {
  return loadSpec(join(specFolder(spec), 'container.yaml'), { env, home: '/root' });
}

const template = (spec: Readonly<Record<string, unknown>>) => openTemplate(load(spec), { env });

const textOf = (stream: Readable | null): Promise<string> => (stream === null ? Promise.resolve('') : text(stream));

/** What a box has written, and how it ended. */
async function follow(box: Box) {
  const [stdout, stderr, result] = await Promise.all([textOf(box.stdout), textOf(box.stderr), box.ended]);
  return { stdout, stderr, ...result };
}

const isGone = (pid: number | undefined): boolean => {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return true;
  }
};

describe.skipIf(!hasBusybox)('a box (needs busybox-static)', () => {
  afterAll(() => dismissLauncher());

  test('has its output as streams, and ends with the reason and the status of its command', async () => {
    const box = await startContainer(load({ command: ['sh', '-c', 'echo out; echo err >&2; exit 3'] }), { env });
    expect(box.id).toMatch(/^[0-9a-f]{12}$/u);
    expect(box.pid).toBeGreaterThan(1);
    expect(box.stdin).toBeNull();
    const { durationMs, ...rest } = await follow(box);
    expect(rest).toMatchObject({ stdout: 'out\n', stderr: 'err\n', reason: 'exited', status: 3, notices: [] });
    expect(durationMs).toBeGreaterThanOrEqual(0);
  });

  test('is started many times from one plan, with other arguments, environment and standard files', async () => {
    using many = await template({
      command: ['sh', '-c', 'echo planned $$A'],
      environment: { A: '1' },
    });
    expect((await follow(await many.start())).stdout).toBe('planned 1\n');
    const other = await many.start({ args: ['env'], environment: { A: 'two words', B: '3' } });
    const variables = (await follow(other)).stdout.split('\n');
    expect(variables).toEqual(expect.arrayContaining(['A=two words', 'B=3']));
    expect(variables).not.toContain('A=1');
    const path = join(tempFolder({ open: true }), 'output');
    const file = openSync(path, 'w', 0o600);
    const written = await many.start({ stdout: file, stderr: 'ignore' });
    expect([written.stdout, written.stderr]).toEqual([null, null]);
    await written.ended;
    closeSync(file);
    expect(readFileSync(path, 'utf8')).toBe('planned 1\n');
  });

  test('16 at a time have each their own output and status', async () => {
    using many = await template({ command: ['true'] });
    const all = await Promise.all(
      Array.from({ length: 16 }, async (_, index) =>
        follow(await many.start({ args: ['sh', '-c', `echo ${index}; exit ${index}`] })),
      ),
    );
    expect(all.map(({ stdout, status }) => [stdout, status])).toEqual(all.map((_, index) => [`${index}\n`, index]));
  });

  test('reads what is written to its standard input, until that is ended', async () => {
    using cat = await template({ command: ['cat'] });
    const box = await cat.start({ stdin: 'pipe' });
    const big = 'x'.repeat(300_000);
    box.stdin?.write('first\n');
    box.stdin?.end(big);
    expect((await follow(box)).stdout).toBe(`first\n${big}`);
    // A command that reads nothing is no error of who writes.
    const deaf = await cat.start({ args: ['true'], stdin: 'pipe' });
    deaf.stdin?.write(big);
    expect((await follow(deaf)).reason).toBe('exited');
  });

  test('can be read after its end, and leaves no descriptor open', async () => {
    using echo = await template({ command: ['sh', '-c', 'head -c 60000 /dev/zero'] });
    const box = await echo.start();
    await box.ended;
    expect(await textOf(box.stdout)).toHaveLength(60_000);
    // More than a pipe holds waits for a reader, as with any other program.
    const more = await echo.start({ args: ['head', '-c', '1000000', '/dev/zero'] });
    expect((await follow(more)).stdout).toHaveLength(1_000_000);
  });

  test('a command that has another user can open its output again by its name', async () => {
    using named = await template({ command: ['sh', '-c', 'echo again > /dev/stdout'], user: '1000:1000' });
    expect(await follow(await named.start())).toMatchObject({ stdout: 'again\n', status: 0 });
  });

  test('is killed by the caller’s AbortSignal, and says so', async () => {
    using sleeper = await template({ command: ['sleep', '100'] });
    const giveUp = new AbortController();
    const box = await sleeper.start({ signal: giveUp.signal });
    giveUp.abort();
    expect(await box.ended).toMatchObject({ reason: 'aborted', signal: 'SIGKILL' });
    expect(isGone(box.pid)).toBe(true);
    await expect(sleeper.start({ signal: giveUp.signal })).rejects.toMatchObject({ name: 'AbortError' });
    const early = new AbortController();
    const starting = sleeper.start({ signal: early.signal });
    early.abort(new Error('no longer needed'));
    await expect(starting).rejects.toThrow('no longer needed');
  });

  test('ends with the block that it is used in', async () => {
    using sleeper = await template({ command: ['sleep', '100'] });
    let box: Box;
    {
      await using used = await sleeper.start();
      box = used;
      expect(isGone(box.pid)).toBe(false);
    }
    expect(isGone(box.pid)).toBe(true);
    expect(await box.ended).toMatchObject({ reason: 'aborted' });
  });

  test('is stopped by its stop signal, and killed when its grace period is over', async () => {
    const script = 'trap "echo asked; exit 5" TERM; echo ready; while :; do sleep 0.05; done';
    using trap = await template({ command: ['sh', '-c', script] });
    const polite = await trap.start();
    await once(polite.stdout ?? process.stdin, 'readable');
    expect(await polite.stop()).toMatchObject({ status: 5 });
    expect(await textOf(polite.stdout)).toBe('ready\nasked\n');
    const stubborn = await trap.start({ args: ['sh', '-c', 'trap "" TERM; echo ready; while :; do sleep 0.05; done'] });
    await once(stubborn.stdout ?? process.stdin, 'readable');
    expect(await stubborn.stop(50)).toMatchObject({ reason: 'stopped' });
    const signaled = await trap.start({ args: ['sleep', '100'] });
    signaled.kill('SIGKILL');
    expect(await signaled.ended).toMatchObject({ reason: 'signaled', signal: 'SIGKILL' });
    expect(() => signaled.kill('SIGNOTHING' as NodeJS.Signals)).toThrow('is no signal');
  });

  test('tells of each step where it is asked to, and emits its end', async () => {
    using quick = await template({ command: ['true'] });
    const kinds = new Set<LaunchEvent['kind']>();
    const box = await quick.start({ onEvent: ({ kind }) => void kinds.add(kind) });
    const [result] = (await once(box, 'ended')) as [{ readonly status: number }];
    expect(result.status).toBe(0);
    expect([...kinds].slice(0, 2)).toEqual(['step', 'started']);
    const terse = await quick.start();
    expect(await terse.ended).toEqual(await terse.ended);
  });

  test('that cannot start is explained, with the line that asked for it', async () => {
    using nothing = await template({ command: ['/not-there'] });
    const at = { file: expect.any(String) as string };
    await expect(nothing.start()).rejects.toMatchObject({ code: 'E_COMMAND_NOT_FOUND', at });
    const box = await nothing.start({ args: ['echo', 'there'] });
    expect((await follow(box)).stdout).toBe('there\n');
  });

  test('is refused what it demands of the host, unless the caller’s judge lets it pass', async () => {
    const demanding = load({ command: ['true'], volumes: ['/etc/hostname:/x:ro'] });
    await expect(openTemplate(demanding, { env })).rejects.toMatchObject({ code: 'E_NOT_ALLOWED' });
    const box = await startContainer(demanding, { env, judge: () => undefined });
    expect(await box.ended).toMatchObject({ status: 0 });
  });

  test('another command in it is a box, too, and ends with it', async () => {
    using sleeper = await template({ command: ['sleep', '100'] });
    await using box = await sleeper.start();
    const shell = await box.exec(['sh', '-c', 'echo $0 $X; cat; exit 4', 'inside'], {
      environment: { X: 'y' },
      stdin: 'pipe',
    });
    shell.stdin?.end('input');
    expect(await follow(shell)).toMatchObject({ stdout: 'inside y\ninput', status: 4 });
    const long = await box.exec(['sleep', '100']);
    expect(await follow(await long.exec(['hostname']))).toMatchObject({ status: 0 });
    box.kill('SIGKILL');
    await box.ended;
    // Its process is that of an init, whose status tells of the signal.
    expect((await long.ended).status).toBe(137);
    await expect(box.exec(['true'])).rejects.toMatchObject({ code: 'E_CONTAINER_NOT_RUNNING' });
  });

  test('tells what its container uses while it runs', async () => {
    using sleeper = await template({ command: ['sleep', '100'] });
    const box = await sleeper.start();
    const stats = box.stats();
    expect(stats?.memory.usage).toBeGreaterThan(0);
    expect(stats?.pids.current).toBeGreaterThan(0);
    box.kill('SIGKILL');
    await box.ended;
    expect(box.stats()).toBeUndefined();
  });

  test('is listed by the command line while it runs, and no longer', async () => {
    using sleeper = await template({ command: ['sleep', '100'] });
    const listed = async (id: string): Promise<boolean> => {
      const { stdout } = await boxctl(['ps'], callerOptions(self, '/'));
      return stdout.includes(id.slice(0, 12));
    };
    const box = await sleeper.start();
    expect(await listed(box.id)).toBe(true);
    box.kill('SIGKILL');
    await box.ended;
    expect(await listed(box.id)).toBe(false);
  });

  test('each has ids of its own where the file has `uid_map: auto`', async () => {
    using ids = await template({
      command: ['sh', '-c', 'cat /proc/self/uid_map; sleep 0.3'],
      uid_map: 'auto',
      gid_map: 'auto',
    });
    const [one, other] = await Promise.all([ids.start(), ids.start()].map(async (box) => follow(await box)));
    expect(one?.stdout).toMatch(/^\s+0\s+\d+/u);
    expect(one?.stdout).not.toBe(other?.stdout);
  });

  test('a terminal’s output comes as a stream', async () => {
    using terminal = await template({ command: ['tty'], tty: true });
    expect((await follow(await terminal.start())).stdout).toMatch(/^\/dev\/pts\/\d+\r\n$/u);
  });

  test.skipIf(!hasLimits)('ends by its limits, and says by which (needs limits)', async () => {
    using hungry = await template({
      command: ['sh', '-c', 'x=x; while :; do x=$$x$$x; done'],
      limits: { memory: '16MiB' },
    });
    const result = await follow(await hungry.start());
    expect(result).toMatchObject({ reason: 'out_of_memory' });
    expect(result.message).toContain('16 MiB');
    using timed = await template({ command: ['sleep', '100'], limits: { time: '100ms' }, stop_grace_period: '100ms' });
    expect(await (await timed.start()).ended).toMatchObject({ reason: 'time_limit', status: 124 });
  });

  test('has the secrets and configs of its file, each start anew', async () => {
    const folder = specFolder({ command: ['cat', '/run/secrets/word'], secrets: { word: { file: './word.txt' } } });
    const file = join(folder, 'container.yaml');
    writeFileSync(join(folder, 'word.txt'), 'marker');
    using many = await openTemplate(loadSpec(file, { env, home: '/root' }), { env });
    for (let index = 0; index < 2; index++) expect((await follow(await many.start())).stdout).toBe('marker');
  });

  test('in the background, it is left to a launcher that the one of this process has made', async () => {
    const name = `shared-${process.pid}`;
    const document = load({ name, command: ['sleep', '100'] });
    const { id } = await startInBackground(document, { env, by: 'shared', takesSignals: false });
    const options = callerOptions(self, '/');
    expect((await boxctl(['ps'], options)).stdout).toContain(id);
    dismissLauncher();
    expect((await boxctl(['exec', name, 'hostname'], options)).status).toBe(0);
    expect((await boxctl(['stop', '--time', '0', name], options)).status).toBe(0);
    expect((await boxctl(['rm', name], options)).status).toBe(0);
  });

  test('of a closed template none is started, and those that run go on', async () => {
    const many = await template({ command: ['sh', '-c', 'sleep 0.2; echo done'] });
    const box = await many.start();
    many.close();
    await expect(many.start()).rejects.toMatchObject({ code: 'E_USAGE' });
    expect((await follow(box)).stdout).toBe('done\n');
  });

  test('a launcher that is killed ends its container alone, and the caller is told', async () => {
    using sleeper = await template({ command: ['sleep', '100'] });
    const [box, other] = [await sleeper.start(), await sleeper.start()];
    const launcher = /^PPid:\s+(\d+)$/mu.exec(readFileSync(`/proc/${box.pid}/status`, 'utf8'))?.[1];
    process.kill(Number(launcher), 'SIGKILL');
    await expect(box.ended).rejects.toMatchObject({ code: 'E_LAUNCHER_DIED' });
    await expect.poll(() => isGone(box.pid)).toBe(true);
    await sleep(20);
    expect(isGone(other.pid)).toBe(false);
    await other[Symbol.asyncDispose]();
  });
});
