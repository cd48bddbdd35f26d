/** Descriptors 0, 1 and 2 of a command without a terminal of its own: what they are, and what arrives through them. */
import { spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { boxctl, PROGRAM, run, type Ended } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, self, sh, specFolder, type Caller } from '../support/container.ts';
import { isRoot } from '../support/user.ts';

/** `boxctl up` in a command line of the host's shell, where `BOXCTL` is it. The spec's command is a script. */
function shell(
  line: string,
  script: string,
  spec: Readonly<Record<string, unknown>>,
  caller: Caller,
  prepare: (folder: string) => void = () => undefined,
): Promise<Ended> {
  const folder = specFolder({ command: ['sh', '-c', script.replaceAll('$', '$$$$')], ...spec }, caller);
  prepare(folder);
  const up = `${process.execPath} ${PROGRAM} up --quiet`;
  return run(['sh', '-c', line.replaceAll('BOXCTL', up)], callerOptions(caller, folder));
}

/** What images do that are made to log: each stream is opened by its name in /proc. */
const BY_NAME =
  'echo out >/dev/stdout; echo err >/dev/stderr; echo one >>/proc/self/fd/1; echo two >/proc/self/fd/2; cat /dev/stdin';

const USERS = isRoot ? [{}, { user: '1000:1000' }, { user: '7' }] : [{}];

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  const alone = Object.keys(caller.keys).length > 0;
  const users = alone ? [{}] : caller.user === undefined ? USERS : [{}, { user: '1000:1000' }];

  test.each(users)('streams can be opened by their names where they are sockets, with %o', async (keys) => {
    const { stdout, stderr, status } = await sh(BY_NAME, keys, caller, { stdin: 'in\n' });
    expect({ stdout, stderr, status }).toEqual({ stdout: 'out\none\nin\n', stderr: 'err\ntwo\n', status: 0 });
  });

  test.each(users)('streams can be opened by their names where they are pipes, with %o', async (keys) => {
    const line = '{ printf "in\\n" | BOXCTL 2>&1 >&3 | sed "s/^/2: /" >&2; } 3>&1 | cat';
    const { stdout, stderr } = await shell(line, BY_NAME, keys, caller);
    expect({ stdout, stderr }).toEqual({ stdout: 'out\none\nin\n', stderr: '2: err\n2: two\n' });
  });

  test.each(users)(
    'streams can be opened by their names where they are files that are closed to others, with %o',
    async (keys) => {
      const own = caller.user ?? { uid: 0, gid: 0 };
      let folder = '';
      const line = 'umask 077; rm -f out err; BOXCTL <in >>out 2>>err; echo $?; cat out; cat err >&2';
      // With a shell that cuts files as it opens them, only what is appended is looked at.
      const script = 'echo one >>/dev/stdout; echo two >>/dev/stderr; cat /dev/stdin';
      const { stdout, stderr } = await shell(line, script, keys, caller, (made) => {
        folder = made;
        writeFileSync(join(folder, 'in'), 'in\n', { mode: 0o600 });
        if (caller.user !== undefined) chownSync(join(folder, 'in'), own.uid, own.gid);
      });
      expect({ stdout, stderr }).toEqual({ stdout: '0\none\nin\n', stderr: 'two\n' });
      for (const name of ['in', 'out', 'err']) {
        const { uid, gid, mode } = statSync(join(folder, name));
        expect({ uid, gid, mode: mode & 0o777 }).toEqual({ uid: caller.uid, gid: own.gid, mode: 0o600 });
      }
    },
  );

  test('a file that the command’s user can open itself is passed as it is', async () => {
    const script = 'readlink /proc/self/fd/0 | grep -q "pipe:" && echo pipe; read line; echo "$line"';
    const { stdout } = await shell('{ BOXCTL; cat; } <in', script, {}, caller, (folder) => {
      writeFileSync(join(folder, 'in'), 'one\ntwo\n');
      chmodSync(join(folder, 'in'), 0o644);
    });
    expect(stdout).toBe('one\ntwo\n');
  });

  test.each(['cat in |', 'umask 077; cp in own; exec <own;'])(
    'input that the command does not read stays for the next reader, with %s',
    async (source) => {
      const numbers = Array.from({ length: 100 }, (_, number) => `${number}\n`);
      const rest = async (script: string): Promise<string> => {
        const { stdout } = await shell(`${source} { BOXCTL; cat; }`, script, {}, caller, (folder) => {
          writeFileSync(join(folder, 'in'), numbers.join(''));
        });
        return stdout;
      };
      expect(await rest('true')).toBe(numbers.join(''));
      expect(await rest('read one; read two')).toBe(numbers.slice(2).join(''));
    },
  );

  test('5 MB arrive unchanged in both directions, and so does the end of the input', async () => {
    const bytes = randomBytes(5_000_000);
    const { stdout, stderr } = await shell(
      'BOXCTL <in 2>errors | cat >out; cmp in out && cmp in errors && echo same',
      'tee /dev/stderr',
      {},
      caller,
      (folder) => {
        writeFileSync(join(folder, 'in'), bytes, { mode: 0o600 });
        if (caller.user !== undefined) chownSync(join(folder, 'in'), caller.uid, caller.user.gid);
      },
    );
    expect({ stdout, stderr }).toEqual({ stdout: 'same\n', stderr: '' });
  });

  test('the last bytes arrive at a reader that starts a second later', async () => {
    const { stdout } = await shell(
      'BOXCTL | { sleep 1; wc -c; }',
      'head -c 65000 /dev/zero; head -c 65000 /dev/zero >&2',
      {},
      caller,
    );
    expect(stdout.trim()).toBe('65000');
  });

  test('lines of standard output and standard error that go to one pipe keep their order', async () => {
    const script = 'i=0; while [ $i -lt 500 ]; do echo "out $i"; echo "err $i" >&2; i=$((i+1)); done';
    const expected = Array.from({ length: 500 }, (_, number) => `out ${number}\nerr ${number}\n`).join('');
    const { stdout } = await shell('BOXCTL 2>&1 | cat', script, {}, caller);
    expect(stdout).toBe(expected);
  });

  test.each([
    { signal: 'SIGKILL', tty: true },
    { signal: 'SIGTERM', tty: true },
    { signal: 'SIGTERM', tty: false },
  ] as const)(
    'output that nobody reads does not keep the container from ending by $signal to boxctl, with a terminal: $tty',
    async ({ signal, tty }) => {
      const marker = `unread-${process.pid}-${signal}-${tty}`;
      const script = `: ${marker}; while :; do echo 0123456789; done`;
      const folder = specFolder({ command: ['sh', '-c', script], tty, stop_grace_period: '200ms' }, caller);
      let child: ChildProcess | undefined;
      const ended = boxctl(
        ['up', '--quiet'],
        callerOptions(caller, folder, {
          held: true,
          onStart: (started) => {
            child = started;
            started.stdout?.pause();
          },
        }),
      );
      const pids = (): string => spawnSync('pgrep', ['-f', `^sh -c : ${marker}`], { encoding: 'utf8' }).stdout;
      try {
        await expect.poll(() => child === undefined || pids() === '', { timeout: 15_000 }).toBe(false);
        // Until the pipe is full, and whoever writes to it would block.
        await new Promise((resolve) => setTimeout(resolve, 1000));
        child?.kill(signal);
        await expect.poll(pids, { timeout: 10_000 }).toBe('');
      } finally {
        child?.kill('SIGKILL');
        child?.stdout?.resume();
        await ended;
      }
    },
  );

  test('boxctl ends with the command although a child of it still holds the streams', async () => {
    const { stdout } = await shell('BOXCTL 2>&1 | cat', 'sleep 1000 & echo done', {}, caller);
    expect(stdout).toBe('done\n');
  });
});

