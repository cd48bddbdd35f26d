/** Sockets that boxctl was started with (sd_listen_fds(3)), as systemd starts services, and what becomes of them. */
import { spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { box, until } from '../support/background.ts';
import { PROGRAM, run, type Ended, type RunOptions } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, self, specFolder, type Caller } from '../support/container.ts';
import { FRONT } from '../support/front.ts';

/** Makes a TCP socket and a datagram socket as descriptors 3 and 4, says the port, and becomes the rest of its words. */
const ACTIVATOR = `
use Socket; $^F = 255; open(my $null, '<', '/dev/null');
my ($fds, $names) = splice(@ARGV, 0, 2);
socket(my $tcp, PF_INET, SOCK_STREAM, 0) or die; bind($tcp, pack_sockaddr_in(0, INADDR_LOOPBACK)) or die; listen($tcp, 5);
socketpair(my $one, my $other, PF_UNIX, SOCK_DGRAM, 0) or die;
my ($port) = sockaddr_in(getsockname($tcp));
use POSIX (); POSIX::dup2(fileno($tcp), 63); POSIX::dup2(fileno($one), 62); POSIX::dup2(fileno($null), 61);
POSIX::close($_) for 3 .. 60; POSIX::dup2(63, 3); POSIX::dup2(62, 4); POSIX::dup2(61, 5); POSIX::close($_) for 61 .. 63;
print STDERR "port $port\\n";
$ENV{LISTEN_PID} = $ENV{OTHER_PID} // $$; $ENV{LISTEN_FDS} = $fds; $ENV{LISTEN_FDNAMES} = $names if $names ne '-';
exec @ARGV; die`;

const SHOWS =
  'echo "$LISTEN_FDS $LISTEN_PID $$ $LISTEN_FDNAMES"; (ls -l /proc/$$/fd >/fds); sed -n "s/.* \\([0-9]*\\) -> \\([a-z]*\\):.*/\\1 \\2/p" /fds';
const inShell = (script: string): readonly string[] => ['sh', '-c', script.replaceAll('$', '$$$$')];
/** Accepts one connection from descriptor 3. */
const SERVES = [
  'perl',
  '-e',
  'open(my $s, "+<&=", 3) or die $!; accept(my $c, $s) or die $!; syswrite($c, "from $ENV{LISTEN_PID} $$"); print "served\n"'.replaceAll(
    '$',
    '$$$$',
  ),
];

interface Activated {
  readonly fds?: string;
  readonly names?: string;
  readonly words?: readonly string[];
  readonly program?: readonly string[];
  readonly options?: RunOptions;
}

const DEFAULT_WORDS = ['up', '--allow', 'sockets'];
const BY_NODE = [process.execPath, PROGRAM];

function activate(folder: string, caller: Caller, activated: Activated = {}): Promise<Ended> {
  const { fds = '2', names = 'web:log', words = DEFAULT_WORDS, program = BY_NODE, options = {} } = activated;
  const command = ['perl', '-e', ACTIVATOR, fds, names, ...program, ...words];
  return run(command, callerOptions(caller, folder, options));
}

const shown = (pid: number | string): string => `2 ${pid} ${pid} web:log\n3 socket\n4 socket\n`;
/** What it says of its own pipes is of no interest here. */
const told = ({ stdout }: Ended): string => stdout.replaceAll(/^[012] pipe\n/gmu, '');

