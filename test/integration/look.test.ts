/** Looking at containers: lists, names, what runs in the foreground, and what killed commands leave behind. */
import { Ajv } from 'ajv';
import type { ChildProcess } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { box, launcherOf, SLEEPS, type Box } from '../support/background.ts';
import { boxctl, PROJECT } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callers, self } from '../support/container.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot } from '../support/user.ts';

const schema = JSON.parse(readFileSync(join(PROJECT, 'specs/state.schema.json'), 'utf8')) as object;
const idOf = async (web: Box): Promise<string> => (await web.listed())?.id ?? '';

/** What `ps` says of the box, by a template. */
const row = async (web: Box, format: string, ...options: string[]): Promise<string> =>
  (await web.run(['ps', '-a', '--filter', `name=^${web.name}$`, '--format', format, ...options])).stdout;

async function until(isDone: () => Promise<boolean> | boolean): Promise<void> {
  for (let tries = 0; !(await isDone()); tries++) {
    if (tries > 200) throw new Error('it did not come true');
    await sleep(50);
  }
}

interface Foreground {
  readonly ended: Promise<number | null>;
  readonly id: string;
  /** Kills boxctl, not its launcher. */
  kill(): void;
}

/** `boxctl up` in the foreground, as soon as `ps` knows it. */
async function foreground(web: Box): Promise<Foreground> {
  let child: ChildProcess | undefined;
  const kill = (): void => void child?.kill('SIGKILL');
  const ended = web.run(['up'], { held: true, onStart: (started) => (child = started) }).then(({ status }) => status);
  onTestFinished(kill);
  await until(async () => child !== undefined && (await row(web, '{{.Image}}')).trim() !== '');
  return { ended, id: (await row(web, '{{.ID}}')).trim(), kill };
}

