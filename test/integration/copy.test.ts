/** `boxctl cp`: files go into containers and come out of them, whether they run or have ended. */
import { execFileSync, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { box, until, type Box } from '../support/background.ts';
import { hasBusybox } from '../support/busybox.ts';
import { boxctl } from '../support/boxctl.ts';
import { callerOptions, callers, self, specFolder, type Caller } from '../support/container.ts';
import { isRoot } from '../support/user.ts';

const sh = (web: Box, script: string) => web.run(['exec', web.name, 'sh', '-c', script]);
const said = async (web: Box, script: string): Promise<string> => (await sh(web, script)).stdout;

/** A file of the caller's in the folder of the container's file. */
function put(web: Box, name: string, content = name, mode = 0o644): string {
  const path = join(web.folder, name);
  writeFileSync(path, content);
  chmodSync(path, mode);
  give(web.caller, path);
  return path;
}

function putFolder(web: Box, name: string): string {
  const path = join(web.folder, name);
  mkdirSync(path);
  give(web.caller, path);
  return path;
}

function give({ user }: Caller, path: string): void {
  if (user !== undefined) chownSync(path, user.uid, user.gid);
}

const FINE = { status: 0, stdout: '', stderr: '' };

describe.skipIf(!hasBusybox).each(callers)('files of a container, copied by $title', (caller) => {
  test.each(['runs', 'has ended'])('come out, and go in, while it %s', async (how) => {
    const web = box({}, caller);
    await web.run(['up', '-d']);
    await sh(web, 'mkdir -p /a/b; echo in >/a/b/f; ln -sf b/f /a/l; ln -sfn /a/b /abs; chmod 640 /a/b/f');
    if (how === 'has ended') await web.run(['stop', '-t', '0', web.name]);
    expect(await web.run(['cp', `${web.name}:/a`, 'out'])).toMatchObject(FINE);
    const out = join(web.folder, 'out');
    expect(readFileSync(join(out, 'b/f'), 'utf8')).toBe('in\n');
    expect(statSync(join(out, 'b/f'))).toMatchObject({ uid: caller.uid, mode: 0o100640 });
    expect(readlinkSync(join(out, 'l'))).toBe('b/f');
    expect(await web.run(['cp', `${web.name}:/abs/f`, 'f'])).toMatchObject(FINE);
    expect(readFileSync(join(web.folder, 'f'), 'utf8')).toBe('in\n');
    put(web, 'new', 'from outside\n', 0o755);
    expect(await web.run(['cp', 'new', `${web.name}:/abs`])).toMatchObject(FINE);
    expect(await web.run(['cp', 'out/.', `${web.name}:/copy`])).toMatchObject(FINE);
    const tar = await web.run(['cp', `${web.name}:/copy`, '-']);
    const list = execFileSync('tar', ['-t'], { input: tar.stdoutBytes, encoding: 'utf8' });
    expect(list.trim().split('\n').toSorted()).toEqual(['copy/', 'copy/b/', 'copy/b/f', 'copy/l']);
    expect(await web.run(['cp', `${web.name}:/a/b/new`, 'back'])).toMatchObject(FINE);
    expect(readFileSync(join(web.folder, 'back'), 'utf8')).toBe('from outside\n');
    if (how === 'runs') expect(await said(web, 'stat -c "%u %g %a" /a/b/new')).toBe('0 0 755\n');
  });

  test('come and go as a tar on standard output and standard input', async () => {
    const web = box({ tmpfs: ['/t'] }, caller);
    await web.run(['up', '-d']);
    const folder = putFolder(web, 'tree');
    writeFileSync(join(folder, 'x'), 'x\n');
    for (const compressed of ['', '-z']) {
      const input = execFileSync('tar', ['-c', ...(compressed === '' ? [] : [compressed]), '-C', folder, 'x']);
      expect(await web.run(['cp', '-', `${web.name}:/t`], { stdin: input })).toMatchObject(FINE);
      expect(await said(web, 'cat /t/x')).toBe('x\n');
      await sh(web, 'rm -f /t/x');
    }
    const whole = await web.run(['cp', `${web.name}:/etc/.`, '-']);
    expect(execFileSync('tar', ['-t'], { input: whole.stdoutBytes, encoding: 'utf8' })).toMatch(/^\.\/\n/u);
    const missing = await web.run(['cp', '-', `${web.name}:/nowhere`], { stdin: '' });
    expect(missing).toMatchObject({ status: 125 });
    expect(missing.stderr).toContain(`${web.name}:/nowhere: the folder does not exist`);
    const broken = await web.run(['cp', '-', `${web.name}:/t`], { stdin: 'no tar at all'.repeat(100) });
    expect(broken).toMatchObject({ status: 125, stdout: '' });
  });

  test('that others have mounted there are seen: tmpfs, volumes, and the files of the host', async () => {
    const web = box({ tmpfs: ['/t'], volumes: ['data:/v', './given:/g'] }, caller);
    putFolder(web, 'given');
    put(web, 'one');
    await web.run(['up', '-d']);
    for (const folder of ['t', 'v', 'g']) {
      expect(await web.run(['cp', 'one', `${web.name}:/${folder}`])).toMatchObject(FINE);
      expect(await said(web, `cat /${folder}/one`)).toBe('one');
      expect(await web.run(['cp', `${web.name}:/${folder}/one`, `of-${folder}`])).toMatchObject(FINE);
    }
    expect(readFileSync(join(web.folder, 'given/one'), 'utf8')).toBe('one');
    await web.run(['stop', '-t', '0', web.name]);
    put(web, 'two');
    for (const folder of ['v', 'g']) {
      expect(await web.run(['cp', 'two', `${web.name}:/${folder}`])).toMatchObject(FINE);
      expect(await web.run(['cp', `${web.name}:/${folder}/two`, `too-${folder}`])).toMatchObject(FINE);
    }
    expect(existsSync(join(web.folder, 'given/two'))).toBe(true);
  });

  test('go where docker would put them', async () => {
    const web = box({}, caller);
    await web.run(['up', '-d']);
    put(web, 'file');
    putFolder(web, 'folder');
    put(web, 'folder/in');
    const name = web.name;
    const into = async (source: string, target: string): Promise<string> => {
      const { status, stderr } = await web.run(['cp', source, `${name}:${target}`]);
      return status === 0 ? '' : stderr;
    };
    await sh(web, 'mkdir /there; echo old >/old');
    expect(await into('file', '/new')).toBe('');
    expect(await into('file', '/absent/')).toContain('the folder does not exist');
    expect(await into('file', '/absent/new')).toContain('the folder that it is to lie in does not exist');
    expect(await into('file', '/old')).toBe('');
    expect(await into('file', '/there')).toBe('');
    expect(await into('file', '/old/')).toContain('it is no folder');
    expect(await into('folder', '/made')).toBe('');
    expect(await into('folder/', '/made2/')).toBe('');
    expect(await into('folder', '/old')).toContain('a folder cannot be copied over a file');
    expect(await into('folder', '/there')).toBe('');
    expect(await into('folder/.', '/there')).toBe('');
    expect(await into('missing', '/there')).toContain('missing');
    expect(await into('file/', '/there')).toContain('file/ is no folder');
    expect(await said(web, 'cat /old; cd /there; find . | sort; ls /made /made2')).toBe(
      'file.\n./file\n./folder\n./folder/in\n./in\n/made:\nin\n\n/made2:\nin\n',
    );
    const from = async (source: string, target: string): Promise<string> => {
      const { status, stderr } = await web.run(['cp', `${name}:${source}`, target]);
      return status === 0 ? '' : stderr;
    };
    putFolder(web, 'here');
    put(web, 'overwritten', 'old');
    expect(await from('/new', 'fresh')).toBe('');
    expect(await from('/new', 'absent/')).toContain('the folder to copy it to does not exist');
    expect(await from('/new', 'absent/new')).toContain('absent');
    expect(await from('/new', 'overwritten')).toBe('');
    expect(await from('/new', 'here')).toBe('');
    expect(await from('/there', 'made')).toBe('');
    expect(await from('/there', 'overwritten')).toContain('a folder cannot be copied over a file');
    expect(await from('/there/folder', 'here')).toBe('');
    expect(await from('/there/folder/.', 'here')).toBe('');
    expect(await from('/missing', 'here')).toContain('there is no such file or folder');
    expect(await from('/new/', 'here')).toContain('it is no folder');
    expect(await from('/new', '/dev/null')).toContain('/dev/null is no file or folder');
    await sh(web, 'mkfifo /there/fifo; touch /there/null');
    expect(await into('file', '/there/fifo')).toContain('fifo or socket is in the way');
    expect(await into('file', '/dev/null')).toContain('a device, fifo or socket is in the way');
    expect(await said(web, '[ -c /dev/null ] && [ -p /there/fifo ] && echo fine')).toBe('fine\n');
    await sh(web, 'rm -f /there/fifo /there/null');
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
    expect(readFileSync(join(web.folder, 'overwritten'), 'utf8')).toBe('file');
    expect(readdirSync(join(web.folder, 'here')).toSorted()).toEqual(['folder', 'in', 'new']);
    expect(existsSync(join(web.folder, 'absent'))).toBe(false);
  });

  test('keep links, names of any length, holes, fifos and attributes', async () => {
    const web = box({ tmpfs: ['/t'] }, caller);
    await web.run(['up', '-d']);
    const long = 'n'.repeat(255);
    await sh(
      web,
      `mkdir -p /s/${long}/${long}; cd /s; echo 1 >${long}/${long}/f; ln ${long}/${long}/f hard; ln -s f soft; mkfifo fifo; dd if=/dev/zero of=sparse bs=1 count=1 seek=100M 2>/dev/null; printf x >"$(printf 'a\\nb c')"`,
    );
    expect(await web.run(['cp', `${web.name}:/s`, 'out'])).toMatchObject(FINE);
    const out = join(web.folder, 'out');
    expect(statSync(join(out, 'hard')).ino).toBe(statSync(join(out, long, long, 'f')).ino);
    expect(lstatSync(join(out, 'fifo')).isFIFO()).toBe(true);
    expect(readFileSync(join(out, 'a\nb c'), 'utf8')).toBe('x');
    const sparse = statSync(join(out, 'sparse'));
    expect([sparse.size, sparse.blocks < 1000]).toEqual([100 * 2 ** 20 + 1, true]);
    expect(await web.run(['cp', 'out', `${web.name}:/back`])).toMatchObject(FINE);
    expect(await said(web, 'cd /back; stat -c %h hard; stat -c %s sparse; cat hard; [ -p fifo ] && echo fifo')).toBe(
      `2\n${100 * 2 ** 20 + 1}\n1\nfifo\n`,
    );
    expect(Number(await said(web, 'stat -c %b /back/sparse'))).toBeLessThan(1000);
  });

  test('follow a link that is named where that is asked for, and only then', async () => {
    const web = box({}, caller);
    await web.run(['up', '-d']);
    put(web, 'real', 'real\n');
    symlinkSync('real', join(web.folder, 'link'));
    await web.run(['cp', 'link', `${web.name}:/link`]);
    await web.run(['cp', '-L', 'link', `${web.name}:/followed`]);
    expect(await said(web, 'readlink /link; cat /followed')).toBe('real\nreal\n');
    await sh(web, 'ln -s /followed /l');
    await web.run(['cp', `${web.name}:/l`, 'l']);
    await web.run(['cp', '-L', `${web.name}:/l`, 'of-l']);
    expect(readlinkSync(join(web.folder, 'l'))).toBe('/followed');
    expect(readFileSync(join(web.folder, 'of-l'), 'utf8')).toBe('real\n');
  });

  test('are not written where the root is read-only, but in a tmpfs of it they are', async () => {
    const web = box({ read_only: true, tmpfs: ['/t'], volumes: ['data:/v'] }, caller);
    await web.run(['up', '-d']);
    put(web, 'one');
    const refused = await web.run(['cp', 'one', `${web.name}:/one`]);
    expect(refused).toMatchObject({ status: 125, stdout: '' });
    expect(refused.stderr).toContain('EROFS');
    expect(refused.stderr).toContain('read-only');
    expect(await web.run(['cp', 'one', `${web.name}:/t/one`])).toMatchObject(FINE);
    await web.run(['stop', '-t', '0', web.name]);
    expect((await web.run(['cp', 'one', `${web.name}:/one`])).stderr).toContain('EROFS');
    expect(await web.run(['cp', 'one', `${web.name}:/v/one`])).toMatchObject(FINE);
    expect(await web.run(['cp', `${web.name}:/v/one`, 'back'])).toMatchObject(FINE);
  });

  test('are not written to a container that has ended and keeps them in memory', async () => {
    const web = box({ writable: 'tmpfs' }, caller);
    await web.run(['up', '-d']);
    put(web, 'one');
    expect(await web.run(['cp', 'one', `${web.name}:/one`])).toMatchObject(FINE);
    await web.run(['stop', '-t', '0', web.name]);
    expect((await web.run(['cp', 'one', `${web.name}:/one`])).stderr).toContain('in memory');
    expect((await web.run(['cp', `${web.name}:/one`, 'back'])).stderr).toContain('there is no such file');
    expect(await web.run(['cp', `${web.name}:/etc/passwd`, 'passwd'])).toMatchObject(FINE);
  });

  test('that cannot be written for want of room are told of', async () => {
    const web = box({ tmpfs: ['/t:size=1m'] }, caller);
    await web.run(['up', '-d']);
    put(web, 'large', 'x'.repeat(2 * 2 ** 20));
    const full = await web.run(['cp', 'large', `${web.name}:/t`]);
    expect(full).toMatchObject({ status: 125, stdout: '' });
    expect(full.stderr).toContain('ENOSPC');
    expect(full.stderr).toContain('there is no room left');
  });
});

describe.skipIf(!hasBusybox)('a copy', () => {
  test('over a file that is mounted by itself, such as /etc/hosts, is written in its place', async () => {
    const web = box({});
    await web.run(['up', '-d']);
    put(web, 'hosts', '10.0.0.1 there\n');
    expect(await web.run(['cp', 'hosts', `${web.name}:/etc/hosts`])).toMatchObject(FINE);
    expect(await said(web, 'cat /etc/hosts')).toBe('10.0.0.1 there\n');
  });

  test('of what runs in the foreground is made by its name', async () => {
    const { name } = box();
    const folder = specFolder({ name, command: ['sh', '-c', 'echo here >/f; exec sleep 100'] });
    let child: ChildProcess | undefined;
    const ended = boxctl(['up'], callerOptions(self, folder, { held: true, onStart: (started) => (child = started) }));
    onTestFinished(async () => {
      child?.kill('SIGKILL');
      await ended;
    });
    await until(() => child);
    let got = '';
    for (let tries = 0; tries < 100 && got === ''; tries++) {
      await boxctl(['cp', `${name}:/f`, 'f'], callerOptions(self, folder));
      if (existsSync(join(folder, 'f'))) got = readFileSync(join(folder, 'f'), 'utf8');
    }
    expect(got).toBe('here\n');
  });

  test('keeps owners and set-id bits where they are asked for, and only by root', async () => {
    const web = box({});
    await web.run(['up', '-d']);
    await sh(web, 'echo x >/f; chown 12:34 /f; chmod 4755 /f');
    await web.run(['cp', `${web.name}:/f`, 'plain']);
    expect(statSync(join(web.folder, 'plain'))).toMatchObject({ uid: self.uid, mode: 0o100755 });
    const kept = await web.run(['cp', '-a', `${web.name}:/f`, 'kept']);
    expect(kept).toMatchObject({ status: 0 });
    const status = statSync(join(web.folder, 'kept'));
    if (isRoot) expect(status).toMatchObject({ uid: 12, gid: 34, mode: 0o104755 });
    else expect(kept.stderr).toContain('owners are not copied');
    await web.run(['cp', '-a', 'kept', `${web.name}:/back`]);
    await web.run(['cp', 'kept', `${web.name}:/taken`]);
    if (isRoot) expect(await said(web, 'stat -c "%u %g %a" /back /taken')).toBe('12 34 4755\n0 0 755\n');
  });

  test('is told what is wrong with its words', async () => {
    const { run, name } = box();
    const error = async (...words: string[]): Promise<string> => {
      const { status, stdout, stderr } = await run(['cp', ...words]);
      expect([status, stdout]).toEqual([125, '']);
      return stderr;
    };
    expect(await error('a', 'b')).toContain('neither of the two is in a container');
    expect(await error(`${name}:/a`, 'other:/b')).toContain('from container to container');
    expect(await error(`${name}:`, 'b')).toContain('has no path');
    expect(await error('nobody-of-this-name:/a', 'b')).toContain('no container of yours');
    expect(await error('./a:b', 'c')).toContain('neither of the two');
  });

  test('does not need its reader to the end', async () => {
    const web = box({});
    await web.run(['up', '-d']);
    const words = ['sh', '-c', `node "$0" cp ${web.name}:/bin - | head -c 10 >/dev/null`];
    const program = `${process.env['BOXCTL_TEST_INSTALLED']}/dist/boxctl.cjs`;
    execFileSync(words[0] ?? '', [...words.slice(1), program], {
      env: { ...process.env, BOXCTL_STORE: self.store },
      timeout: 20_000,
      stdio: ['ignore', 'ignore', 'ignore'],
    });
  });
});
