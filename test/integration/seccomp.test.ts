/** Filters of a file's own, none, and what a run is seen to need. */
import { existsSync, lstatSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { boxctl, run, type Ended, type RunOptions } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, self, specFolder, type Caller } from '../support/container.ts';
import { CONTAINER_NAME } from '../support/host-state.ts';
import { tempFolder } from '../support/temp.ts';

interface Ran extends Ended {
  readonly folder: string;
}

async function ran(
  folder: string,
  caller: Caller,
  args: readonly string[] = [],
  options: RunOptions = {},
): Promise<Ran> {
  return { folder, ...(await boxctl(['up', '--allow', 'all', ...args], callerOptions(caller, folder, options))) };
}

/** A container with a profile, or with a word, and a script. */
function withFilter(
  seccomp: unknown,
  script: string,
  caller: Caller,
  rest: Readonly<Record<string, unknown>> = {},
  options: RunOptions = {},
): Promise<Ran> {
  const isProfile = typeof seccomp === 'object' && seccomp !== null && 'defaultAction' in seccomp;
  const command = ['sh', '-c', script.replaceAll('$', '$$$$')];
  const folder = specFolder({ seccomp: isProfile ? './profile.json' : seccomp, command, ...rest }, caller);
  if (isProfile) writeFileSync(join(folder, 'profile.json'), JSON.stringify(seccomp));
  return ran(folder, caller, [], options);
}

const denying = (names: readonly string[], rule: object): object => ({
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [{ names, ...rule }],
});

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test('a call that a profile refuses fails with the profile’s errno', async () => {
    const profile = denying(['mkdir', 'mkdirat'], { action: 'SCMP_ACT_ERRNO', errnoRet: 122 });
    const { stderr, stdout, status } = await withFilter(
      profile,
      'mkdir /tmp/x; grep ^Seccomp: /proc/self/status',
      caller,
    );
    expect([stdout, status]).toEqual(['Seccomp:\t2\n', 0]);
    expect(stderr).toContain('Disk quota exceeded');
  });

  test('a profile with SCMP_ACT_KILL_PROCESS ends the command', async () => {
    const profile = denying(['mkdir', 'mkdirat'], { action: 'SCMP_ACT_KILL_PROCESS' });
    expect((await withFilter(profile, 'exec mkdir /tmp/x', caller)).status).toBe(128 + 31);
  });

  test('a killed command is told with the call from the kernel’s log, and the line of the profile', async () => {
    const profile = denying(['mkdir', 'mkdirat'], { action: 'SCMP_ACT_KILL_THREAD' });
    const folder = specFolder({ seccomp: './profile.json', command: ['mkdir', '/tmp/x'] }, caller);
    writeFileSync(join(folder, 'profile.json'), JSON.stringify(profile));
    const { stderr } = await ran(folder, caller, ['--json']);
    const events = stderr.trim().split('\n');
    const event = (name: string): Record<string, unknown> =>
      events.map((line) => JSON.parse(line) as Record<string, unknown>).find((one) => one['event'] === name) ?? {};
    // What root reads now, boxctl may have read then, if its caller may.
    const log = await run(['dmesg'], caller.user === undefined ? {} : { user: caller.user });
    const found = new RegExp(` pid=${Number(event('started')['pid'])} comm="mkdir" .* sig=31 `, 'u').test(log.stdout);
    const lines = readFileSync(join(folder, 'container.yaml'), 'utf8').split('\n');
    const line = lines.findIndex((text) => text.startsWith('seccomp:')) + 1;
    const told = { reason: 'system_call', signal: 'SIGSYS', at: { file: 'container.yaml', line, column: 10 } };
    expect(event('exited')).toMatchObject(told);
    expect(event('exited')['system_call']).toEqual(found ? expect.stringMatching(/^mkdir(?:at)?$/u) : undefined);
    const made = found ? /made the system call mkdir(?:at)?, which its/u : /made a system call that its/u;
    expect(event('exited')['message']).toMatch(made);
  });

  test('the profile does not apply to the last calls of the launcher', async () => {
    const names = ['sendmsg', 'recvmsg', 'sendto', 'recvfrom', 'setsid', 'dup3', 'capset', 'seccomp'];
    const profile = denying(names, { action: 'SCMP_ACT_KILL_PROCESS' });
    const { status, stdout, stderr } = await withFilter(profile, 'echo went well', caller);
    expect([stdout, stderr, status]).toEqual(['went well\n', '', 0]);
  });

  test('seccomp: unconfined starts the command without a filter', async () => {
    const { stdout } = await withFilter(
      'unconfined',
      'grep ^Seccomp: /proc/self/status; unshare -U true && echo more',
      caller,
    );
    expect(stdout).toBe('Seccomp:\t0\nmore\n');
  });

  test('seccomp: log refuses nothing, and names the calls that the default would have refused', async () => {
    const script = 'unshare -U true; unshare -U true; mkdir /tmp/x; (exit 4)';
    const { stderr, status } = await withFilter('log', script, caller);
    expect(status).toBe(4);
    expect(stderr).toContain('the default filter would have refused unshare (2 times)\n');
    const nothing = await withFilter('log', 'mkdir /tmp/x', caller);
    expect(nothing.stderr).toContain('the default filter would have refused nothing');
  });

  test('a learned profile allows the same command, and no other calls', async () => {
    const learned = await withFilter(
      'learn',
      'mkdir /tmp/x; unshare -U true; ls /; echo $((6 * 7))',
      caller,
      {},
      { once: 'it learns what is new' },
    );
    expect(learned.status).toBe(0);
    const file = join(learned.folder, `${CONTAINER_NAME}.seccomp.json`);
    expect(learned.stderr).toMatch(
      /the profile that the run needed is .*test-\w+\.seccomp\.json: (\d+) system calls, \1 of them new/u,
    );
    const { syscalls } = JSON.parse(readFileSync(file, 'utf8')) as { syscalls: { names: string[] }[] };
    const names = syscalls.flatMap((rule) => rule.names);
    expect(names).toEqual(expect.arrayContaining(['execve', 'unshare', 'getdents64']));
    expect(names).not.toContain('symlink');
    const use = async (script: string): Promise<Ended> => {
      const command = ['sh', '-c', script.replaceAll('$', '$$$$')];
      const folder = specFolder({ seccomp: './test.seccomp.json', command }, caller);
      writeFileSync(join(folder, 'test.seccomp.json'), readFileSync(file));
      return ran(folder, caller);
    };
    const same = await use('mkdir /tmp/x; unshare -U true; ls /; echo $((6 * 7))');
    expect([same.status, same.stderr, same.stdout]).toEqual([0, '', learned.stdout]);
    const other = await use('ln -s x /tmp/y');
    expect(other.stderr).toContain('Operation not permitted');
  });

  test('a profile is learned with init and a terminal as well, and a second run adds nothing', async () => {
    const keys = { seccomp: { learn: './l.json' }, command: ['sh', '-c', 'ls /'], init: true, tty: true };
    const folder = specFolder(keys, caller);
    const first = await ran(folder, caller);
    expect(first.status).toBe(0);
    const second = await ran(folder, caller);
    expect(second.stderr).toContain(' 0 of them new');
  });
});

