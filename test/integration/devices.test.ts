/** Devices of the host, as far as the file names them, and no others. */
import { statSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Ended } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callers, self, sh } from '../support/container.ts';
import { isRoot } from '../support/user.ts';

const ALLOWED = { args: ['up', '--allow', 'device', '--allow', 'namespace=user', '--allow', 'bind=/dev'] };
const HOST_USER = { namespaces: { user: 'host' } };

function lines(ended: Ended): readonly string[] {
  if (ended.status !== 0) throw new Error(ended.stderr);
  return ended.stdout.trimEnd().split('\n');
}

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test('one that is named is there, in a folder of /dev if need be, and works', async () => {
    const spec = { devices: ['/dev/zero:/dev/mine', { source: '/dev/full', target: '/dev/a/b/full' }] };
    const script = 'head -c 3 /dev/mine | wc -c; echo x 2>&1 >/dev/a/b/full; ls /dev';
    const found = lines(await sh(script, spec, caller, ALLOWED));
    expect(found.slice(0, 2)).toEqual(['3', expect.stringContaining('No space left on device')]);
    expect(found.slice(2)).toEqual(
      'a fd full mine mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero'.split(' '),
    );
  });

  test('has to be allowed by the person who runs it', async () => {
    const { status, stderr } = await sh('true', { devices: ['/dev/zero:/dev/mine'] }, caller);
    expect(status).toBe(125);
    expect(stderr).toContain('--allow device=/dev/zero');
  });

  test('no other can be made, or reached through a mount', async () => {
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

  test('what is read-only is that, or an error', async () => {
    const script =
      'head -c 1 /dev/mine | wc -c; (echo >/dev/mine) 2>/dev/null || chmod 666 /dev/mine 2>/dev/null || echo no';
    const ended = await sh(script, { devices: ['/dev/zero:/dev/mine:r'] }, caller, ALLOWED);
    if (caller === self && isRoot) expect(lines(ended)).toEqual(['1', 'no']);
    else expect(ended.stderr).toContain('only root can hold back permissions of a device');
  });
});

describe.skipIf(!isRoot || !hasBusybox)('without a user namespace (needs root and busybox-static)', () => {
  test('the nodes are the container’s own, and none that it makes works', async () => {
    const { mode, uid } = statSync('/dev/null');
    const script = `chmod 600 /dev/null; chown 5:5 /dev/null; head -c 2 /dev/zero | wc -c; echo x >/dev/null && echo written
      for at in /dev /tmp / /dev/shm; do mknod $at/node c 1 5 && head -c 1 $at/node 2>/dev/null | wc -c; done`;
    const found = lines(await sh(script, { tmpfs: ['/tmp'], ...HOST_USER }, self, ALLOWED));
    expect(found).toEqual(['2', 'written', '0', '0', '0', '0']);
    expect(statSync('/dev/null')).toMatchObject({ mode, uid });
  });

  test('permissions cannot be held back, and that is told', async () => {
    const spec = { devices: ['/dev/zero:/dev/mine:r'], ...HOST_USER };
    const { stderr } = await sh('true', spec, self, ALLOWED);
    expect(stderr).toContain('the container’s root can read and write any device it is given');
  });
});