describe.skipIf(!hasBusybox || !isRoot)('streams of root (need root and busybox-static)', () => {
  test('a folder as standard input is not passed: the command cannot reach what lies in it', async () => {
    const { stdout } = await shell(
      'BOXCTL <.',
      'ls /proc/self/fd/0/ >/dev/null 2>&1 && echo reached; cat | wc -c',
      {},
      self,
    );
    expect(stdout.trim()).toBe('0');
  });

  test('a write to standard output that fails with ENOSPC is reported', async () => {
    const line =
      'mkdir -p small && mount -t tmpfs -o size=64k none small && ' +
      '{ (umask 077; BOXCTL >small/out); echo $?; umount small; }';
    const script = "trap '' PIPE; head -c 1000000 /dev/zero; echo over >&2";
    const { stdout, stderr } = await run(
      ['unshare', '--mount', 'sh', '-c', line.replaceAll('BOXCTL', `${process.execPath} ${PROGRAM} up --quiet`)],
      callerOptions(self, specFolder({ command: ['sh', '-c', script] })),
    );
    expect(stdout).toBe('0\n');
    expect(stderr).toContain('standard output could not be written: ENOSPC');
  });

  test('the owner and the mode of the caller’s pipe stay as they are', async () => {
    const line =
      '{ stat -L -c "%u %g %a" /dev/stdout >before; BOXCTL; stat -L -c "%u %g %a" /dev/stdout >after; } | cat';
    let folder = '';
    await shell(line, 'echo x >/dev/stdout', { user: '1000' }, self, (made) => (folder = made));
    expect(readFileSync(join(folder, 'after'), 'utf8')).toBe(readFileSync(join(folder, 'before'), 'utf8'));
  });
});