describe.skipIf(!hasBusybox)('the profile that is learned (needs busybox-static)', () => {
  test('is not written through a link', async () => {
    const folder = specFolder({ seccomp: { learn: './l.json' }, command: ['true'] });
    const canary = join(specFolder({}), 'container.yaml');
    const before = readFileSync(canary, 'utf8');
    symlinkSync(canary, join(folder, 'l.json'));
    const { status, stderr } = await ran(folder, self);
    expect([status, readFileSync(canary, 'utf8')]).toEqual([125, before]);
    expect(stderr).toContain('the profile cannot be written');
    expect(lstatSync(join(folder, 'l.json')).isSymbolicLink()).toBe(true);
  });

  test('is not written to where a link leads that replaced its folder while the container ran', async () => {
    const above = tempFolder({ open: true });
    const outside = tempFolder();
    const folder = join(above, 'project');
    const spec = { seccomp: { learn: './l.json' }, command: ['sh', '-c', 'echo ready; read line'], stdin_open: true };
    renameSync(specFolder(spec), folder);
    let swapped: (text: string) => void = () => undefined;
    const stdin = new Promise<string>((resolve) => {
      swapped = resolve;
    });
    const args = ['up', '--allow', 'all', join(folder, 'container.yaml')];
    const { status, stderr } = await boxctl(args, {
      ...callerOptions(self, above),
      stdin,
      once: 'its folder is moved away',
      onStart: (child) =>
        child.stdout?.once('data', () => {
          renameSync(folder, join(above, 'moved'));
          symlinkSync(outside, folder);
          swapped('');
        }),
    });
    expect({ status, written: readdirSync(outside) }).toEqual({ status: 125, written: [] });
    expect(stderr).toContain('a symbolic link where none may be');
  });

  test.each(['../l.json', '/tmp/l.json', './sub/l.json', './l.txt'])('is not written to %s', async (learn) => {
    const { status, stderr } = await ran(specFolder({ seccomp: { learn }, command: ['true'] }), self);
    expect(status).toBe(125);
    expect(stderr).toContain('the profile is written beside this file');
    expect(existsSync('/tmp/l.json')).toBe(false);
  });

  test('JSON lines have each call', async () => {
    const folder = specFolder({ seccomp: 'log', command: ['sh', '-c', 'unshare -U true'] });
    const { stderr } = await ran(folder, self, ['--json']);
    const events = stderr
      .trim()
      .split('\n')
      .map((line): unknown => JSON.parse(line));
    expect(events).toContainEqual({ event: 'syscall', name: 'unshare', count: 1 });
  });
});
