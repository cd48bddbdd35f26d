/**
 * Units that `boxctl install` writes, run by systemd itself: as root by that of the system, as a user by that of his session. And
 * what a container has written to systemd's journal. Run by `npm run test:vm`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { box, until, type Box } from '../support/background.ts';
import type { Ended } from '../support/boxctl.ts';
import { isRoot } from '../support/user.ts';

const PATIENCE = 60_000;
const { XDG_RUNTIME_DIR = '', DBUS_SESSION_BUS_ADDRESS = '' } = process.env;
const session: Readonly<Record<string, string>> = isRoot ? {} : { XDG_RUNTIME_DIR, DBUS_SESSION_BUS_ADDRESS };
const script = (text: string): readonly string[] => ['sh', '-c', text.replaceAll('$', '$$$$')];

function systemctl(...words: readonly string[]): string {
  const { stdout, stderr } = spawnSync('systemctl', [...(isRoot ? [] : ['--user']), ...words], { encoding: 'utf8' });
  return stdout + stderr;
}

const propertiesOf = (unit: string, ...names: readonly string[]): string =>
  systemctl('show', unit, ...names.flatMap((name) => ['--property', name]));

/** With `--now`, and removed with its test. */
async function install(web: Box, ...options: readonly string[]): Promise<Ended> {
  const installed = await web.run(['install', '--now', ...options], {
    env: session,
  });
  onTestFinished(async () => void (await web.run(['uninstall'], { env: session })));
  if (installed.status !== 0)
    throw new Error(`${installed.stderr}\n${systemctl('status', '--no-pager', '-l', unitOf(web))}`);
  return installed;
}

const unitOf = ({ name }: Box, kind = 'service'): string => `boxctl-${name}.${kind}`;

test('a unit is started when the container says so, restarted, stopped, and removed', async () => {
  const notify = isRoot ? '/run/systemd/notify' : `${XDG_RUNTIME_DIR}/systemd/notify`;
  const command = script(
    'echo start >>/data/starts; trap "exit 0" TERM; sleep 1; systemd-notify --ready --status=served; while :; do sleep 0.2; done',
  );
  const web = box({
    image: { host_tools: ['sh', 'sleep', 'systemd-notify'] },
    restart: 'always',
    limits: { pids: 50 },
    environment: { NOTIFY_SOCKET: '${NOTIFY_SOCKET}' },
    volumes: ['${NOTIFY_SOCKET}:${NOTIFY_SOCKET}', './data:/data'],
    command,
  });
  mkdirSync(join(web.folder, 'data'), { mode: 0o777 });
  spawnSync('chmod', ['777', join(web.folder, 'data')]);
  await install(web, '--allow', `bind=${notify}`);
  const unit = unitOf(web);
  const starts = (): number => readFileSync(join(web.folder, 'data/starts'), 'utf8').split('\n').length - 1;
  expect(
    propertiesOf(unit, 'Type', 'ActiveState', 'StatusText', 'NRestarts', 'UnitFileState').split('\n').toSorted(),
  ).toEqual(['', 'ActiveState=active', 'NRestarts=0', 'StatusText=served', 'Type=notify', 'UnitFileState=enabled']);
  expect((await web.run(['ps', '--format', '{{.Names}}'], { env: session })).stdout).toContain(web.name);
  expect(starts()).toBe(1);

  systemctl('kill', '--signal=KILL', unit);
  await until(
    () => (propertiesOf(unit, 'NRestarts', 'ActiveState').includes('NRestarts=1') ? true : undefined),
    PATIENCE,
  );
  await until(() => (propertiesOf(unit, 'ActiveState') === 'ActiveState=active\n' ? true : undefined), PATIENCE);
  expect(starts()).toBe(2);

  systemctl('stop', unit);
  expect(propertiesOf(unit, 'ActiveState', 'Result').split('\n').toSorted()).toEqual([
    '',
    'ActiveState=inactive',
    'Result=success',
  ]);
  expect((await web.run(['ps', '--format', '{{.Names}}'], { env: session })).stdout).not.toContain(web.name);
  const path = propertiesOf(unit, 'FragmentPath').trim().slice('FragmentPath='.length);
  expect(existsSync(path)).toBe(true);
  expect(await web.run(['uninstall'], { env: session })).toMatchObject({
    status: 0,
    stdout: `${unit}\n`,
  });
  expect(existsSync(path)).toBe(false);
  expect(propertiesOf(unit, 'LoadState')).toBe('LoadState=not-found\n');
});

test('a container is started by the first who connects to its sockets, and again by the next', async () => {
  const serve =
    'open(my $s, "+<&=", 3) or die $!; accept(my $c, $s) or die $!; syswrite($c, "$ENV{LISTEN_FDNAMES} $ENV{LISTEN_PID} $$")';
  const port = isRoot ? 8451 : 8452;
  const web = box({
    image: { host_tools: ['perl'] },
    socket_activation: true,
    command: ['perl', '-e', serve.replaceAll('$', '$$$$')],
  });
  const listen = ['--socket-property', `ListenStream=127.0.0.1:${port}`, '--socket-property', 'FileDescriptorName=web'];
  await install(web, ...listen);
  const ask = (): Promise<string> =>
    new Promise((resolve) => {
      const client = connect(port, '127.0.0.1');
      client.on('data', (text) => resolve(text.toString())).on('error', ({ message }) => resolve(message));
    });
  expect(propertiesOf(unitOf(web), 'ActiveState')).toBe('ActiveState=inactive\n');
  expect(await ask()).toBe('web 1 1');
  expect(await ask()).toBe('web 1 1');
  expect(propertiesOf(unitOf(web, 'socket'), 'Result')).toBe('Result=success\n');
  expect(await web.run(['uninstall'], { env: session })).toMatchObject({
    status: 0,
  });
  expect(await ask()).toContain('ECONNREFUSED');
});

test('root reads the log in systemd’s journal again, and a user who may not is told what to do', async () => {
  const web = box({
    logging: { driver: 'journald' },
    command: script('echo out; echo err >&2; printf end'),
  });
  expect(await web.run(['up', '--detach'], { env: session })).toMatchObject({
    status: 0,
  });
  const logs = await until(async () => {
    const ended = await web.run(['logs', web.name], { env: session });
    return ended.status !== 0 || ended.stdout.endsWith('end') ? ended : undefined;
  }, PATIENCE);
  // The journal of this machine is kept in memory, where a user has no journal of his own.
  if (isRoot)
    expect(logs).toMatchObject({
      status: 0,
      stdout: 'out\nend',
      stderr: 'err\n',
    });
  else
    expect(logs).toMatchObject({
      status: 125,
      stdout: '',
      stderr: expect.stringContaining('Storage=persistent'),
    });
});