describe.skipIf(!hasBusybox).each(callers)('of $title (needs busybox-static)', (caller) => {
  test('go to the command whose file asks for them, with its own pid, its names, and nothing else', async () => {
    const folder = specFolder({ socket_activation: true, command: inShell(SHOWS) }, caller);
    expect(told(await activate(folder, caller))).toBe(shown(1));
  });

  test('are in the hands of the command alone where it is not process 1, and take the place of what the file says', async () => {
    const environment = { LISTEN_PID: '77', LISTEN_FDS: '9' };
    const script = `${SHOWS}; ls -l /proc/1/fd | grep -c socket`;
    const folder = specFolder({ socket_activation: true, init: true, environment, command: inShell(script) }, caller);
    expect(told(await activate(folder, caller))).toBe(`${shown(2)}0\n`);
  });

  test('answer, in a container that has no network', async () => {
    const folder = specFolder({ socket_activation: true, image: { host_tools: ['perl'] }, command: SERVES }, caller);
    let answer: Promise<string> | undefined;
    const ended = await activate(folder, caller, {
      options: {
        onStart: (child) =>
          child.stderr?.on('data', (data: Buffer) => {
            const port = /^port (\d+)$/mu.exec(data.toString())?.[1];
            if (port === undefined) return;
            answer = new Promise((resolve, reject) => {
              connect(Number(port), '127.0.0.1')
                .on('data', (text) => resolve(text.toString()))
                .on('error', reject);
            });
          }),
      },
    });
    expect(ended).toMatchObject({ status: 0, stdout: 'served\n' });
    expect(await answer).toBe('from 1 1');
  });

  test('are passed where secrets are given, too', async () => {
    const spec = {
      socket_activation: true,
      secrets: { a: { content: 'x' } },
      command: inShell(`${SHOWS}; cat /run/secrets/a`),
    };
    expect(told(await activate(specFolder(spec, caller), caller))).toBe(`${shown(1)}x`);
  });

  test('stay with a container in the background, also when its launcher starts it again', async () => {
    const web = box(
      { socket_activation: true, command: inShell(`${SHOWS}; sleep 100`), stop_grace_period: '0s' },
      caller,
    );
    const started = await activate(web.folder, caller, { words: ['up', '-d', '--allow', 'sockets'] });
    expect(started).toMatchObject({ status: 0 });
    const logged = async (count: number): Promise<string> =>
      until(async () => {
        const ended = await web.run(['logs', web.name]);
        return ended.stdout.split('4 socket').length > count ? told(ended) : undefined;
      });
    expect(await logged(1)).toBe(shown(1));
    expect(await web.run(['restart', web.name])).toMatchObject({ status: 0 });
    expect(await logged(2)).toBe(shown(1) + shown(1));
    const other = await web.run([
      'exec',
      web.name,
      'sh',
      '-c',
      'echo "[$LISTEN_FDS]"; ls -l /proc/$$/fd | grep -c socket',
    ]);
    expect(other.stdout).toBe('[]\n0\n');
  });
});

