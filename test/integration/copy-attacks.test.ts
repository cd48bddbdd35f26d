/** Attacks on `boxctl cp`: a container whose files are traps, while they are copied. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { hasCompiler, putAttacker } from '../support/attack.ts';
import { box, type Box } from '../support/background.ts';
import { INSTALLED, run } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, ownedFolder } from '../support/container.ts';
import { startHunter } from '../support/hunter.ts';
import { makeCanary } from '../conformance/attacks/canary.ts';

const sh = (web: Box, script: string) => web.run(['exec', web.name, 'sh', '-c', script]);

/** By the library, since a process of Node's for each would take most of the time. */
const COPY_MANY = `
  import { copyFrom, copyTo, gatherHostFacts } from '${INSTALLED}/dist/index.js';
  const [rounds, container, path, from, to] = process.argv.slice(1);
  const host = gatherHostFacts(process.env);
  const ends = new Map();
  for (let round = 0; round < Number(rounds); round++) {
    for (const [what, copy] of [
      ['in', () => copyTo(host, from, { container, path }, { cwd: '.' })],
      ['out', () => copyFrom(host, { container, path }, to + '/' + round, { cwd: '.' })],
    ]) {
      const end = await copy().then(() => 'done', (error) => error.code);
      ends.set(what + ' ' + end, (ends.get(what + ' ' + end) ?? 0) + 1);
    }
  }
  console.log(JSON.stringify([...ends]));
`;

