/** What `up` does is what `plan` printed: the system calls under strace(1) are the plan's, in order, and no other. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { boxctl, PROGRAM, run } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, self, specFolder } from '../support/container.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot } from '../support/user.ts';

/** Calls that change something, those that no plan may hold among them. Writes are told from their opens below. */
const WATCHED = `
  mkdir mkdirat mknod mknodat symlink symlinkat link linkat rename renameat2 chown fchown fchownat chmod
  fchmod fchmodat unlink rmdir unlinkat openat2 mount umount2 open_tree move_mount mount_setattr fsopen
  fsconfig fsmount pivot_root chroot chdir fchdir clone3 unshare setns sethostname setdomainname setsid
  setgroups setuid setgid setresuid setresgid prctl capset seccomp umask keyctl socket ioctl execve
`
  .trim()
  .split(/\s+/u);

interface Traced {
  readonly pid: string;
  readonly name: string;
  readonly text: string;
}

function parse(trace: string): readonly Traced[] {
  return trace.split('\n').flatMap((line) => {
    const match = /^(\d+) +(\w+)\((.*)/u.exec(line);
    // To ask how much a pipe holds, and to try a path again, changes nothing; how often depends on others.
    const asks = / FIONREAD,|^\d+ +openat2\(.* = -1 EAGAIN /u.test(line);
    return match === null || asks ? [] : [{ pid: match[1] ?? '', name: match[2] ?? '', text: match[3] ?? '' }];
  });
}

interface PlannedCall {
  readonly name: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly returns?: string;
}
interface PlannedStep {
  readonly id: string;
  readonly side: 'host' | 'container';
  readonly dependent?: true;
  readonly call: PlannedCall;
  readonly undo: string | readonly PlannedCall[];
}

/** Of the places that the file below names, and of the container's own files, what the image lacks. */
const MISSING: Readonly<Record<string, readonly string[]>> = {
  '/here/src': ['mkdirat', 'mkdirat'],
  '/work': ['mkdirat'],
  '/etc/hosts': ['mknodat'],
  '/etc/hostname': ['mknodat'],
  '/etc/resolv.conf': ['mknodat'],
};

/** Of the folders in which it is looked for, the last. */
const PROGRAM_INSIDE = '/bin/true';

/**
 * To write or read a file by its name opens it first; a place is opened, and where that fails made name by name. Each stream
 * of this test is a socket, and becomes a pipe.
 */
function systemCalls({ name, args }: PlannedCall): readonly string[] {
  if (name === 'remove_cgroup') return ['unlinkat'];
  if (name === 'streams') return ['fchmod', 'fchmod', 'fchmod'];
  if (name === 'make_in_root') return ['openat2', ...(MISSING[String(args['pathname'])] ?? [])];
  if (name === 'readahead' && Array.isArray(args['pathname'])) {
    return args['pathname'].slice(0, args['pathname'].indexOf(PROGRAM_INSIDE) + 1).map(() => 'openat2');
  }
  return name === 'read' || (name === 'write' && args['pathname'] !== '') ? ['openat2'] : [name];
}

test.skipIf(!isRoot || !hasBusybox || !existsSync('/usr/bin/strace'))(
  'up makes the calls that plan shows, in that order, and no other that changes anything (needs root, busybox-static, strace)',
  async () => {
    const spec = {
      command: ['true'],
      hostname: 'traced',
      limits: { memory: '64MiB', pids: 20 },
      tmpfs: ['/tmp'],
      volumes: ['./:/here/src:ro'],
      working_dir: '/work',
      user: 'app',
      read_only: true,
    };
    const folder = specFolder(spec);
    await boxctl(['up'], callerOptions(self, folder));
    const planned = await boxctl(['plan', '--json'], callerOptions(self, folder));
    const { steps } = JSON.parse(planned.stdout) as { steps: readonly PlannedStep[] };

    const file = join(tempFolder(), 'trace');
    const strace = [
      'strace',
      '-f',
      '-qq',
      '-s',
      '300',
      '-e',
      `trace=${WATCHED.join(',')}`,
      '-e',
      'signal=none',
      '-o',
      file,
    ];
    const traced = await run([...strace, process.execPath, PROGRAM, 'up', '--json'], callerOptions(self, folder));
    expect(traced.status).toBe(0);
    const events = traced.stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { event: string; id?: string; outcome?: string });
    const skipped = new Set(events.flatMap(({ id, outcome }) => (outcome === 'skipped' ? [id] : [])));
    // What this kernel does not have was tried; steps that would need its descriptor were not.
    const missing = new Set<unknown>();
    const leftOut = new Set<string>();
    for (const [index, { id, side, dependent, call }] of steps.entries()) {
      if (!skipped.has(id)) continue;
      const before = steps.slice(0, index).findLast((step) => step.side === side)?.id ?? '';
      if (dependent === true && skipped.has(before)) leftOut.add(id);
      if (Object.values(call.args).some((value) => missing.has(value))) leftOut.add(id);
      if (call.returns !== undefined) missing.add(call.returns);
    }
    // The launcher asks what the restart of a container puts back. That changes nothing.
    const calls = parse(readFileSync(file, 'utf8')).filter(({ text }) => !text.includes('PR_GET_DUMPABLE'));
    const by = (pid: string | undefined): readonly string[] =>
      calls.filter((entry) => entry.pid === pid).map(({ name }) => name);
    const expected = (side: PlannedStep['side']): readonly string[] =>
      steps
        .filter((step) => step.side === side && !leftOut.has(step.id))
        .flatMap(({ call }) => systemCalls(call))
        .filter((name) => WATCHED.includes(name));

    const inside = by(calls.find(({ name }) => name === 'pivot_root')?.pid);
    // One step tries the folders of PATH in turn; what follows is the command's own doing.
    const command = inside.indexOf('execve');
    expect(inside.slice(0, command + 1)).toEqual(expected('container'));

    const undo = steps
      .toReversed()
      .flatMap((step) => (typeof step.undo === 'string' ? [] : step.undo))
      .flatMap(systemCalls)
      .filter((name) => WATCHED.includes(name));
    const launcher = by(calls.find(({ name, text }) => name === 'clone3' && text.includes('CLONE_NEWPID'))?.pid);
    // The launcher adopts what outlives the container, and hides from it.
    expect(launcher).toEqual(['prctl', ...expected('host'), 'prctl', ...undo]);
  },
);
