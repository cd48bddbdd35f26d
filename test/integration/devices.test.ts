/** Devices of the host, as far as the file names them, and no others: by what can be reached, and by the cgroup. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PRIVILEGED_SENTENCE } from '../../src/spec/privileges.ts';
import { PROGRAM, run, type Ended } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, self, sh, specFolder, state } from '../support/container.ts';
import { isRoot } from '../support/user.ts';

const ALLOWED = { args: ['up', '--allow', 'device', '--allow', 'namespace=user', '--allow', 'bind=/dev'] };
const HOST_USER = { namespaces: { user: 'host' } };

function lines(ended: Ended): readonly string[] {
  if (ended.status !== 0) throw new Error(ended.stderr);
  return ended.stdout.trimEnd().split('\n');
}

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test('a device of the file is in /dev, also in a folder of it, and can be read and written', async () => {
    const spec = { devices: ['/dev/zero:/dev/mine', { source: '/dev/full', target: '/dev/a/b/full' }] };
    const script = 'head -c 3 /dev/mine | wc -c; echo x 2>&1 >/dev/a/b/full; ls /dev';
    const found = lines(await sh(script, spec, caller, ALLOWED));
    expect(found.slice(0, 2)).toEqual(['3', expect.stringContaining('No space left on device')]);
    expect(found.slice(2)).toEqual(
      'a fd full mine mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero'.split(' '),
    );
  });

  test('a device has to be allowed by the person who runs the file', async () => {
    const { status, stderr } = await sh('true', { devices: ['/dev/zero:/dev/mine'] }, caller);
    expect(status).toBe(125);
    expect(stderr).toContain('--allow device=/dev/zero');
  });

  test('no other device can be made, or opened through a mount', async () => {
    const script = `for at in /dev /tmp / /bound /dev/shm; do
        mknod $at/node c 1 5 2>/dev/null && head -c 1 $at/node 2>/dev/null | wc -c
      done; head -c 1 /all/zero 2>/dev/null | wc -c`;
    const { stdout } = await sh(script, { tmpfs: ['/tmp'], volumes: ['./:/bound', '/dev:/all'] }, caller, ALLOWED);
    expect(
      stdout
        .trim()
        .split('\n')
        .filter((line) => line !== '0'),
    ).toEqual([]);
  });

  test.each([
    ['/dev/zero:/zero', 'devices work in /dev alone; found "/zero"'],
    ['/dev/zero:/dev/null', "/dev/null is the container's own"],
    ['/dev/zero:/dev/pts/7', "/dev/pts is the container's own"],
    ['/dev/tty*', 'each device is named by itself; found "/dev/tty*"'],
    ['/dev/pts', '"/dev/pts" is no device'],
    ['/dev/zero:/dev/mine:rx', 'permissions are letters of r, w and m; found "rx"'],
    ['/dev/nothing', 'the device "/dev/nothing" cannot be used: there is no such file'],
  ])('%s is an error at its line', async (device, message) => {
    const { status, stderr } = await sh('true', { devices: [device] }, caller, ALLOWED);
    expect(stderr).toMatch(/^container\.yaml:\d+:5: error: /u);
    expect(stderr).toContain(message);
    expect(status).toBe(125);
  });

  test('a device that the file gives read-only cannot be written, or is an error', async () => {
    const script =
      'head -c 1 /dev/mine | wc -c; (echo >/dev/mine) 2>/dev/null || chmod 666 /dev/mine 2>/dev/null || echo no';
    const ended = await sh(script, { devices: ['/dev/zero:/dev/mine:r'] }, caller, ALLOWED);
    if (caller === self && isRoot) expect(lines(ended)).toEqual(['1', 'no']);
    else expect(ended.stderr).toContain('only root can hold back permissions of a device');
  });
});

describe.skipIf(!isRoot || !hasBusybox)('without a user namespace (needs root and busybox-static)', () => {
  test('the device nodes are the container’s own, and nodes that it makes cannot be opened', async () => {
    const { mode, uid } = statSync('/dev/null');
    const script = `chmod 600 /dev/null; chown 5:5 /dev/null; head -c 2 /dev/zero | wc -c; echo x >/dev/null && echo written
      for at in /dev /tmp / /dev/shm; do mknod $at/node c 1 5 && head -c 1 $at/node 2>/dev/null | wc -c; done`;
    const found = lines(await sh(script, { tmpfs: ['/tmp'], ...HOST_USER }, self, ALLOWED));
    expect(found).toEqual(['2', 'written', '0', '0', '0', '0']);
    expect(statSync('/dev/null')).toMatchObject({ mode, uid });
  });

  test('permissions cannot be held back of a privileged container, and that is told', async () => {
    const spec = { devices: ['/dev/zero:/dev/mine:r'], privileged: PRIVILEGED_SENTENCE, ...HOST_USER };
    const { stderr } = await sh('true', spec, self, ALLOWED);
    expect(stderr).toContain('the container’s root can read and write any device it is given: a privileged container');
  });
});

const V1 = '/sys/fs/cgroup/devices';
/** Where the rules for devices are made: as this host is, and without the hierarchy of version 1, where it has one. */
const LAYOUTS: readonly (readonly [title: string, before: readonly string[]])[] = [
  ['as this host is', []],
  ...(existsSync(V1) && readFileSync('/proc/self/mountinfo', 'utf8').includes(' - cgroup2 ')
    ? [['by a program', ['unshare', '-m', 'sh', '-c', `umount ${V1} && exec "$@"`, 'sh']] as const]
    : []),
];
const ROOT_OF_HOST = { cap_add: ['SYS_ADMIN', 'SYSLOG'], seccomp: 'unconfined', tmpfs: ['/tmp'] };

