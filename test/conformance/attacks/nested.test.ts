/**
 * Attacks from namespaces within namespaces: a container that may make some, and has every capability in them, gains
 * nothing over the host; nor do files of the kernel that name a program which the host would run.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, symlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { INSTALLED, PROGRAM, run } from '../../support/boxctl.ts';
import { hasBusybox } from '../../support/busybox.ts';
import { callerOptions, callers, self, sh, specFolder } from '../../support/container.ts';
import { changedRootfs } from '../../support/rootfs.ts';
import { isRoot } from '../../support/user.ts';
import { makeCanary } from './canary.ts';

/** What the host runs, or does, when something is written there. */
const KERNEL_FILES = [
  '/proc/sys/kernel/core_pattern',
  '/proc/sys/kernel/modprobe',
  '/proc/sys/kernel/hotplug',
  '/proc/sys/kernel/panic_on_oops',
  '/proc/sys/vm/overcommit_memory',
  '/proc/sys/fs/file-max',
  '/sys/kernel/uevent_helper',
  '/sys/kernel/mm/transparent_hugepage/enabled',
].filter((path) => existsSync(path));

const kernelState = (): readonly string[] => KERNEL_FILES.map((path) => readFileSync(path, 'utf8'));

/**
 * Writes to each of the files, as they are and by another mount of their file systems, and says where that went well.
 * Then everything that could be the host's is looked for in what could be mounted.
 */
const SCRIPT = `
try() {
  for f in ${KERNEL_FILES.join(' ')}; do
    g=$1\${f#$2}
    [ "$g" != "$1$f" ] && { echo '|/bin/evil' >$g; } 2>/dev/null && echo "$3 wrote $g"
  done
}
try /proc /proc "$1"
try /sys /sys "$1"
echo b 2>/dev/null >/proc/sysrq-trigger && echo "$1 wrote sysrq-trigger"
mkdir -p /tmp/p /tmp/s
mount -t proc proc /tmp/p 2>/dev/null && echo "$1 mounted proc"
mount -t sysfs sysfs /tmp/s 2>/dev/null && echo "$1 mounted sysfs"
try /tmp/p /proc "$1"
try /tmp/s /sys "$1"
umount /proc/sys 2>/dev/null && try /proc /proc "$1 umounted"
mount -o remount,rw /proc/sys 2>/dev/null && try /proc /proc "$1 remounted"
mount -o remount,rw /sys 2>/dev/null && try /sys /sys "$1 remounted"
for d in /dev/vda /dev/sda /dev/mem /dev/kmsg; do [ -e $d ] && echo "$1 has $d"; done
mknod /tmp/d b 254 0 2>/dev/null && head -c 1 /tmp/d >/dev/null 2>&1 && echo "$1 read a disk"
mknod /tmp/m c 1 1 2>/dev/null && head -c 1 /tmp/m >/dev/null 2>&1 && echo "$1 read the memory"
dmesg >/dev/null 2>&1 && echo "$1 read the log"
cat /proc/*/environ /tmp/p/*/environ 2>/dev/null | grep -q CANARY_OF_THE_HOST && echo "$1 read the environment of the host"
ls -d /proc/*/root/work /tmp/p/*/root/work 2>/dev/null
:
`;

/** The same again, from one, two and three user namespaces further in, each with every other kind of its own. */
const NESTED = [
  'cat >/tmp/script',
  'sh /tmp/script outermost',
  'unshare -U -r -m -p -f -n -i -u sh /tmp/script nested',
  'unshare -U -r -m sh /tmp/script with-its-processes',
  'unshare -U -r unshare -U -r -m -p -f sh /tmp/script twice',
  'echo done',
].join('\n');

