/** Containers in the background that are started from kept plans: nothing of them may be otherwise than after a start by Node. */
import { spawn } from 'node:child_process';
import { existsSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { boxctl, PROGRAM, run, type Ended, type RunOptions } from '../support/boxctl.ts';
import { until } from '../support/background.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callers, plain, project, shell, withEnvironment, type Project } from '../support/front-project.ts';
import { FRONT, front, frontAlone, neededNode } from '../support/front.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot, type TestUser } from '../support/user.ts';

const UP = ['up', '--detach', '--allow', 'all'];
const SLEEPS = shell('echo out; echo err >&2; trap "exit 3" TERM; while :; do sleep 0.05; done');
/** The same with processes that stay: a list of them is not made while one is about to execute its program. */
const WAITS = shell('echo out; echo err >&2; trap "exit 3" TERM; sleep 1000 & wait');

interface Box extends Project {
  readonly name: string;
  readonly containers: string;
}

const made: Box[] = [];
let count = 0;

function box(spec: Readonly<Record<string, unknown>> = {}, user?: TestUser): Box {
  const name = `front-bg-${process.pid}-${++count}`;
  const one = project({ name, ...SLEEPS, ...spec }, user);
  const containers = join(one.options.env?.['BOXCTL_STORE'] ?? '', 'containers');
  made.push({ ...one, name, containers });
  return { ...one, name, containers };
}

afterEach(async () => {
  for (const { options, name } of made.splice(0)) await boxctl(['rm', '--force', name], options);
});

const remove = ({ options, name }: Box): Promise<Ended> => boxctl(['rm', '--force', name], options);

/** All in the folder of containers, but the lock and the journal. */
const foldersOf = ({ containers }: Box): readonly string[] =>
  readdirSync(containers).filter((name) => name !== 'lock' && name !== 'journal');

/** Starts it until no Node is needed, and leaves that container. */
async function warm(one: Box, words = UP, options = one.options): Promise<Ended> {
  for (let attempt = 0; ; attempt++) {
    await front(words, options);
    await remove(one);
    const ended = await frontAlone(words, options);
    if (!neededNode(ended) || attempt === 7) return ended;
    await sleep(50);
  }
}

const ID = /[0-9a-f]{12}/gu;

/** Names, modes, owners and texts below a folder, without what is another for each run, and without its log, which may not be there yet. */
function treeOf(folder: string): Readonly<Record<string, unknown>> {
  const all = readdirSync(folder, { withFileTypes: true, recursive: true });
  return Object.fromEntries(
    all
      .filter(({ parentPath }) => parentPath !== join(folder, 'log'))
      .map((entry): readonly [string, unknown] => {
        const path = join(entry.parentPath, entry.name);
        const { mode, uid, gid } = statSync(path);
        const isText = entry.isFile() && path.endsWith('.json');
        const text = isText
          ? readFileSync(path, 'utf8').replaceAll(/"(?:id|created)":(?:"[0-9a-f]{12}"|\d{13})/gu, '')
          : undefined;
        return [relative(folder, path), { mode, uid, gid, text }];
      })
      .toSorted(([one], [other]) => (one < other ? -1 : 1)),
  );
}

/** The kinds of the events that its launcher has told, as numbers of the wire. */
function eventsOf(folder: string): readonly number[] {
  const bytes = readFileSync(join(folder, 'events'));
  return Array.from({ length: bytes.length / 32 }, (_, index) => bytes.readUInt32LE(index * 32));
}

/** What commands say of it from its start to its end, without what is another for each run. */
async function lifeOf({ options, name }: Box): Promise<readonly unknown[]> {
  const told: unknown[] = [];
  const say = async (...words: readonly string[]): Promise<void> => {
    const { status, stdout, stderr } = await boxctl(words, options);
    const same = (text: string): string =>
      text
        .replaceAll(ID, 'ID')
        // A column is as wide as its widest number.
        .replaceAll(/ {2,}/gu, ' ')
        .replaceAll(/"?\d{4}-\d\d-\d\dT[^\s"]*"?|\b\d{13}\b|\b\d+ms\b/gu, 'TIME')
        .replaceAll(/("pid"|"Pid"|"started"|"ended"|"since"): ?\d+/giu, '$1')
        .replaceAll(/\b\d+s\b/gu, 'SECONDS')
        .replaceAll(/^(\d+ )\d+ \d+ \d+ [\d:]+/gmu, '$1');
    told.push({ words, status, stdout: same(stdout), stderr: same(stderr) });
  };
  await until(async () => {
    const { stdout, stderr } = await boxctl(['logs', name], options);
    return (stdout === 'out\n' && stderr === 'err\n') || undefined;
  });
  await say('logs', name);
  const mine = ['--filter', `name=^${name}$`];
  await say('ps', ...mine, '--format', '{{.Names}} {{.Image}} {{.Command}} {{.State}}');
  await say('exec', name, 'sh', '-c', 'id; pwd; env; cat /proc/self/cgroup; ulimit -a; ls -l /proc/self/fd/ | wc -l');
  await say('inspect', name);
  await say('top', name);
  await say('up', '--detach', '--allow', 'all');
  await say('pause', name);
  await say('unpause', name);
  await say('stop', name);
  await say('ps', '--all', ...mine, '--format', '{{.Names}} {{.State}} {{.ExitCode}}');
  await say('start', name);
  await say('restart', name);
  await say('kill', name);
  await say('wait', name);
  await say('changes', name);
  await say('rm', name);
  await say('ps', '--all', ...mine);
  return told;
}

describe.skipIf(!hasBusybox)('a start in the background from a kept plan (needs busybox-static)', () => {
  describe.each(callers)('as %s', (_, user) => {
    test('needs no Node from the third start on, and leaves the same files behind', async () => {
      const one = box({ environment: { A: 'b' }, labels: { x: 'y' }, tmpfs: ['/tmp'], volumes: ['./:/here:ro'] }, user);
      expect(plain(await warm(one))).toEqual({ status: 0, stdout: `${one.name}\n`, stderr: '' });
      const [id = ''] = foldersOf(one);
      const folder = join(one.containers, id);
      const before = { tree: treeOf(folder), events: eventsOf(folder) };
      await remove(one);
      expect(plain(await boxctl(UP, one.options))).toEqual({ status: 0, stdout: `${one.name}\n`, stderr: '' });
      const [other = ''] = foldersOf(one);
      const fresh = join(one.containers, other);
      expect(other).not.toBe(id);
      expect(before).toEqual({ tree: treeOf(fresh), events: eventsOf(fresh) });
    });

    test('lives the same life, whatever commands do with it', async () => {
      const one = box({ ...WAITS, environment: { A: 'b' }, working_dir: '/tmp' }, user);
      expect(plain(await warm(one))).toMatchObject({ status: 0 });
      const kept = await lifeOf(one);
      expect((await boxctl(UP, one.options)).status).toBe(0);
      expect(kept).toEqual(await lifeOf(one));
    }, 120_000);
  });

  test('is made for `run --detach` as well', async () => {
    const one = box();
    const words = ['run', '--detach', '--', 'sh', '-c', 'exit 5'];
    expect(plain(await warm(one, words))).toEqual({ status: 0, stdout: `${one.name}\n`, stderr: '' });
    expect((await boxctl(['wait', one.name], one.options)).stdout).toMatch(/^5\b/u);
  });

  test('has a terminal where the file asks for one', async () => {
    const one = box({ tty: true, stdin_open: true, ...shell('tty; stty size; read x; exit 6') });
    const logs = async (): Promise<string> =>
      until(async () => {
        const { stdout } = await boxctl(['logs', one.name], one.options);
        return stdout.split('\n').length > 2 ? stdout : undefined;
      });
    expect(plain(await warm(one))).toEqual({ status: 0, stdout: `${one.name}\n`, stderr: '' });
    const kept = await logs();
    expect(kept).toContain('/dev/');
    await remove(one);
    await boxctl(UP, one.options);
    expect(kept).toBe(await logs());
  });

  test('has a health check, a hook and a restart policy as after a start by Node', async () => {
    const one = box({
      ...shell('trap "exit 3" TERM; while :; do sleep 0.05; done'),
      healthcheck: { test: ['CMD', 'sh', '-c', 'echo well'], interval: '100ms' },
      pre_stop: [{ command: ['sh', '-c', 'echo stopping >/said'] }],
      restart: 'on-failure:1',
    });
    const life = async (): Promise<unknown> => {
      const tell = async (field: string): Promise<string> =>
        (await boxctl(['inspect', one.name, '--format', `{{.State.${field}}}`], one.options)).stdout.trim();
      await until(async () => (await tell('Health.Status')) === 'healthy' || undefined);
      const [id = ''] = foldersOf(one);
      const first = await tell('Pid');
      process.kill(Number(first), 'SIGKILL');
      await until(async () => !['0', first].includes(await tell('Pid')) || undefined);
      await until(async () => (await tell('Health.Status')) === 'healthy' || undefined);
      const listed = await boxctl(['ps', '--filter', `name=^${one.name}$`], one.options);
      const again = /running.*restarts: \d/u.exec(listed.stdout)?.[0];
      const stopped = plain(await boxctl(['stop', one.name], one.options));
      const said = readFileSync(join(one.containers, id, 'disk/upper/said'), 'utf8');
      return { again, stopped, said };
    };
    expect(plain(await warm(one))).toEqual({ status: 0, stdout: `${one.name}\n`, stderr: '' });
    const kept = await life();
    await remove(one);
    await boxctl(UP, one.options);
    expect(kept).toEqual(await life());
    expect(kept).toMatchObject({ again: 'running (healthy), restarts: 1', said: 'stopping\n' });
  }, 120_000);

  test('has the values that the environment has now, which are in no kept plan', async () => {
    const one = box({ environment: ['VALUE'], ...shell('echo "$VALUE"; sleep 1000.5') });
    const withValue = (VALUE: string): RunOptions => withEnvironment(one, { VALUE });
    await warm(one, UP, withValue('marker-one'));
    await remove(one);
    for (const value of ['marker-two', 'with "quotes" and \\', 'a\tb']) {
      expect(plain(await frontAlone(UP, withValue(value)))).toMatchObject({ status: 0 });
      expect(await until(async () => (await boxctl(['logs', one.name], one.options)).stdout || undefined)).toBe(
        `${value}\n`,
      );
      const [id = ''] = foldersOf(one);
      const kept = treeOf(join(one.containers, id));
      const said = plain(await boxctl(['exec', one.name, 'sh', '-c', 'echo "$VALUE"'], one.options));
      expect(said).toEqual({ status: 0, stdout: `${value}\n`, stderr: '' });
      await remove(one);
      await boxctl(UP, withValue(value));
      const [other = ''] = foldersOf(one);
      expect(kept).toEqual(treeOf(join(one.containers, other)));
      await remove(one);
    }
    const plans = join(one.options.env?.['BOXCTL_STORE'] ?? '', 'plans');
    for (const name of readdirSync(plans)) expect(readFileSync(join(plans, name), 'latin1')).not.toContain('marker');
  }, 120_000);

  test('is left to Node where another container has the name, or one that has ended, or another command is at it', async () => {
    const one = box();
    await warm(one);
    await boxctl(['rename', one.name, `${one.name}-other`], one.options);
    expect(plain(await frontAlone(UP, one.options))).toEqual({ status: 0, stdout: `${one.name}\n`, stderr: '' });
    await boxctl(['kill', one.name], one.options);
    await boxctl(['wait', one.name], one.options);
    expect(neededNode(await frontAlone(UP, one.options))).toBe(true);
    expect(plain(await front(UP, one.options))).toEqual({ status: 0, stdout: `${one.name}\n`, stderr: '' });
    await remove(one);
    // What is of another version, or damaged, may have the name.
    const [id = ''] = foldersOf(one);
    const record = join(one.containers, id, 'container.json');
    const text = readFileSync(record, 'utf8');
    writeFileSync(record, text.replace('"version":1', '"version":2'));
    expect(neededNode(await frontAlone(UP, one.options))).toBe(true);
    writeFileSync(record, text);
    await boxctl(['rm', '--force', `${one.name}-other`], one.options);
    const held = ['flock', join(one.containers, 'lock'), 'sleep', '1'];
    const holding = run(held, one.options);
    await sleep(300);
    // For a moment only: it waits.
    expect(plain(await frontAlone(UP, one.options))).toMatchObject({ status: 0 });
    await holding;
  }, 120_000);

  test('of one that runs and is the same does nothing, and says so', async () => {
    const one = box({ environment: ['VALUE'] });
    const options = withEnvironment(one, { VALUE: 'first' });
    await warm(one, UP, options);
    const [id] = foldersOf(one);
    const said = plain(await boxctl(UP, options));
    expect(said).toMatchObject({ stderr: `boxctl: ${one.name} runs already, and its file has not changed\n` });
    const alone = async (words = UP, own = options): Promise<Ended> => frontAlone(words, own);
    expect(plain(await alone())).toEqual(said);
    await boxctl(['pause', one.name], options);
    expect(plain(await alone())).toEqual(plain(await boxctl(UP, options)));
    await boxctl(['unpause', one.name], options);
    // Another value, and words that ask for another start.
    expect(neededNode(await alone(UP, withEnvironment(one, { VALUE: 'other' })))).toBe(true);
    expect(foldersOf(one)).toEqual([id]);
    const force = [...UP, '--force-recreate'];
    await remove(one);
    await warm(one, force, options);
    expect(neededNode(await alone(force))).toBe(true);
    const other = ['run', '--detach', '--', 'sleep', '1000'];
    await remove(one);
    await warm(one, other, options);
    expect(neededNode(await alone(other))).toBe(true);
    expect((await front(other, options)).stderr).toContain('runs already');
    // What was made from other words is another container.
    expect(neededNode(await alone())).toBe(true);
    await remove(one);
    await alone();
    const folder = join(one.containers, foldersOf(one)[0] ?? '');
    writeFileSync(join(folder, 'limits.json'), '{}', { mode: 0o600 });
    expect(neededNode(await alone())).toBe(true);
    rmSync(join(folder, 'limits.json'));
    expect(plain(await alone())).toEqual(said);
    await boxctl(['kill', one.name], options);
    await boxctl(['wait', one.name], options);
    expect(neededNode(await alone())).toBe(true);
  }, 120_000);

  test('is not made where anything has changed, or more is asked for', async () => {
    const one = box();
    const used = async (words: readonly string[], options = one.options): Promise<boolean> => {
      const ended = await frontAlone(words, options);
      if (!neededNode(ended)) await remove(one);
      return !neededNode(ended);
    };
    await warm(one);
    await remove(one);
    expect(await used(UP)).toBe(true);
    for (const words of [['--wait'], ['-e', 'A=b'], ['-t'], ['--json'], ['--force-recreate']]) {
      expect({ words, used: await used([...UP, ...words]) }).toEqual({ words, used: false });
    }
    for (const words of [['--wait'], ['-e', 'A=b'], ['--json']]) {
      for (let start = 0; start < 2; start++) {
        await front([...UP, ...words], one.options);
        await remove(one);
      }
      expect({ words, used: await used([...UP, ...words]) }).toEqual({ words, used: false });
    }
    expect(await used(UP)).toBe(true);
    for (const closed of ['<&-', '>&-', '2>&-']) {
      const script = `PATH=/nowhere exec "$@" ${closed}`;
      const ended = await run(['/bin/sh', '-c', script, 'sh', FRONT, ...UP], one.options);
      expect({ closed, status: ended.status }).toEqual({ closed, status: 125 });
    }
    expect(await used(UP, withEnvironment(one, { XDG_CONFIG_HOME: tempFolder() }))).toBe(false);
    // Such a hook is waited for.
    const hooked = box({ post_start: [{ command: ['true'] }] });
    expect(neededNode(await warm(hooked))).toBe(true);
    const file = join(one.folder, 'container.yaml');
    writeFileSync(file, readFileSync(file));
    expect(await used(UP)).toBe(false);
  }, 120_000);

  test('of a container that does not start is explained by Node, and nothing of it stays', async () => {
    const one = box();
    await warm(one);
    await remove(one);
    const layers = join(one.options.env?.['BOXCTL_STORE'] ?? '', 'layers');
    for (const layer of readdirSync(layers)) {
      for (const name of readdirSync(join(layers, layer))) rmSync(join(layers, layer, name), { recursive: true });
    }
    expect(plain(await front(UP, one.options))).toEqual({ status: 0, stdout: `${one.name}\n`, stderr: '' });
    expect(foldersOf(one)).toHaveLength(1);
    expect(plain(await boxctl(['gc', '--dry-run'], one.options))).toMatchObject({
      status: 0,
      stderr: 'boxctl: killed commands have left nothing behind\n',
    });
  });

  test.skipIf(!isRoot || !existsSync('/usr/bin/strace'))(
    'is given up by a signal with the words of Node (needs root and strace)',
    async () => {
      const one = box();
      await warm(one);
      await remove(one);
      const slow = ['strace', '-f', '-qq', '-e', 'trace=pivot_root', '-e', 'inject=pivot_root:delay_enter=2000000'];
      const interrupted = async (program: readonly string[]): Promise<unknown> => {
        const folder = tempFolder();
        const script = `echo $$ >${folder}/pid; exec "$@"`;
        const command = [...slow, '-o', join(folder, 'trace'), 'sh', '-c', script, 'sh', ...program, ...UP];
        const ended = run(command, one.options);
        // The launcher makes this file at its beginning.
        await until(() => foldersOf(one).some((id) => existsSync(join(one.containers, id, 'events'))) || undefined);
        await sleep(400);
        process.kill(Number(readFileSync(join(folder, 'pid'), 'utf8')), 'SIGINT');
        const { status, stdout, stderr } = await ended;
        const said = stderr.replaceAll(/^strace: .*\n/gmu, '');
        return { status, stdout, said, left: foldersOf(one) };
      };
      const byFront = await interrupted([FRONT]);
      expect(byFront).toMatchObject({ status: 130, stdout: '', left: [] });
      expect(byFront).toEqual(await interrupted([process.execPath, PROGRAM]));
    },
    120_000,
  );

  test('tells where its name cannot be written, and the container runs', async () => {
    const one = box();
    await warm(one);
    await remove(one);
    const full = await run(['sh', '-c', '"$@" >/dev/full', 'sh', FRONT, ...UP], one.options);
    expect(full.status).toBe(125);
    expect(full.stderr).toContain('cannot be written to standard output');
    expect((await boxctl(['ps', '--format', '{{.Names}}'], one.options)).stdout).toContain(one.name);
  });
});

describe.skipIf(!hasBusybox)('several starts in the background (needs busybox-static)', () => {
  test('at once of one file give one container', async () => {
    const one = box();
    await warm(one);
    await remove(one);
    for (let round = 0; round < 4; round++) {
      const all = await Promise.all(Array.from({ length: 6 }, () => front(UP, one.options)));
      expect(all.map(({ status, stdout }) => ({ status, stdout }))).toEqual(
        all.map(() => ({ status: 0, stdout: `${one.name}\n` })),
      );
      expect(foldersOf(one)).toHaveLength(1);
      await remove(one);
    }
  }, 120_000);

  test('that are killed at any moment leave nothing that keeps the next from its work', async () => {
    const one = box({ ...shell('exec sleep 1000.75'), stop_signal: 'SIGKILL' });
    await warm(one);
    await remove(one);
    const out = openSync('/dev/null', 'w');
    let killed = 0;
    for (let round = 0; round < 40; round++) {
      const child = spawn(FRONT, UP, {
        cwd: one.folder,
        env: { PATH: process.env['PATH'], ...one.options.env },
        stdio: ['ignore', out, out],
      });
      const ended = new Promise<NodeJS.Signals | null>(
        (resolve) => void child.on('close', (_, signal) => resolve(signal)),
      );
      await new Promise((resolve) => void child.on('spawn', resolve));
      const end = performance.now() + round * 0.4;
      while (performance.now() < end);
      child.kill('SIGKILL');
      if ((await ended) === 'SIGKILL') killed++;
      // What there is can be told and removed, and the next start works.
      const { status, stderr } = await boxctl(['ps', '--all'], one.options);
      expect({ round, status, stderr }).toEqual({ round, status: 0, stderr: '' });
      expect({ round, ...(plain(await front(UP, one.options)) as object) }).toMatchObject({ round, status: 0 });
      expect({ round, ...(await remove(one)) }).toMatchObject({ round, status: 0 });
    }
    expect(killed).toBeGreaterThan(10);
    await boxctl(['gc'], one.options);
    expect(foldersOf(one)).toEqual([]);
    expect((await run(['pgrep', '-f', '^sleep 1000.75$'])).stdout).toBe('');
  }, 300_000);
});
