/** Handling containers: kill, pause, wait, inspect, top, port and rename, in the background and in the foreground. */
import { Ajv } from 'ajv';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { gatherHostFacts } from '../../src/host/gather.ts';
import { box, type Box } from '../support/background.ts';
import { boxctl, PROJECT } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callers, hasLimits, self, type Caller } from '../support/container.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot } from '../support/user.ts';

const { definitions } = JSON.parse(readFileSync(join(PROJECT, 'specs/state.schema.json'), 'utf8')) as {
  readonly definitions: object;
};
/** `kill -l` of a command that tells of what it gets, and does not end by TERM. */
const TELLS: readonly string[] = [
  'sh',
  '-c',
  'trap "echo usr1 >/x/got" USR1; trap "exit 4" INT; while :; do sleep 0.05; done',
];

const field = async (web: Box, format: string): Promise<string> =>
  (await web.run(['inspect', '--format', format, web.name])).stdout.trim();

async function until(isDone: () => Promise<boolean> | boolean): Promise<void> {
  for (let tries = 0; !(await isDone()); tries++) {
    if (tries > 400) throw new Error('it did not come true');
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

async function foreground(web: Box): Promise<{ readonly ended: Promise<number | null> }> {
  let stop: (() => void) | undefined;
  const ended = web
    .run(['up'], { held: true, onStart: (child) => (stop = () => child.kill('SIGKILL')) })
    .then(({ status }) => status);
  onTestFinished(() => stop?.());
  await until(async () => stop !== undefined && (await field(web, '{{.Config.Hostname}}')) !== '');
  return { ended };
}

/** Whether containers in the background can be paused: root's by a cgroup of their own. */
const canPause = ({ user }: Caller): boolean =>
  user === undefined && gatherHostFacts(process.env).cgroup.freezer !== undefined;

describe.skipIf(!hasBusybox).each(callers)('a container that is handled by $title', (caller) => {
  test('gets the signal that is named, and SIGKILL where none is', async () => {
    const web = box({ command: TELLS, tmpfs: ['/x'] }, caller);
    await web.run(['up', '-d']);
    expect(await web.run(['kill', '-s', 'usr1', web.name])).toMatchObject({ status: 0, stdout: `${web.name}\n` });
    await until(async () => (await web.run(['exec', web.name, 'cat', '/x/got'])).stdout === 'usr1\n');
    expect(await web.run(['kill', '--signal', '2', web.name])).toMatchObject({ status: 0 });
    expect(await web.run(['wait', web.name])).toMatchObject({ stdout: '4\n', stderr: '' });
    const late = await web.run(['kill', web.name]);
    expect(late).toMatchObject({ status: 125, stdout: '' });
    expect(late.stderr).toContain(`the container ${web.name} does not run`);
    await web.run(['up', '-d']);
    await web.run(['kill', web.name]);
    const ended = await web.run(['wait', web.name]);
    expect(ended).toMatchObject({ status: 0, stdout: '137\n' });
    expect(ended.stderr).toContain('the command was ended by SIGKILL');
  });

  test('is waited for with others, and each tells why it ended', async () => {
    const one = box({ command: ['sh', '-c', 'exit 7'] }, caller);
    const other = box({ command: ['sleep', '100'], limits: { time: '200ms' }, stop_signal: 'SIGKILL' }, caller);
    await Promise.all([one.run(['up', '-d']), other.run(['up', '-d'])]);
    const { status, stdout, stderr } = await one.run(['wait', other.name, one.name]);
    expect({ status, stdout }).toEqual({ status: 0, stdout: '124\n7\n' });
    expect(stderr).toContain(`${other.folder}/container.yaml:`.replace(`${other.folder}/`, ''));
    expect(stderr).toContain('the time limit of 200ms was reached');
    expect(await field(other, '{{.State.Reason}} {{.State.ExitCode}}')).toBe('time_limit 124');
    expect(Number(await field(other, '{{.State.At.line}}'))).toBeGreaterThan(0);
  });

  test('is told of in docker’s names, as the schema says, without the values of its environment', async () => {
    const web = box({ environment: { TOKEN: 'geheim' }, hostname: 'inside', tmpfs: ['/x'] }, caller);
    await web.run(['up', '-d']);
    const { status, stdout } = await web.run(['inspect', web.name]);
    expect(status).toBe(0);
    const [found] = JSON.parse(stdout) as object[];
    const ajv = new Ajv({ formats: { 'date-time': true } });
    expect([ajv.validate({ definitions, $ref: '#/definitions/inspect' }, found), ajv.errors]).toEqual([true, null]);
    expect(found).toMatchObject({
      Name: web.name,
      State: { Status: 'running' },
      Mounts: [{ Type: 'tmpfs', RW: true }],
    });
    expect(stdout).not.toContain('geheim');
    expect(await field(web, '{{.Config.Hostname}} {{.State.Running}}')).toBe('inside true');
    expect(await field(web, '{{range .Config.Env}}{{println .}}{{end}}')).toContain('TOKEN=…');
    expect((await web.run(['inspect', '--show-values', web.name])).stdout).toContain('TOKEN=geheim');
    const wrong = await web.run(['inspect', '-f', '{{.State.Staus}}', web.name]);
    expect(wrong).toMatchObject({ status: 125, stdout: '' });
    expect(wrong.stderr).toContain('did you mean Status?');
  });

  test('has its processes listed without a program in it, those of exec among them, and no others', async () => {
    const web = box({ command: ['sleep', '4321'] }, caller);
    await web.run(['up', '-d']);
    const running = web.run(['exec', web.name, 'sleep', '4322']);
    const listed = async (): Promise<string> => (await web.run(['top', web.name, '-o', 'nspid,uid,args'])).stdout;
    await until(async () => (await listed()).includes('4322'));
    expect(await listed()).toMatch(/^NSPID +UID +COMMAND\n1 +0 +sleep 4321\n\d+ +0 +sleep 4322\n$/u);
    expect((await web.run(['top', web.name])).stdout).toMatch(/^UID +PID +PPID +C +STIME +TTY +TIME +CMD\n/u);
    expect((await web.run(['top', web.name, 'aux'])).stdout).toMatch(/^USER +PID +%CPU/u);
    const json = JSON.parse((await web.run(['top', '--json', web.name])).stdout) as object[];
    expect(json[0]).toMatchObject({ container_pid: 1, uid: 0, command: ['sleep', '4321'] });
    for (const [words, hint] of [
      [['-o', 'pdi'], 'did you mean pid?'],
      [['x9'], 'does not know x9'],
      [['-o', ''], '-o needs columns'],
    ] as const) {
      const { status, stderr } = await web.run(['top', web.name, ...words]);
      expect([words, status]).toEqual([words, 125]);
      expect(stderr).toContain(hint);
    }
    await web.run(['stop', '-t', '0', web.name]);
    await running;
    expect((await web.run(['top', web.name])).stderr).toContain('does not run');
  });

  test('has another name from now on, which no other has', async () => {
    const web = box({}, caller);
    const other = box({}, caller);
    await Promise.all([web.run(['up', '-d']), other.run(['up', '-d'])]);
    const taken = await web.run(['rename', web.name, other.name]);
    expect(taken.status).toBe(125);
    expect(taken.stderr).toContain(`another container is called ${other.name}`);
    expect((await web.run(['rename', web.name, 'a/b'])).stderr).toContain('cannot be the name of a container');
    const name = `${web.name}-new`;
    expect(await web.run(['rename', web.name, name])).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(await web.run(['exec', name, 'true'])).toMatchObject({ status: 0 });
    expect((await web.run(['stop', web.name])).stderr).toContain('no container of yours is called');
    expect(await web.run(['rm', '-f', name])).toMatchObject({ status: 0, stdout: `${name}\n` });
  });

  test('that runs in the foreground is looked at and handled as well, as far as that makes sense', async () => {
    const web = box({ command: TELLS, tmpfs: ['/x'] }, caller);
    const { ended } = await foreground(web);
    expect(await field(web, '{{.Mode}} {{.State.Status}} {{.Config.StopSignal}}')).toBe('foreground running SIGTERM');
    expect((await web.run(['top', web.name, '-o', 'nspid'])).stdout).toMatch(/^NSPID\n1\n/u);
    expect(await web.run(['port', web.name])).toMatchObject({ status: 0, stdout: '' });
    for (const words of [
      ['wait', web.name],
      ['rename', web.name, 'other'],
      ['rm', '-f', web.name],
    ]) {
      const { status, stderr } = await web.run(words);
      expect([words, status]).toEqual([words, 125]);
      expect(stderr).toContain('runs in the foreground');
    }
    await web.run(['kill', '-s', 'USR1', web.name]);
    await until(async () => (await web.run(['exec', web.name, 'cat', '/x/got'])).stdout === 'usr1\n');
    await web.run(['kill', '-s', 'INT', web.name]);
    expect(await ended).toBe(4);
  });

  test('is paused by a cgroup of its own; without one it is said what to do', async () => {
    const web = box({}, caller);
    await web.run(['up', '-d']);
    const paused = await web.run(['pause', web.name]);
    if (!canPause(caller)) {
      expect(paused.status).toBe(125);
      expect(paused.stderr).toMatch(/has no cgroup of its own to be paused by\n +give it a limit/u);
      return;
    }
    expect(paused).toMatchObject({ status: 0, stdout: `${web.name}\n` });
    expect(await web.listed()).toMatchObject({ status: 'paused' });
    expect((await web.run(['pause', web.name])).stderr).toContain('is paused already');
    const entered = await web.run(['exec', web.name, 'true']);
    expect(entered.status).toBe(125);
    expect(entered.stderr).toContain(`boxctl unpause ${web.name}`);
    expect(await web.run(['unpause', web.name])).toMatchObject({ status: 0, stdout: `${web.name}\n` });
    expect(await web.listed()).toMatchObject({ status: 'running' });
    expect((await web.run(['unpause', web.name])).stderr).toContain('is not paused');
    expect(await web.run(['exec', web.name, 'true'])).toMatchObject({ status: 0 });
  });
});

describe.skipIf(!hasBusybox || !canPause(self))('a paused container', () => {
  test.each([
    [['stop'], 3],
    [['kill'], 137],
    [['rm', '-f'], undefined],
  ] as const)('is ended by %j', async (words, status) => {
    const web = box({});
    await web.run(['up', '-d']);
    await web.run(['pause', web.name]);
    expect(await web.run([...words, web.name])).toMatchObject({ status: 0, stdout: `${web.name}\n` });
    if (status !== undefined) expect(await web.run(['wait', web.name])).toMatchObject({ stdout: `${status}\n` });
    expect((await web.listed())?.exit_status).toBe(status);
  });

  test.skipIf(!hasLimits)('with limits is paused in the foreground, too, and goes on by unpause', async () => {
    const web = box({ limits: { pids: 100 } });
    const { ended } = await foreground(web);
    expect(await web.run(['pause', web.name])).toMatchObject({ status: 0 });
    expect(await field(web, '{{.State.Status}}')).toBe('paused');
    expect(await web.run(['unpause', web.name])).toMatchObject({ status: 0 });
    expect(await web.run(['stop', web.name])).toMatchObject({ status: 0 });
    expect(await ended).toBe(3);
  });

  test('is no longer told to be paused once somebody else has let it go on', async () => {
    const web = box({});
    await web.run(['up', '-d']);
    await web.run(['pause', web.name]);
    const { dir = '' } = gatherHostFacts(process.env).cgroup.freezer ?? {};
    const { id } = (await web.listed()) ?? {};
    const file =
      gatherHostFacts(process.env).cgroup.freezer?.version === 2 ? 'container/cgroup.freeze' : 'freezer.state';
    writeFileSync(join(dir, `boxctl-${web.name}-${id}`, file), file === 'freezer.state' ? 'THAWED' : '0');
    await until(async () => (await web.listed())?.status === 'running');
    expect(await web.run(['exec', web.name, 'true'])).toMatchObject({ status: 0 });
  });
});

describe.skipIf(!hasBusybox || !isRoot)('published ports', () => {
  test('are told with those that the kernel has chosen', async () => {
    const web = box({ network_mode: 'bridge', ports: ['127.0.0.1:0:80', '127.0.0.1:18081:81/udp'] });
    const { status, stderr } = await web.run(['up', '-d', '--allow', 'all']);
    expect([status, stderr]).toEqual([0, '']);
    const { stdout } = await web.run(['port', web.name]);
    expect(stdout).toMatch(/^80\/tcp -> 127\.0\.0\.1:[1-9]\d*\n81\/udp -> 127\.0\.0\.1:18081\n$/u);
    expect((await web.run(['port', web.name, '81/udp'])).stdout).toBe('127.0.0.1:18081\n');
    expect((await web.run(['port', web.name, '80'])).stdout).toMatch(/^127\.0\.0\.1:\d+\n$/u);
    const none = await web.run(['port', web.name, '82']);
    expect(none.status).toBe(125);
    expect(none.stderr).toContain('it publishes 80/tcp, 81/udp');
    expect(await field(web, '{{(index (index .NetworkSettings.Ports "81/udp") 0).HostPort}}')).toBe('18081');
    expect(await field(web, '{{.NetworkSettings.IPAddress}}')).toMatch(/^\d+\.\d+\.\d+\.\d+$/u);
  });
});

test.each([
  [['kill', '-s', 'TREM', 'x'], 'did you mean SIGTERM?'],
  [['port', 'x', 'y'], 'is no port'],
  [['port', 'x', '99999'], 'is no port'],
  [['rename', 'x'], 'needs NAME NEW'],
  [['pause'], 'needs NAME'],
  [['inspect', 'x', '-f', '{{'], 'no container of yours is called "x"'],
])('%j is a mistake that is explained', async (words, message) => {
  const { status, stdout, stderr } = await boxctl(words, { env: { BOXCTL_STORE: tempFolder() } });
  expect({ status, stdout }).toEqual({ status: 125, stdout: '' });
  expect(stderr).toContain(message);
});
