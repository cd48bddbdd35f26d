/** Attacks on a command that joins a hostile container (`boxctl exec`). */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { attempts, putAttacker } from '../../support/attack.ts';
import { box, until, type Box } from '../../support/background.ts';
import { INSTALLED, PROGRAM, run } from '../../support/boxctl.ts';
import { hasBusybox } from '../../support/busybox.ts';
import { callerOptions, callers, hasLimits } from '../../support/container.ts';
import { startHunter } from '../../support/hunter.ts';
import { makeCanary } from './canary.ts';

const PROGRAMS = readdirSync(join(INSTALLED, 'dist/native')).map((name) => join(INSTALLED, 'dist/native', name));
const checksums = (): readonly string[] =>
  PROGRAMS.map((path) => createHash('sha256').update(readFileSync(path)).digest('hex'));

/** By the library, since a process of Node's for each would take most of the time: a few at once, many one after the other. */
const EXEC_MANY = `
  import { execInContainer, findContainer, gatherHostFacts } from '${INSTALLED}/dist/index.js';
  const [name, rounds, ...command] = process.argv.slice(1);
  const host = gatherHostFacts(process.env);
  const container = findContainer(host, name);
  let left = Number(rounds);
  let failed = 0;
  const some = async () => {
    while (left-- > 0) {
      const { status } = await execInContainer(host, container, { command }).catch((error) => ({ status: error.message }));
      if (status !== 0) failed = failed || String(status);
    }
  };
  await Promise.all([some(), some(), some()]);
  console.log('failed', failed);
`;

function execMany({ name, folder, caller }: Box, rounds: number, command: readonly string[]) {
  const node = [process.execPath, '--input-type=module', '-e', EXEC_MANY, name, String(rounds), ...command];
  return run(['sh', '-c', 'exec "$@" </dev/null 2>&1 | cat', 'sh', ...node], callerOptions(caller, folder));
}