describe.skipIf(!hasBusybox || !hasCompiler).each(callers)('as $title (needs busybox-static and cc)', (caller) => {
  test('links and dots of a container lead a copy nowhere but into the container (CVE-2018-15664)', async () => {
    const canary = makeCanary();
    chmodSync(canary.folder, 0o777);
    const before = canary.state();
    const hostile = box({ command: ['sh', '-c', 'exec sleep 1000'], tmpfs: ['/t'] }, caller);
    await hostile.run(['up', '-d']);
    await sh(
      hostile,
      `ln -s ${canary.folder} /out; ln -s ../../../../../../../..${canary.folder} /up; ln -s /proc/1/root/..${canary.folder} /proc1; ln -s /proc/self/cwd /cwd; ln -s loop /loop; mkdir /d; ln -s ${canary.folder}/passwd /d/passwd`,
    );
    writeFileSync(join(hostile.folder, 'evil'), 'evil\n');
    for (const path of ['/out', '/out/', '/up', '/out/etc', '/proc1', '/cwd', '/loop', `/../../..${canary.folder}`]) {
      await hostile.run(['cp', 'evil', `${hostile.name}:${path}/x`]);
      await hostile.run(['cp', 'evil', `${hostile.name}:${path}`]);
      expect((await hostile.run(['cp', `${hostile.name}:${path}/passwd`, 'got'])).status).not.toBe(0);
      expect(existsSync(join(hostile.folder, 'got'))).toBe(false);
    }
    expect((await hostile.run(['cp', '-L', `${hostile.name}:/d/passwd`, 'got'])).status).not.toBe(0);
    // What leads out is copied as a link, and nothing is written through it.
    expect(await hostile.run(['cp', `${hostile.name}:/d`, 'got'])).toMatchObject({ status: 0 });
    expect(lstatSync(join(hostile.folder, 'got/passwd')).isSymbolicLink()).toBe(true);
    await sh(hostile, 'rm /d/passwd; echo evil >/d/passwd');
    expect(await hostile.run(['cp', `${hostile.name}:/d/.`, 'got'])).toMatchObject({ status: 0 });
    expect(lstatSync(join(hostile.folder, 'got/passwd')).isSymbolicLink()).toBe(false);
    expect(canary.state()).toBe(before);
  });

  test(
    'names that a container swaps for links while they are copied lead nowhere else',
    { timeout: 180_000 },
    async () => {
      const canary = makeCanary();
      chmodSync(canary.folder, 0o777);
      const before = canary.state();
      const hostile = box(
        {
          command: [
            'sh',
            '-c',
            `mkdir -p /r/x/etc; echo own >/r/x/etc/secret; ln -s ${canary.folder} /r/evil; exec /w/swap /r/x /r/evil`,
          ],
          volumes: ['./:/w:ro'],
        },
        caller,
      );
      putAttacker('swap', hostile.folder);
      const source = ownedFolder(caller, 'source', hostile.folder);
      writeFileSync(join(source, 'put'), 'put\n');
      const target = ownedFolder(caller, 'target', hostile.folder);
      await hostile.run(['up', '-d']);
      const node = [process.execPath, '--input-type=module', '-e', COPY_MANY];
      const words = ['200', hostile.name, '/r/x/etc', join(source, '.'), target];
      const { stdout, stderr } = await run([...node, ...words], callerOptions(caller, hostile.folder));
      const ends = new Map(JSON.parse(stdout || stderr) as [string, number][]);
      // Both have been seen: the folder, and the link that leads to nothing inside.
      expect(ends.get('in done')).toBeGreaterThan(0);
      expect(ends.get('in E_COPY')).toBeGreaterThan(0);
      expect([...ends.keys()].toSorted()).toEqual(['in E_COPY', 'in done', 'out E_COPY', 'out done']);
      const got = execFileSync('sh', ['-c', 'cat */secret | sort -u'], { cwd: target, encoding: 'utf8' });
      expect(got).toBe('own\n');
      expect(canary.state()).toBe(before);
    },
  );

  test('libraries and programs of a container are not run by a copy (CVE-2019-14271)', async () => {
    const hostile = box({ command: ['sh', '-c', 'exec sleep 1000'], tmpfs: ['/t'] }, caller);
    await hostile.run(['up', '-d']);
    // Whatever runs or maps one of them would run this; and the names of all owners lead to a fifo that nobody writes to.
    await sh(
      hostile,
      'mkdir -p /lib64 /lib/x86_64-linux-gnu; for f in /lib64/ld-linux-x86-64.so.2 /lib/x86_64-linux-gnu/libnss_files.so.2 /lib/x86_64-linux-gnu/libc.so.6 /tar; do printf "#!/bin/sh\\necho run >/ran\\n" >$f; chmod 755 $f; done; rm -f /etc/nsswitch.conf /etc/passwd /etc/group; mkfifo /etc/nsswitch.conf /etc/passwd /etc/group',
    );
    writeFileSync(join(hostile.folder, 'in'), 'in\n');
    expect(await hostile.run(['cp', '-a', 'in', `${hostile.name}:/t`])).toMatchObject({ status: 0 });
    expect(await hostile.run(['cp', `${hostile.name}:/t/in`, 'out'])).toMatchObject({ status: 0 });
    expect((await sh(hostile, '[ -e /ran ] && echo ran')).stdout).toBe('');
  });

  test('a container does not see the process that copies, and nothing of the host is open in it', async () => {
    const hostile = await startHunter(caller);
    writeFileSync(join(hostile.folder, 'in'), 'x'.repeat(1 << 20));
    for (let round = 0; round < 5; round++) {
      await hostile.run(['cp', 'in', `${hostile.name}:/tmp/in`]);
      await hostile.run(['cp', `${hostile.name}:/bin`, `out-${round}`]);
    }
    // One that stays for a while is seen: the hunter does look.
    await sh(hostile, 'sleep 0.5');
    const { lines, seen } = await hostile.caught();
    expect(seen).toBeGreaterThan(0);
    expect(lines.filter((line) => /boxctl|memfd|target|in$/u.test(line))).toEqual([]);
  });

  test('a tar with names that lead out, links and set-id bits comes out as files of the caller’s', async () => {
    const hostile = box({ tmpfs: ['/t'] }, caller);
    await hostile.run(['up', '-d']);
    await sh(
      hostile,
      'mkdir /h; cd /h; echo x >suid; chmod 6755 suid; mkfifo fifo; ln -s /etc/passwd link; mkdir deep; ln -s .. deep/up',
    );
    expect(await hostile.run(['cp', `${hostile.name}:/h`, 'out'])).toMatchObject({ status: 0 });
    const out = join(hostile.folder, 'out');
    for (const name of readdirSync(out)) {
      const status = lstatSync(join(out, name));
      expect([name, status.uid, status.mode & 0o7000]).toEqual([name, caller.uid, 0]);
    }
    // Names that lead out of the folder that a tar is put into are refused.
    const bad = execFileSync('tar', ['-c', '-P', '--transform', 's,^,../../,', 'container.yaml'], {
      cwd: hostile.folder,
    });
    const { status, stderr } = await hostile.run(['cp', '-', `${hostile.name}:/t`], { stdin: bad });
    expect([status, stderr.includes('leads outside')]).toEqual([125, true]);
  });
});

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test('a link that a container has put at the place that is copied to is replaced, and not written through', async () => {
    const canary = makeCanary();
    chmodSync(canary.folder, 0o777);
    chmodSync(join(canary.folder, 'passwd'), 0o666);
    if (caller.user !== undefined) chownSync(join(canary.folder, 'passwd'), caller.user.uid, caller.user.gid);
    const before = readFileSync(join(canary.folder, 'passwd'), 'utf8');
    const hostile = box({ volumes: ['./shared:/s'] }, caller);
    const shared = join(hostile.folder, 'shared');
    mkdirSync(shared);
    chmodSync(shared, 0o777);
    if (caller.user !== undefined) chownSync(shared, caller.user.uid, caller.user.gid);
    await hostile.run(['up', '-d']);
    await sh(hostile, `echo evil >/report; ln -s ${canary.folder}/passwd /s/report`);
    expect(await hostile.run(['cp', `${hostile.name}:/report`, 'shared/report'])).toMatchObject({ status: 0 });
    expect(lstatSync(join(shared, 'report')).isFile()).toBe(true);
    expect(readFileSync(join(canary.folder, 'passwd'), 'utf8')).toBe(before);
  });
});