describe.skipIf(!hasBusybox)('sockets (needs busybox-static)', () => {
  const asks = { socket_activation: true, command: inShell(SHOWS) };

  test('need the word of the person who starts the container', async () => {
    const { status, stderr } = await activate(specFolder(asks), self, { words: ['up'] });
    expect(status).toBe(125);
    expect(stderr).toMatch(/container\.yaml:\d+:20: error: not allowed: the container gets the sockets/u);
    expect(stderr).toContain('--allow sockets');
  });

  test('do not go to a command whose file does not ask, nor to one for whose boxctl they are not meant', async () => {
    const silent = specFolder({ command: inShell(SHOWS) });
    expect(told(await activate(silent, self))).toBe('  1 \n');
    const ended = await activate(specFolder(asks), self, { options: { env: { OTHER_PID: '1' } } });
    expect(told(ended)).toBe('  1 \n');
    expect(ended.stderr).toMatch(/warning: the sockets of LISTEN_FDS are for the process 1, which is not boxctl/u);
    expect(told(await run([...BY_NODE, ...DEFAULT_WORDS], callerOptions(self, specFolder(asks))))).toBe('  1 \n');
  });

  test.each([
    ['x', '-', 'LISTEN_FDS is no number of sockets'],
    ['33', '-', 'boxctl was started with 33 sockets, and passes 32 on at most'],
    ['3', '-', 'descriptor 5 of the 3 that LISTEN_FDS promises is no socket'],
    ['2', 'a', 'LISTEN_FDNAMES are not the names of 2 sockets'],
    ['2', 'a:b\nX=y', 'LISTEN_FDNAMES are not the names of 2 sockets'],
  ])(
    'that are not what LISTEN_FDS=%s and LISTEN_FDNAMES=%j say are an error at its line, and nothing is started',
    async (fds, names, message) => {
      const ended = await activate(specFolder(asks), self, { fds, names });
      expect({ status: ended.status, stdout: ended.stdout }).toEqual({ status: 125, stdout: '' });
      expect(ended.stderr).toMatch(/container\.yaml:\d+:20: error: /u);
      expect(ended.stderr).toContain(message);
    },
  );

  test('without names have none', async () => {
    expect(told(await activate(specFolder(asks), self, { names: '-' }))).toBe('2 1 1 \n3 socket\n4 socket\n');
  });

  test('are passed by the front, before and after a plan of the file was kept', async () => {
    const folder = specFolder(asks);
    const plain = (): Promise<Ended> => run([FRONT, ...DEFAULT_WORDS, '--quiet'], callerOptions(self, folder));
    const words = [...DEFAULT_WORDS, '--quiet'];
    for (let round = 0; round < 2; round++) {
      expect(told(await activate(folder, self, { program: [FRONT], words }))).toBe(shown(1));
      expect(told(await plain())).toBe('  1 \n');
    }
  });

  test('of a unit are those that its options name, and go with it', async () => {
    const web = box(asks);
    const config = join(web.folder, 'config');
    const env = { XDG_CONFIG_HOME: config };
    const install = (...more: readonly string[]): Promise<Ended> => web.run(['install', '--user', ...more], { env });
    const installed = await install(
      '--socket-property',
      'ListenStream=%t/web.sock',
      '--socket-property',
      'SocketMode=0600',
    );
    const folder = join(config, 'systemd/user');
    const [service, socket] = ['service', 'socket'].map((kind) => join(folder, `boxctl-${web.name}.${kind}`));
    expect(installed).toMatchObject({ status: 0, stdout: `${service}\n${socket}\n` });
    expect(installed.stderr).toContain(`systemctl --user enable --now boxctl-${web.name}.socket`);
    const verify = ['verify', '--user', `${service}`, `${socket}`];
    const options = { env: { ...process.env, XDG_RUNTIME_DIR: web.folder }, encoding: 'utf8' } as const;
    const { error, stderr } = spawnSync('systemd-analyze', verify, options);
    if (error === undefined) expect(stderr.split('\n').filter((line) => line.includes(web.name))).toEqual([]);
    // Without them, none are left.
    const again = await install();
    expect(again).toMatchObject({ status: 0, stdout: `${service}\n` });
    expect(again.stderr).toContain('the file asks for sockets, and the unit has none');
    await install('--socket-property', 'ListenStream=80');
    expect(await web.run(['uninstall', '--user'], { env })).toMatchObject({ status: 0 });
    expect((await web.run(['uninstall', '--user'], { env })).stderr).toContain('there is no unit');
  });

  test.each([
    [asks, ['ListenStream'], 'is no NAME=VALUE'],
    [asks, ['ListenStream=1\n[Service]'], 'is no NAME=VALUE'],
    [asks, ['ExecStartPre=/bin/sh'], '--socket-property ExecStartPre is none of those that make sockets'],
    [asks, ['ListenStream=1', 'Accept=yes'], 'would start a container for each connection'],
    [asks, ['SocketMode=0600'], 'no --socket-property says where the sockets listen'],
    [{}, ['ListenStream=1'], 'the file does not ask for sockets'],
  ])('are not written of a file with %j and %j', async (keys, properties, message) => {
    const web = box(keys);
    const words = properties.flatMap((property) => ['--socket-property', property]);
    const env = { XDG_CONFIG_HOME: join(web.folder, 'config') };
    const { status, stderr } = await web.run(['install', '--user', ...words], { env });
    expect(status).toBe(125);
    expect(stderr).toContain(message);
  });
});