const sh = (web: Box, script: string) => web.run(['exec', web.name, 'sh', '-c', script]);

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static and cc)', (caller) => {
  test.each([
    [{}, ['/bin/busybox']],
    [{ init: true }, ['/bin/busybox', '/memfd:boxctl-init (deleted)']],
  ])(
    'a command that joins, with %j, gives nothing away before it is the command (CVE-2016-9962, CVE-2019-5736)',
    { timeout: 120_000 },
    async (keys, programs) => {
      const before = checksums();
      const hostile = await startHunter(caller, keys);
      const rounds = 200;
      expect((await execMany(hostile, rounds, ['sleep', '0.02'])).stdout).toMatch(/(?:^|\n)failed 0\n$/u);
      const { lines, seen } = await hostile.caught();
      const caught = lines.slice(1);
      expect(seen).toBeGreaterThan(rounds / 3);
      const allowed = new Set(['cwd /', 'root /', 'fd /dev/null', 'fd pipe:', 'overwritten /bin/busybox']);
      for (const program of programs) for (const what of ['exe', 'mem', 'ptrace']) allowed.add(`${what} ${program}`);
      // The shell that asks for the end, and what it looks at.
      for (const file of ['/tmp/input', '/tmp/caught']) allowed.add(`fd ${file}`);
      expect(caught.filter((line) => !allowed.has(line))).toEqual([]);
      expect(checksums()).toEqual(before);
    },
  );

  test('a container whose programs, links and folders are traps catches nothing of the host', async () => {
    const hostile = box({ command: ['sh', '-c', 'exec sleep 100'], tmpfs: ['/tmp'] }, caller);
    await hostile.run(['up', '-d']);
    // A program that is run by whatever runs it, and folders that lead out.
    await sh(
      hostile,
      'printf "#!/proc/self/exe\\n" >/evil; chmod 755 /evil; ln -s /proc/1/cwd/../.. /out; ln -s / /loop',
    );
    const before = checksums();
    expect((await hostile.run(['exec', hostile.name, '/evil'])).status).not.toBe(0);
    for (const folder of ['/out', '/loop/loop/out', '/proc/1/root/..', '/proc/self/cwd', '/../../..']) {
      const { status, stdout } = await hostile.run(['exec', '-w', folder, hostile.name, 'ls']);
      expect(stdout).not.toContain('boxctl');
      if (status === 0) expect(stdout).toBe((await hostile.run(['exec', hostile.name, 'ls'])).stdout);
    }
    expect(checksums()).toEqual(before);
  });

  test('another file system over /dev/pts is not taken for the terminals of the container', async () => {
    const hostile = box({ cap_add: ['SYS_ADMIN'], seccomp: 'unconfined' }, caller);
    expect(await hostile.run(['up', '-d', '--allow', 'all'])).toMatchObject({ status: 0 });
    expect(await sh(hostile, 'mount -t tmpfs none /dev/pts && ln -s /dev/null /dev/pts/ptmx')).toMatchObject({
      status: 0,
    });
    const { status, stdout, stderr } = await hostile.run(['exec', '-t', hostile.name, 'true']);
    expect([status, stdout]).toEqual([125, '']);
    expect(stderr).toContain('EXDEV');
  });

  test(
    'a descriptor that boxctl has inherited is not there, and is no way out (CVE-2024-21626)',
    { timeout: 120_000 },
    async () => {
      const canary = makeCanary();
      const hostile = box({ command: ['sh', '-c', 'exec sleep 100'] }, caller);
      await hostile.run(['up', '-d']);
      const inherited = (...words: readonly string[]) =>
        run(
          [
            'sh',
            '-c',
            `exec 7<${canary.folder} 9<${canary.folder}/passwd; exec "$@"`,
            'sh',
            process.execPath,
            PROGRAM,
            ...words,
          ],
          callerOptions(caller, hostile.folder),
        );
      const listed = await inherited('exec', hostile.name, 'ls', '-l', '/proc/self/fd');
      expect(listed.status).toBe(0);
      expect(listed.stdout).not.toContain('canary');
      for (const fd of [7, 9]) {
        for (const folder of [
          `/proc/self/fd/${fd}`,
          `/proc/self/fd/${fd}/..`,
          `/proc/self/fd/../fd/${fd}`,
          `/dev/fd/${fd}`,
        ]) {
          const { status, stdout } = await inherited('exec', '-w', folder, hostile.name, 'ls');
          expect([folder, status, stdout]).toEqual([folder, 125, '']);
        }
      }
    },
  );

  test(
    'accounts that a container has rewritten make nobody root, and nothing of the host is read for them',
    { timeout: 120_000 },
    async () => {
      const canary = makeCanary();
      const hostile = box({ command: ['sh', '-c', 'exec sleep 100'], user: '0' }, caller);
      await hostile.run(['up', '-d']);
      const as = async (user: string): Promise<string> => {
        const { status, stdout } = await hostile.run(['exec', '-u', user, hostile.name, 'id', '-u']);
        return status === 0 ? stdout.trim() : String(status);
      };
      // CVE-2016-3697, CVE-2026-30892, CVE-2024-40635.
      await sh(
        hostile,
        'printf "1:x:0:0::/:/bin/sh\\n+1:x:0:0::/:/bin/sh\\n4294967296:x:0:0::/:/bin/sh\\nwrap:x:4294967296:0::/:/\\nnegative:x:-1:0::/:/\\nnone:x::0::/:/\\n" >/etc/passwd',
      );
      const small = caller.keys['uid_map'] === undefined;
      expect(await as('1')).toBe(small ? '1' : '125');
      for (const user of [
        '+1',
        '0x0',
        '1:',
        '',
        ':',
        'a:b',
        '4294967296',
        '4294967295',
        '-1',
        'wrap',
        'negative',
        'none',
        '00',
      ]) {
        expect([user, await as(user)]).toEqual([user, '125']);
      }
      await sh(
        hostile,
        `rm /etc/passwd /etc/group; ln -s /proc/1/root${canary.folder}/passwd /etc/passwd; ln -s ${canary.folder}/passwd /etc/group`,
      );
      expect(await as('canary')).toBe('125');
      await sh(hostile, 'rm /etc/passwd /etc/group; mkfifo /etc/passwd /etc/group');
      expect(await as('nobody')).toBe('125');
      await sh(hostile, 'rm /etc/passwd; dd if=/dev/zero of=/etc/passwd bs=1 count=1 seek=10G 2>/dev/null');
      expect(await as('nobody')).toBe('125');
    },
  );

  test('a command has no inheritable or ambient capability (CVE-2022-29162), and cannot type into a terminal', async () => {
    const hostile = box({ command: ['sh', '-c', 'exec sleep 100'], volumes: ['./:/w:ro'] }, caller);
    putAttacker('privileges', hostile.folder, 'attack');
    await hostile.run(['up', '-d']);
    const { stdout } = await sh(hostile, 'grep -E "^Cap(Inh|Amb)" /proc/self/status');
    expect(stdout).toBe('CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n');
    for (const option of ['', '-t ']) {
      const command = `${process.execPath} ${PROGRAM} exec ${option}${hostile.name} /w/attack inject`;
      const found = attempts(
        await run(['script', '-qec', command, '/dev/null'], callerOptions(caller, hostile.folder)),
      );
      expect(Object.keys(found)).toHaveLength(5);
      expect([option, Object.values(found).filter((errno) => errno === 0)]).toEqual([option, []]);
    }
  });

  test('a terminal that is flooded by the command and by others in the container keeps nobody waiting', async () => {
    const hostile = box({ command: ['sh', '-c', 'exec sleep 1000'] }, caller);
    await hostile.run(['up', '-d']);
    // From now on, every terminal of the container is written to by others, without end.
    await sh(
      hostile,
      '(while :; do for t in /dev/pts/[0-9]*; do [ -c "$t" ] && timeout 1 sh -c "yes flood >$t" & done; sleep 0.2; done) >/dev/null 2>&1 </dev/null &',
    );
    const flooded = await hostile.run(['exec', '-t', hostile.name, 'sh', '-c', 'sleep 0.5; echo done; exit 7']);
    expect(flooded.status).toBe(7);
    expect(flooded.stdout).toContain('done');
    // Without end, and with nobody who reads it, it ends when boxctl is asked to.
    let asked = false;
    const endless = await hostile.run(['exec', '-t', hostile.name, 'yes'], {
      onStart: (child) => {
        child.stdout?.pause();
        setTimeout(() => (asked = child.kill('SIGTERM')), 1500);
        setTimeout(() => child.stdout?.resume(), 2500);
      },
    });
    expect([asked, endless.status === 0]).toEqual([true, false]);
    expect(await sh(hostile, 'echo here')).toMatchObject({ status: 0, stdout: 'here\n' });
  });

  test.each([{}, { init: true }])(
    'a container whose first process is stopped keeps nobody out, with %j',
    async (keys) => {
      const hostile = box({ command: ['sh', '-c', 'while :; do sleep 0.1; done'], ...keys }, caller);
      await hostile.run(['up', '-d']);
      const { pid = 0 } = (await hostile.listed()) ?? {};
      process.kill(pid, 'SIGSTOP');
      expect(await sh(hostile, 'echo here')).toMatchObject({ status: 0, stdout: 'here\n' });
    },
  );
});

describe.skipIf(!hasBusybox || !hasLimits)('a container that has as many processes as it may have', () => {
  test('lets no command in, and the caller is told at once', async () => {
    const hostile = box({
      command: ['sh', '-c', 'for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done; wait'],
      limits: { pids: 10 },
    });
    expect(await hostile.run(['up', '-d'])).toMatchObject({ status: 0 });
    const { pid = 0 } = (await hostile.listed()) ?? {};
    const children = (): readonly string[] =>
      readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
    await until(() => children().length === 9 || undefined);
    const { status, stdout, stderr } = await sh(hostile, 'echo here');
    expect([status, stdout]).toEqual([125, '']);
    expect(stderr).toContain('EAGAIN');
  });
});