/** Opens each of these, and says which could be. */
const OPEN = `reads() { for f in "$@"; do ( : <$f ) 2>/dev/null && echo "reads $f"; done; :; }
  writes() { for f in "$@"; do ( : >>$f ) 2>/dev/null && echo "writes $f"; done; :; }`;

describe.skipIf(!isRoot || !hasBusybox).each(LAYOUTS)(
  'rules of the cgroup, %s (need root and busybox-static)',
  (_, before) => {
    const start = (
      script: string,
      spec: Readonly<Record<string, unknown>>,
      more: (folder: string) => void = () => {},
    ) => {
      const command = ['sh', '-c', `${OPEN}\n${script}`.replaceAll('$', '$$$$')];
      const folder = specFolder({ ...ROOT_OF_HOST, command, ...spec });
      more(folder);
      return run([...before, process.execPath, PROGRAM, 'up', '--allow', 'all'], callerOptions(self, folder));
    };

    test('root of the host finds no other device in file systems that it mounts, and makes none', async () => {
      const stays = state(self);
      const script = `mkdir /tmp/new /tmp/dev; mount -t tmpfs none /tmp/new; mount -t devtmpfs none /tmp/dev
      mknod /tmp/new/zero c 1 5 && echo made zero; mknod /tmp/new/loop b 7 0 2>/dev/null || echo refused
      mknod /tmp/new/mem c 1 1 2>/dev/null || echo refused; mknod /tmp/new/tty c 136 0 2>/dev/null || echo refused
      reads /tmp/new/zero $(find /tmp/dev -type b -o -type c)`;
      const found = lines(await start(script, HOST_USER));
      expect(found.slice(0, 5)).toEqual(['made zero', 'refused', 'refused', 'refused', 'reads /tmp/new/zero']);
      // Without a terminal there is no tty to open.
      const own = /^reads \/tmp\/dev\/(?:full|null|ptmx|random|tty|urandom|zero)$/u;
      expect(found.slice(5).filter((line) => !own.test(line))).toEqual([]);
      expect(found).toContain('reads /tmp/dev/full');
      expect(state(self)).toEqual(stays);
    });

    test('root in a container cannot remove the device rules by mounting its cgroups', async () => {
      const script = `mkdir /tmp/cg /tmp/dev; mount -t devtmpfs none /tmp/dev
      mount -t cgroup -o devices none /tmp/cg && echo a >/tmp/cg/devices.allow
      echo 'c 1:11 rwm' >/tmp/cg/devices.allow; writes /tmp/dev/kmsg; writes /tmp/dev/null`;
      const { stdout } = await start(script, HOST_USER);
      expect(stdout).toBe('writes /tmp/dev/null\n');
    });

    test('a device that is given has its permissions, also for root of the host', async () => {
      const script = `reads /dev/mine; writes /dev/mine; mknod /tmp/again c 1 11 2>/dev/null || echo refused; ls -l /dev/mine | cut -c1`;
      const found = async (device: string) => lines(await start(script, { devices: [device], ...HOST_USER }));
      expect(await found('/dev/kmsg:/dev/mine:r')).toEqual(['reads /dev/mine', 'refused', 'c']);
      expect(await found('/dev/kmsg:/dev/mine:w')).toEqual(['writes /dev/mine', 'refused', 'c']);
      expect(await found('/dev/kmsg:/dev/mine')).toEqual(['reads /dev/mine', 'writes /dev/mine', 'c']);
    });

    test('in a user namespace of its own, a bind that is mounted again shows no device, unless it is privileged', async () => {
      const script = 'mount -o remount,bind,dev /bound; writes /bound/null; writes /bound/kmsg';
      const makeNodes = (folder: string): void => {
        for (const [name, minor] of [
          ['null', '3'],
          ['kmsg', '11'],
        ] as const) {
          execFileSync('mknod', [join(folder, name), 'c', '1', minor]);
          chmodSync(join(folder, name), 0o666);
        }
      };
      const volumes = ['./:/bound'];
      expect((await start(script, { volumes }, makeNodes)).stdout).toBe('writes /bound/null\n');
      const privileged = { volumes, privileged: PRIVILEGED_SENTENCE, cap_add: [], seccomp: undefined };
      const both = 'writes /bound/null\nwrites /bound/kmsg\n';
      expect((await start(script, privileged, makeNodes)).stdout).toBe(both);
    });
  },
);
