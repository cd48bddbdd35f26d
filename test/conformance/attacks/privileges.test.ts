/** Attacks on the host by calls that a container may not make, or that the kernel must not do for it. */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { attacker, attackFolder, attempts } from '../../support/attack.ts';
import { boxctl, PROGRAM, run, type Ended, type RunOptions } from '../../support/boxctl.ts';
import { hasBusybox } from '../../support/busybox.ts';
import { callerOptions, callers, type Caller } from '../../support/container.ts';
import { isRoot } from '../../support/user.ts';

const EPERM = 1;
const ENOTTY = 25;
const EBADF = 9;
const ENOSYS = 38;
const ENOKEY = 126;
const SIGSEGV = 11;

function attack(
  what: string,
  caller: Caller,
  spec: Readonly<Record<string, unknown>> = {},
  options?: RunOptions,
): Promise<Ended> {
  const folder = attackFolder(what, spec, caller);
  return boxctl(['up', '--allow', 'all'], callerOptions(caller, folder, options));
}

/** Everything at once that a file can ask for, in the container's own user namespace. */
const EVERYTHING = {
  cap_add: ['ALL'],
  seccomp: 'unconfined',
  no_new_privileges: false,
  masked_paths: ['!/proc/kcore', '!/proc/keys', '!/sys/firmware'],
  readonly_paths: ['!/proc/sys', '!/proc/sysrq-trigger'],
};

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test.each([
    ['with the usual capabilities', {}],
    ['with all capabilities', { cap_add: ['ALL'] }],
    [
      'as another user, who holds all of them',
      { cap_add: ['ALL'], ...('uid_map' in caller.keys ? {} : { user: '1' }) },
    ],
    ['with set-user-id programs', { no_new_privileges: false }],
  ])('rare calls are refused before the kernel looks at them, %s', async (_title, spec) => {
    const all = attempts(await attack('calls', caller, spec));
    const { clone3, x32_getpid, read_adjtimex, read_clock_adjtime, ...others } = all;
    expect(clone3).toBe(ENOSYS);
    expect([undefined, ENOSYS]).toContain(x32_getpid);
    expect({ read_adjtimex, read_clock_adjtime }).toEqual({ read_adjtimex: 0, read_clock_adjtime: 0 });
    const of32 = Object.entries(others).filter(([name]) => name.startsWith('i386_'));
    const of64 = Object.entries(others).filter(([name]) => !name.startsWith('i386_'));
    expect(of64.filter(([, errno]) => errno !== EPERM)).toEqual([]);
    expect(of64.length).toBeGreaterThan(60);
    // A kernel without 32-bit programs ends the process that tries to be one.
    const none = of32.length > 0 && of32.every(([, errno]) => errno === 128 + SIGSEGV);
    const wrong = of32.filter(([name, errno]) => errno !== (name === 'i386_getpid' ? 0 : EPERM));
    expect(none ? [] : wrong).toEqual([]);
  });

  test('the kernel’s log, clock, modules and memory stay the host’s, whatever a container has in its own namespace', async () => {
    const files = ['/proc/sys/kernel/core_pattern', '/proc/sys/kernel/printk'];
    const before = files.map((file) => readFileSync(file, 'utf8'));
    const clock = Date.now();
    const all = attempts(await attack('host', caller, EVERYTHING));
    expect(Object.entries(all).filter(([, errno]) => errno === 0)).toEqual([]);
    expect(Object.keys(all).length).toBeGreaterThan(15);
    expect(files.map((file) => readFileSync(file, 'utf8'))).toEqual(before);
    expect(Math.abs(Date.now() - clock)).toBeLessThan(60_000);
  });

  test.each([
    ['under the default filter', {}, [EPERM]],
    // It has no descriptor of the terminal, only pipes.
    ['without a filter and with all capabilities', { seccomp: 'unconfined', cap_add: ['ALL'] }, [ENOTTY, EBADF]],
  ])(
    'nothing is typed into the caller’s terminal %s (CVE-2017-5226, CVE-2019-10063)',
    async (_title, spec, refused) => {
      const folder = attackFolder('inject', spec, caller);
      const command = `${process.execPath} ${PROGRAM} up --quiet --allow all`;
      const found = attempts(await run(['script', '-qec', command, '/dev/null'], callerOptions(caller, folder)));
      expect(Object.keys(found)).toHaveLength(5);
      const { tioclinux, tioclinux_high, ...tiocsti } = found;
      expect(Object.values(tiocsti).every((errno) => refused.includes(errno))).toBe(true);
      // On a pseudo-terminal the kernel knows no TIOCLINUX.
      expect([tioclinux, tioclinux_high].every((errno) => errno === EPERM || (errno ?? 0) > 0)).toBe(true);
    },
  );

  test('the caller’s session keyring stays outside', async () => {
    const folder = attackFolder('keys', { ...EVERYTHING }, caller);
    const command = [attacker(), 'with-key', process.execPath, PROGRAM, 'up', '--allow', 'all'];
    const found = attempts(await run(command, callerOptions(caller, folder)));
    const { search_session, ...others } = found;
    expect(search_session).toBe(ENOKEY);
    expect(Object.values(others)).not.toContain(0);
  });

  test('with the host’s network and processes, its abstract sockets and its processes are out of reach (CVE-2020-15257)', async () => {
    const name = `boxctl-test-${process.pid}-${caller.uid}`;
    let victim: ChildProcess | undefined;
    const { served } = await new Promise<{ readonly served: Promise<Ended> }>((resolve) => {
      const ended = run([attacker(), 'serve', name], {
        ...(caller.user === undefined ? {} : { user: caller.user }),
        onStart: (child) => {
          victim = child;
          child.stdout?.once('data', () => resolve({ served: ended }));
        },
      });
    });
    const reach = (more: object, options?: RunOptions): Promise<Ended> =>
      attack(
        'reach',
        caller,
        {
          namespaces: { net: 'host', pid: 'host', ...(isRoot && caller.user === undefined ? { user: 'host' } : {}) },
          command: ['/w/attack', 'reach', name, String(victim?.pid)],
          ...more,
        },
        options,
      );
    const kept = attempts(await reach({}));
    const gained = attempts(await reach({ no_new_privileges: false }));
    const open = attempts(await reach({ landlock: false }, { once: 'it ends the victim' }));
    victim?.kill('SIGKILL');
    await served;
    expect(kept).toEqual({ abstract_socket: EPERM, signal: EPERM });
    expect(gained).toEqual(kept);
    expect(open).toEqual({ abstract_socket: 0, signal: 0 });
  });

  test('blocked and ignored signals, and the umask, are not inherited', async () => {
    const spec = { command: ['sh', '-c', 'grep -E "^(SigBlk|SigIgn):" /proc/self/status; umask'] };
    const folder = attackFolder('', spec, caller);
    const command = [attacker(), 'odd', process.execPath, PROGRAM, 'up'];
    const { stdout } = await run(command, callerOptions(caller, folder));
    expect(stdout).toBe('SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0022\n');
  });
});