const COMBINATIONS: readonly (readonly string[])[] = [[], ['pid'], ['net'], ['pid', 'net', 'ipc', 'cgroup']];

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test.each(COMBINATIONS.map((kinds) => ({ kinds })))(
    'user namespaces in a container give no rights over the host, with the host’s: $kinds',
    async ({ kinds }) => {
      const before = kernelState();
      const spec = {
        cap_add: ['ALL'],
        seccomp: 'unconfined',
        tmpfs: ['/tmp'],
        namespaces: Object.fromEntries(kinds.map((kind) => [kind, 'host'])),
        command: ['sh', '-c', NESTED],
      };
      const { stdout, stderr } = await run(
        [process.execPath, PROGRAM, 'up', '--allow', 'all'],
        callerOptions(caller, specFolder(spec, caller), { stdin: SCRIPT, env: { CANARY_OF_THE_HOST: '1' } }),
      );
      const found = stdout.trim().split('\n');
      expect({ last: found.at(-1), stderr }).toMatchObject({ last: 'done' });
      // They were there, and had their rights.
      if (kinds.length === 0) expect(found).toContain('nested mounted proc');
      // A proc of its own processes, with the host's parameters closed, is what every namespace of processes may have.
      expect(found.slice(0, -1).filter((line) => !/^[\w-]+ mounted (?:proc|sysfs)$/u.test(line))).toEqual([]);
      expect(kernelState()).toEqual(before);
    },
  );

  test('by default a container cannot make user namespaces or mounts', async () => {
    const { stdout } = await run(
      [process.execPath, PROGRAM, 'up'],
      callerOptions(caller, specFolder({ command: ['sh', '-c', NESTED], tmpfs: ['/tmp'] }, caller), { stdin: SCRIPT }),
    );
    expect(stdout).toBe('done\n');
  });

  test('the limit of open files is the caller’s, not the one that Node raises it to', async () => {
    const folder = specFolder({ command: ['sh', '-c', 'ulimit -Sn; ulimit -Hn; ulimit -Sc'] }, caller);
    const script = 'ulimit -Sn 321; ulimit -Hn 4000; ulimit -Sc 0; "$@"; :';
    const command = ['sh', '-c', script, 'sh', process.execPath, PROGRAM, 'up'];
    const { stdout } = await run(command, callerOptions(caller, folder));
    expect(stdout).toBe('321\n4000\n0\n');
  });

  test('with /dev/null of the image a link and standard input from /dev/null, nothing is written through it (CVE-2025-31133)', async () => {
    const canary = makeCanary();
    const before = canary.state();
    const image = changedRootfs((tree) => {
      rmSync(join(tree, 'dev/null'), { force: true });
      symlinkSync(join(canary.folder, 'passwd'), join(tree, 'dev/null'));
    });
    const device = statSync('/dev/null');
    const folder = specFolder(
      { image, masked_paths: ['/etc/passwd'], command: ['sh', '-c', 'echo out; cat /etc/passwd; echo x >/dev/null'] },
      caller,
    );
    const script = 'exec "$@" </dev/null 2>/dev/null | cat';
    const command = ['sh', '-c', script, 'sh', process.execPath, PROGRAM, 'up'];
    expect((await run(command, callerOptions(caller, folder))).stdout).toBe('out\n');
    expect(canary.state()).toBe(before);
    expect(statSync('/dev/null')).toMatchObject({ uid: device.uid, gid: device.gid, mode: device.mode });
  });
});

describe.skipIf(!isRoot || !hasBusybox)(
  'with the host’s user namespace, as root (needs root and busybox-static)',
  () => {
    test.each(COMBINATIONS.map((kinds) => ({ kinds })))(
      'the usual capabilities and the filter keep the host’s parameters closed, with the host’s: $kinds',
      async ({ kinds }) => {
        const before = kernelState();
        const namespaces = Object.fromEntries(['user', ...kinds].map((kind) => [kind, 'host']));
        const spec = { namespaces, tmpfs: ['/tmp'], command: ['sh', '-c', NESTED] };
        const { stdout } = await run(
          [process.execPath, PROGRAM, 'up', '--allow', 'all'],
          callerOptions(self, specFolder(spec), { stdin: SCRIPT, env: { CANARY_OF_THE_HOST: '1' } }),
        );
        expect(stdout).toBe('done\n');
        expect(kernelState()).toEqual(before);
      },
    );

    test('a process that dies by a signal cannot start a program on the host as its core dump’s handler', async () => {
      const before = kernelState();
      const script = 'echo "|/bin/sh -c evil" >/proc/sys/kernel/core_pattern; ulimit -c unlimited; kill -SEGV $$; :';
      await sh(`sh -c '${script.replaceAll("'", "'\\''")}' 2>/dev/null; echo survived`, { cap_add: ['ALL'] });
      expect(kernelState()).toEqual(before);
    });
  },
);

test('no program of boxctl is set-user-id or has file capabilities', () => {
  const files = readdirSync(join(INSTALLED, 'dist'), { recursive: true, encoding: 'utf8' });
  expect(files.length).toBeGreaterThan(5);
  for (const name of files) {
    expect({ name, gained: statSync(join(INSTALLED, 'dist', name)).mode & 0o6000 }).toEqual({ name, gained: 0 });
  }
  expect(execFileSync('/sbin/getcap', ['-r', join(INSTALLED, 'dist')], { encoding: 'utf8' })).toBe('');
});