describe.skipIf(!hasBusybox).each(callers)('containers that are looked at by $title', (caller) => {
  test('are listed as docker’s users ask for them', async () => {
    const web = box({ tmpfs: ['/x'] }, caller);
    await web.run(['up', '-d']);
    const id = await idOf(web);
    expect(await row(web, '{{.ID}} {{.Names}} {{.State}}')).toBe(`${id} ${web.name} running\n`);
    expect(await row(web, '{{.Status}}')).toMatch(/^Up (?:Less than a|\d+) second/u);
    expect(JSON.parse(await row(web, 'json'))).toMatchObject({ ID: id, Names: web.name, Mounts: '/x', ExitCode: 0 });
    expect(await row(web, String.raw`table {{.ID}}\t{{.Names}}`)).toBe(`CONTAINER ID  NAMES\n${id}  ${web.name}\n`);
    expect(await row(web, '{{.Command}}')).toBe('"sh -c trap "exit 3"…"\n');
    expect(await row(web, '{{.Command}}', '--no-trunc')).toContain('sleep 0.05');
    await web.run(['stop', web.name]);
    expect(await row(web, '{{.Status}} {{.ExitCode}}')).toMatch(/^Exited \(3\) .* ago 3\n$/u);
    expect(await web.run(['ps', '--filter', `name=${web.name}`, '-q'])).toMatchObject({ stdout: '' });
    for (const filter of ['exited=3', 'status=exited', `id=${id.slice(0, 4)}`, 'mode=background']) {
      const { stdout } = await web.run(['ps', '-a', '--filter', filter, '--filter', `name=${web.name}`, '-q']);
      expect([filter, stdout]).toEqual([filter, `${id}\n`]);
    }
    for (const filter of [
      'exited=4',
      'status=running',
      'id=ffffffffffff',
      'label=x',
      'ancestor=y',
      'mode=foreground',
    ]) {
      const { stdout } = await web.run(['ps', '-a', '--filter', filter, '--filter', `name=${web.name}`, '-q']);
      expect([filter, stdout]).toEqual([filter, '']);
    }
    expect((await web.run(['ps', '-l', '-q'])).stdout).toMatch(/^[0-9a-f]{12}\n$/u);
    expect(await web.run(['ps', '-n', '0', '-q'])).toMatchObject({ status: 0, stdout: '' });
  });

  test('tell in the words of `up` why they have ended', async () => {
    const web = box({ command: ['sleep', '100'], limits: { time: '100ms' }, stop_signal: 'SIGKILL' }, caller);
    const told = (await web.run(['up'])).stderr.trim().replace(/^boxctl: /u, '');
    expect(told).toContain('container.yaml:');
    await web.run(['up', '-d']);
    await web.run(['wait', web.name]);
    const reason = (await row(web, '{{.Reason}}')).trim();
    expect(reason.replace(`${web.folder}/`, '')).toBe(told);
    expect((await web.run(['ps', '-a'])).stdout).toContain(reason);
  });

  test('are found by unambiguous beginnings of their ids, and else the nearest name is given', async () => {
    const web = box({}, caller);
    await web.run(['up', '-d']);
    const id = await idOf(web);
    expect(await web.run(['exec', id.slice(0, 6), 'true'])).toMatchObject({ status: 0 });
    const wrong = await web.run(['stop', `${web.name}x`]);
    expect(wrong).toMatchObject({ status: 125, stdout: '' });
    expect(wrong.stderr).toContain(`no container of yours is called "${web.name}x"`);
    expect(wrong.stderr).toMatch(/did you mean `bg-/u);
  });

  test('have a container.json as the schema says, and one that is damaged or of another version is told and can be removed', async () => {
    const web = box({ labels: undefined, tmpfs: ['/x'], volumes: ['data:/data'] }, caller);
    await web.run(['up', '-d']);
    const id = await idOf(web);
    const path = join(caller.store, 'containers', id, 'container.json');
    const text = readFileSync(path, 'utf8');
    const ajv = new Ajv();
    expect([ajv.validate(schema, JSON.parse(text)), ajv.errors]).toEqual([true, null]);
    await web.run(['stop', web.name]);
    for (const broken of ['', '{', '[]', '7', '{"version":1}', '{"version":99}', text.replace(id, 'ffffffffffff')]) {
      writeFileSync(path, broken);
      const { status, stdout, stderr } = await web.run(['ps', '-a']);
      expect([broken, status, stderr]).toEqual([broken, 0, '']);
      expect(stdout).toMatch(new RegExp(`^${id} .* broken .*container.json`, 'mu'));
      expect((await web.run(['inspect', id])).status).toBe(125);
    }
    expect(await web.run(['rm', id])).toMatchObject({ status: 0, stdout: `${id}\n` });
    expect(existsSync(join(caller.store, 'containers', id))).toBe(false);
  });

  test('are removed once, whoever removes them at the same time, and their name can be given at the same time', async () => {
    const web = box({}, caller);
    for (let round = 0; round < 3; round++) {
      await web.run(['up', '-d']);
      const id = await idOf(web);
      const all = await Promise.all([
        ...Array.from({ length: 3 }, () => web.run(['rm', '--force', id])),
        ...(round === 0 ? [] : [web.run(['stop', id])]),
      ]);
      for (const { stderr } of all) expect(stderr).toMatch(/^$|no container of yours is called/u);
      expect(all.some(({ status }) => status === 0)).toBe(true);
      expect(existsSync(join(caller.store, 'containers', id))).toBe(false);
    }
    await web.run(['up', '-d']);
    await web.run(['stop', '-t', '0', web.name]);
    const old = await idOf(web);
    const [removed, started] = await Promise.all([web.run(['rm', old]), web.run(['up', '-d'])]);
    expect(started).toMatchObject({ status: 0, stderr: '' });
    expect(removed.stderr).toMatch(/^$|no container of yours is called/u);
    expect(await web.listed()).toMatchObject({ status: 'running' });
  }, 120_000);

  test('of the foreground are listed, entered and ended like the others', async () => {
    const web = box({ environment: { A: 'b' } }, caller);
    const { ended, id } = await foreground(web);
    expect(await row(web, '{{.Mode}} {{.State}}')).toBe('foreground running\n');
    expect((await web.run(['ps'])).stdout).toMatch(new RegExp(`^${id} +${web.name} .*running \\(foreground\\)`, 'mu'));
    expect(await web.run(['exec', web.name, 'sh', '-c', 'echo $A'])).toMatchObject({ status: 0, stdout: 'b\n' });
    const removed = await web.run(['rm', web.name]);
    expect(removed.status).toBe(125);
    expect(removed.stderr).toContain('runs in the foreground');
    expect(await web.run(['stop', id])).toMatchObject({ status: 0, stdout: `${web.name}\n` });
    expect(await ended).toBe(3);
    expect(await row(web, '{{.ID}}')).toBe('');
    expect(existsSync(join(caller.stateFolder, 'foreground', id))).toBe(false);
  });

  test('of the foreground are killed by stop when their time is over', async () => {
    const web = box({ command: ['sh', '-c', 'trap "" TERM; while :; do sleep 0.05; done'] }, caller);
    const { ended } = await foreground(web);
    expect(await web.run(['stop', '-t', '0', web.name])).toMatchObject({ status: 0 });
    expect(await ended).toBe(137);
  });

  test.skipIf(!isRoot)('leave nothing that gc does not tell of and remove (needs root)', async () => {
    // A folder of records and a store of its own: others sweep the usual ones at the same time. Root has but the usual records.
    const [runtime, store] = [tempFolder({ open: true }), tempFolder({ open: true })];
    for (const folder of [runtime, store]) {
      chmodSync(folder, 0o700);
      if (caller.user !== undefined) chownSync(folder, caller.user.uid, caller.user.gid);
    }
    const web = box({}, { ...caller, store });
    const env = { XDG_RUNTIME_DIR: runtime };
    await web.run(['up', '-d'], { env });
    const id = await idOf(web);
    process.kill(launcherOf(web, id), 'SIGKILL');
    const record = join(caller.user === undefined ? caller.stateFolder : join(runtime, 'boxctl'), `${web.name}-${id}`);
    const half = join(store, 'containers', 'removed-0123456789ab');
    mkdirSync(join(half, 'disk'), { recursive: true, mode: 0o700 });
    if (caller.user !== undefined) {
      for (const path of [half, join(half, 'disk')]) chownSync(path, caller.user.uid, caller.user.gid);
    }
    await until(async () => (await row(web, '{{.Status}}')).startsWith('Lost'));
    const expected = caller.user === undefined ? [half] : [record, half];
    const { stdout } = await web.run(['gc', '--dry-run', '--json'], { env });
    const found = (JSON.parse(stdout) as { found: { path: string }[] }).found.map(({ path }) => path);
    expect(found).toEqual(expect.arrayContaining(expected));
    expect(expected.every((path) => existsSync(path))).toBe(true);
    const swept = await web.run(['gc'], { env });
    expect(swept).toMatchObject({ status: 0, stderr: '' });
    for (const path of expected) expect(swept.stdout).toContain(`${path}: `);
    expect([existsSync(record), existsSync(half)]).toEqual([false, false]);
    expect(await web.run(['gc'], { env })).toMatchObject({ status: 0 });
    expect(await web.listed()).toMatchObject({ status: 'lost' });
  });
});

describe('what ps and its kin are asked for', () => {
  test.each([
    [['ps', '--format', '{{.Nmes}}'], 'there is no field .Nmes', 'did you mean Names?'],
    [['ps', '--format', '{{.ID'], 'a }} is missing', ''],
    [['ps', '--filter', 'nam=x'], 'there is no filter nam', 'did you mean name?'],
    [['ps', '--filter', 'status=runing'], 'no container is ever runing', 'did you mean running?'],
    [['ps', '--filter', 'name'], 'has no value', '--filter name=VALUE'],
    [['ps', '-n', 'x'], 'no number of containers', ''],
    [['ps', '--format', 'json', '-q'], 'excludes', ''],
    [['stop'], 'needs NAME', ''],
    [['stop', '-t', 'x', 'y'], 'no number of seconds', ''],
  ])('%j is a mistake that is explained', async (words, message, hint) => {
    const { status, stdout, stderr } = await boxctl(words, { env: { BOXCTL_STORE: tempFolder() } });
    expect({ status, stdout }).toEqual({ status: 125, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toContain(hint);
  });
});

describe.skipIf(!hasBusybox)('the folders of state (needs busybox-static)', () => {
  test('are those of the session where there is one, and no folder of somebody else’s is used', async () => {
    const user = callers.find((caller) => caller.user !== undefined);
    if (user?.user === undefined) return;
    const { uid, gid } = user.user;
    const runtime = tempFolder({ open: true });
    chownSync(runtime, uid, gid);
    chmodSync(runtime, 0o700);
    const web = box({}, user);
    const env = { XDG_RUNTIME_DIR: runtime };
    expect(await web.run(['up', '-d'], { env })).toMatchObject({ status: 0 });
    const { id = '' } = (await web.listed()) ?? {};
    expect(existsSync(join(runtime, 'boxctl/control', id))).toBe(true);
    expect(await web.run(['exec', web.name, 'true'], { env })).toMatchObject({ status: 0 });
    expect(await web.run(['stop', '-t', '0', web.name], { env })).toMatchObject({ status: 0 });
    // Another's folder, one that others can write to, a link.
    const theirs = tempFolder({ open: true });
    mkdirSync(join(theirs, 'boxctl'));
    chmodSync(theirs, 0o777);
    for (const words of [['ps'], ['stop', web.name], ['gc'], ['up', '-d']]) {
      const { status, stderr } = await web.run(words, { env: { XDG_RUNTIME_DIR: theirs } });
      expect([words, status]).toEqual([words, 125]);
      expect(stderr).toContain('somebody else');
    }
    const linked = tempFolder({ open: true });
    chownSync(linked, uid, gid);
    symlinkSync(join(runtime, 'boxctl'), join(linked, 'boxctl'));
    expect((await web.run(['ps'], { env: { XDG_RUNTIME_DIR: linked } })).status).toBe(125);
  });
});

test.skipIf(!hasBusybox)(
  'a container of the foreground that is killed with its boxctl leaves nothing after the next command',
  async () => {
    const web = box({ command: SLEEPS }, self);
    const { id, kill } = await foreground(web);
    expect(existsSync(join(self.stateFolder, 'foreground', id))).toBe(true);
    kill();
    await until(async () => (await row(web, '{{.ID}}')) === '');
    await web.run(['gc']);
    expect(existsSync(join(self.stateFolder, 'foreground', id))).toBe(false);
  },
);

test.skipIf(!hasBusybox)('why a container ended is told by the little that lists need, without its plan', async () => {
  const web = box({ limits: { time: '200ms' }, stop_grace_period: '100ms', command: ['sleep', '100'] }, self);
  await web.run(['up', '--detach']);
  await until(async () => (await web.listed())?.status === 'exited');
  writeFileSync(join(self.store, 'containers', await idOf(web), 'plan.json'), 'damaged');
  expect(await web.listed()).toMatchObject({ exit_status: 124, message: expect.stringContaining('the time limit of') });
});
