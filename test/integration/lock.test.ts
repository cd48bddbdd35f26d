/** The lock beside a container file: what it freezes, what is said where it does not fit, and that it gives no rights. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { boxctl, PROGRAM, run, type Ended } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callers, ownedFolder, self, type Caller } from '../support/container.ts';
import { sha256, writeLayout } from '../support/layout.ts';
import { busyboxRootfs } from '../support/rootfs.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot, testUser } from '../support/user.ts';

type Files = Readonly<Record<string, string>>;

interface Project {
  readonly folder: string;
  boxctl(...args: readonly string[]): Promise<Ended>;
  write(name: string, text: string): void;
  read(name: string): string;
}

function project(files: Files, caller: Caller = self): Project {
  const folder = ownedFolder(caller, 'project', tempFolder({ open: true }));
  const { user } = caller;
  const write = (name: string, text: string): void => {
    writeFileSync(join(folder, name), text);
    if (user !== undefined) chownSync(join(folder, name), user.uid, user.gid);
  };
  for (const [name, text] of Object.entries(files)) write(name, text);
  return {
    folder,
    write,
    read: (name) => readFileSync(join(folder, name), 'utf8'),
    boxctl: (...args) =>
      boxctl(args, {
        cwd: folder,
        env: { BOXCTL_STORE: caller.store },
        ...(user === undefined ? {} : { user }),
      }),
  };
}

const keysOf = ({ keys }: Caller): string =>
  Object.keys(keys).length === 0 ? '' : `${JSON.stringify(keys).slice(1, -1)}, `;

/** A container of an archive in its own folder, with an env_file. */
function withArchive(caller: Caller = self, more: Files = {}): Project {
  const made = project(
    {
      'container.yaml': `{${keysOf(caller)}image: ./rootfs.tar,\nenv_file: ./app.env,\ncommand: [sh, -c, 'echo $$A']}\n`,
      'app.env': 'A=one\n',
      ...more,
    },
    caller,
  );
  copyFileSync(busyboxRootfs(), join(made.folder, 'rootfs.tar'));
  chmodSync(join(made.folder, 'rootfs.tar'), 0o644);
  return made;
}

const locked = async (made: Project): Promise<Project> => {
  const { status, stderr } = await made.boxctl('lock');
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return made;
};

/** The archive with one byte more at its end, which no reader of it minds. */
function change(archive: string): void {
  truncateSync(archive, statSync(archive).size + 512);
}

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test('lock writes the digests of the archive and of the env_file, and up takes what fits', async () => {
    const made = await locked(withArchive(caller));
    expect(made.read('container.lock')).toBe(
      `version: 1\nimage:\n  tar: ./rootfs.tar\n  digest: sha256:${sha256(readFileSync(busyboxRootfs()))}\n` +
        `files:\n  ./app.env: sha256:${sha256('A=one\n')}\n`,
    );
    expect(await made.boxctl('up', '--locked')).toMatchObject({ status: 0, stdout: 'one\n', stderr: '' });
  });

  test('a changed archive or env_file is an error with the line that names it, with --locked and without', async () => {
    const made = await locked(withArchive(caller));
    expect(await made.boxctl('up')).toMatchObject({ status: 0 });
    made.write('app.env', 'A=two\n');
    for (const args of [['up'], ['up', '--locked'], ['run', '--', 'true'], ['plan'], ['shell'], ['validate']]) {
      const { stderr, stdout, status } = await made.boxctl(...args);
      expect({ args, stdout, status }).toEqual({ args, stdout: '', status: args[0] === 'validate' ? 1 : 125 });
      expect(stderr).toMatch(
        /^container\.yaml:2:11: error: \.\/app\.env has changed since it was locked \(container\.lock:6\)/u,
      );
      expect(stderr).toContain('boxctl lock --update container.yaml');
    }
    made.write('app.env', 'A=one\n');
    change(join(made.folder, 'rootfs.tar'));
    const { stderr, stdout, status } = await made.boxctl('up');
    expect({ stdout, status }).toEqual({ stdout: '', status: 125 });
    expect(stderr).toMatch(
      /container\.yaml:1:\d+: error: the image has changed since it was locked \(container\.lock\)/u,
    );
    expect(stderr).toContain('boxctl lock --update container.yaml');
    expect(await made.boxctl('lock', '--update')).toMatchObject({ status: 0 });
    expect(await made.boxctl('up', '--locked')).toMatchObject({ status: 0, stdout: 'one\n' });
  });
});

describe.skipIf(!hasBusybox)('boxctl lock (needs busybox-static)', () => {
  test('writes the same bytes each time, for everybody to read, and leaves nothing else behind', async () => {
    const made = await locked(withArchive());
    const first = made.read('container.lock');
    const before = statSync(join(made.folder, 'container.lock'));
    expect(before.mode & 0o777).toBe(0o666 & ~process.umask());
    expect(await made.boxctl('lock')).toMatchObject({ status: 0, stdout: 'container.lock: is as it was\n' });
    expect(statSync(join(made.folder, 'container.lock')).ino).toBe(before.ino);
    rmSync(join(made.folder, 'container.lock'));
    await locked(made);
    expect(made.read('container.lock')).toBe(first);
    expect(readdirSync(made.folder).toSorted()).toEqual(['app.env', 'container.lock', 'container.yaml', 'rootfs.tar']);
  });

  test('without --update, nothing that is locked changes; what is new is added and what is gone is taken out', async () => {
    const made = await locked(withArchive());
    made.write('app.env', 'A=two\n');
    const before = made.read('container.lock');
    const refused = await made.boxctl('lock');
    expect(refused.status).toBe(125);
    expect(refused.stderr).toMatch(/^container\.yaml:2:11: error: locked, and another now: \.\/app\.env sha256:/u);
    expect(made.read('container.lock')).toBe(before);

    made.write('new.env', 'B=1\n');
    made.write('container.yaml', made.read('container.yaml').replace('./app.env', './new.env'));
    const added = await made.boxctl('lock');
    expect(added.stdout).toMatch(
      /^container\.lock: written\n {2}\+ \.\/new\.env sha256:[0-9a-f]{12} {2}\(container\.yaml:2\)\n {2}- \.\/app\.env sha256:[0-9a-f]{12} {2}\(container\.lock:6\)\n$/u,
    );
    expect(await made.boxctl('up', '--locked')).toMatchObject({ status: 0 });
  });

  test('--check says what differs, with the lines of both, by status 1, and writes nothing', async () => {
    const made = withArchive();
    const missing = await made.boxctl('lock', '--check');
    expect(missing).toMatchObject({ status: 1, stdout: '' });
    expect(missing.stderr).toContain('container.yaml has no lock: there is no container.lock');
    await locked(made);
    expect(await made.boxctl('lock', '--check')).toMatchObject({ status: 0, stdout: 'container.lock: fits\n' });
    made.write('app.env', 'A=two\n');
    change(join(made.folder, 'rootfs.tar'));
    const before = made.read('container.lock');
    const { status, stdout } = await made.boxctl('lock', '--check');
    expect(status).toBe(1);
    expect(stdout).toMatch(
      /~ \.\/rootfs\.tar sha256:[0-9a-f]{12} → sha256:[0-9a-f]{12} {2}\(container\.yaml:1, container\.lock:2\)/u,
    );
    expect(stdout).toMatch(
      /~ \.\/app\.env sha256:[0-9a-f]{12} → sha256:[0-9a-f]{12} {2}\(container\.yaml:2, container\.lock:6\)/u,
    );
    expect(made.read('container.lock')).toBe(before);
    const json = JSON.parse((await made.boxctl('lock', '--check', '--json')).stdout) as unknown;
    expect(json).toMatchObject([
      { file: 'container.yaml', lock: 'container.lock', written: false, changes: [{ sign: '~' }, { sign: '~' }] },
    ]);
  });

  test('several files have a lock each, and one that is broken does not keep the others from theirs', async () => {
    const made = withArchive(self, { 'broken.yaml': 'imge: x\n', 'ci.yml': 'image: ./rootfs.tar\n' });
    const { status, stderr } = await made.boxctl('lock', 'broken.yaml', 'ci.yml', 'container.yaml');
    expect(status).toBe(125);
    expect(stderr).toContain('broken.yaml:1:1');
    expect(['broken.lock', 'ci.lock', 'container.lock'].map((name) => existsSync(join(made.folder, name)))).toEqual([
      false,
      true,
      true,
    ]);
  });

  test('programs of the host are locked by the archive that is packed of them', async () => {
    const made = project({ 'container.yaml': 'image: {host_tools: [sh, tool.sh]}\ncommand: [tool.sh]\n' });
    const bin = join(made.folder, '../bin');
    mkdirSync(bin, { recursive: true });
    const tool = join(bin, 'tool.sh');
    const write = (text: string): void => {
      writeFileSync(tool, `#!/bin/sh\necho ${text}\n`, { mode: 0o755 });
    };
    chmodSync(join(made.folder, '..'), 0o755);
    write('one');
    const path = { PATH: `${bin}:${process.env['PATH'] ?? ''}` };
    const at = (...args: readonly string[]): Promise<Ended> =>
      boxctl(args, { cwd: made.folder, env: { BOXCTL_STORE: self.store, ...path } });
    expect(await at('lock')).toMatchObject({ status: 0 });
    expect(made.read('container.lock')).toMatch(/packed: sha256:[0-9a-f]{64}\n/u);
    expect(made.read('container.lock')).toContain(`${tool}: sha256:${sha256(readFileSync(tool))}`);
    expect(await at('up', '--locked')).toMatchObject({ status: 0, stdout: 'one\n' });
    write('two');
    const changed = await at('up');
    expect(changed).toMatchObject({ status: 125, stdout: '' });
    expect(changed.stderr).toMatch(
      /^container\.yaml:1:1: error: what is packed of this host is another than container\.lock has/u,
    );
    expect((await at('lock', '--check')).stdout).toContain(`~ ${tool} sha256:`);
  });

  test('an OCI image layout is locked by its index.json', async () => {
    const made = project({ 'container.yaml': 'image: ./layout\ncommand: [/bin/true]\n' });
    writeLayout(join(made.folder, 'layout'), [readFileSync(busyboxRootfs())]);
    await locked(made);
    const index = join(made.folder, 'layout/index.json');
    expect(made.read('container.lock')).toContain(`digest: sha256:${sha256(readFileSync(index))}`);
    expect(await made.boxctl('up', '--locked')).toMatchObject({ status: 0 });
    writeFileSync(index, `${readFileSync(index, 'utf8')} `);
    const { status, stderr } = await made.boxctl('up');
    expect(status).toBe(125);
    expect(stderr).toContain('the image has changed since it was locked');
  });

  test('an image of the store under a name that a person gave it is locked by its digest', async () => {
    const made = withArchive();
    const name = `lock-${sha256(made.folder).slice(0, 12)}`;
    made.write('container.yaml', `image: ${name}\ncommand: [echo, hello]\n`);
    expect(await made.boxctl('image', 'import', 'rootfs.tar', name)).toMatchObject({ status: 0 });
    await locked(made);
    expect(made.read('container.lock')).toContain(`ref: ${name}\n  digest: sha256:`);
    expect(await made.boxctl('up', '--locked')).toMatchObject({ status: 0, stdout: 'hello\n' });
    change(join(made.folder, 'rootfs.tar'));
    expect(await made.boxctl('image', 'import', 'rootfs.tar', name)).toMatchObject({ status: 0 });
    const { status, stderr } = await made.boxctl('up');
    expect(status).toBe(125);
    expect(stderr).toContain('the image of the store is another than container.lock has');
    expect(await made.boxctl('image', 'rm', name)).toMatchObject({ status: 0 });
  });

  test('a folder cannot be locked, which --locked says', async () => {
    const made = project({ 'container.yaml': 'image: {folder: ./root}\ncommand: [/bin/true]\n' });
    mkdirSync(join(made.folder, 'root/bin'), { recursive: true });
    const written = await made.boxctl('lock');
    expect(written).toMatchObject({ status: 0 });
    expect(written.stderr).toContain('warning: the folder is not locked');
    const { status, stderr } = await made.boxctl('plan', '--locked');
    expect(status).toBe(125);
    expect(stderr).toContain('a folder cannot be locked');
    expect((await made.boxctl('plan')).stderr).not.toContain('locked');
  });
});

describe.skipIf(!hasBusybox)('--locked (needs busybox-static)', () => {
  const COMMANDS: readonly (readonly string[])[] = [
    ['up', '--locked'],
    ['run', '--locked', '--', 'true'],
    ['shell', '--locked'],
    ['plan', '--locked'],
    ['validate', '--locked'],
    ['bundle', '--locked', 'container.yaml', 'out'],
  ];

  test('fails in each command where there is no lock, and where the lock does not have all that the file names', async () => {
    const made = withArchive();
    for (const args of COMMANDS) {
      const { status, stdout, stderr } = await made.boxctl(...args);
      expect({ args, stdout, status }).toEqual({ args, stdout: '', status: args[0] === 'validate' ? 1 : 125 });
      expect(stderr).toContain('container.yaml has no lock: there is no container.lock');
    }
    await locked(made);
    made.write('new.env', 'B=1\n');
    made.write('container.yaml', made.read('container.yaml').replace('./app.env', '[./app.env, ./new.env]'));
    for (const args of COMMANDS) {
      const { status, stdout, stderr } = await made.boxctl(...args);
      expect({ args, stdout, status }).toEqual({ args, stdout: '', status: args[0] === 'validate' ? 1 : 125 });
      expect(stderr).toContain('./new.env is not locked: container.lock does not have it');
    }
    expect(existsSync(join(made.folder, 'out'))).toBe(false);
    // Without it, this is a warning.
    const warned = await made.boxctl('up');
    expect(warned).toMatchObject({ status: 0, stdout: 'one\n' });
    expect(warned.stderr).toMatch(/^boxctl: container\.yaml:2:\d+: warning: \.\/new\.env is not locked/u);
    await locked(made);
    for (const args of COMMANDS) expect(await made.boxctl(...args)).toMatchObject({ status: 0 });
  });

  test('fails where the lock has more than the file names, and for a file that comes through a pipe', async () => {
    const made = await locked(withArchive());
    made.write('container.yaml', made.read('container.yaml').replace('env_file: ./app.env,', 'environment: {A: x},'));
    expect(await made.boxctl('up')).toMatchObject({ status: 0, stderr: '' });
    const { status, stderr } = await made.boxctl('up', '--locked');
    expect(status).toBe(125);
    expect(stderr).toContain('container.lock:6 has ./app.env, which the file does not name');
    const piped = await run(
      ['sh', '-c', 'echo \'image: {host_tools: [sh]}\' | "$@" up --locked /dev/stdin', 'sh', process.execPath, PROGRAM],
      { env: { BOXCTL_STORE: self.store } },
    );
    expect(piped.status).toBe(125);
    expect(piped.stderr).toContain('is no file of a folder, so it has no lock');
  });
});

describe.skipIf(!hasBusybox)('secrets (needs busybox-static)', () => {
  test('of an env_file in which a variable sounds secret, no value is in the digest', async () => {
    const made = withArchive(self, { 'app.env': 'DB_PASSWORD=hunter2\nA=one\n' });
    await locked(made);
    const first = made.read('container.lock');
    expect(first).toMatch(/\.\/app\.env: names:[0-9a-f]{64}\n/u);
    made.write('app.env', 'DB_PASSWORD=other\nA=two\n');
    expect(await made.boxctl('up', '--locked')).toMatchObject({ status: 0, stdout: 'two\n' });
    made.write('app.env', 'DB_PASSWORD=other\nB=two\n');
    expect((await made.boxctl('up')).stderr).toContain('./app.env has changed since it was locked');
    // Also a password that was commented out.
    made.write('app.env', '# DB_PASSWORD=hunter2\nA=one\n');
    await made.boxctl('lock', '--update');
    expect(made.read('container.lock')).toContain('names:');
    for (const text of [first, made.read('container.lock')]) expect(text).not.toMatch(/hunter2|DB_PASSWORD/u);
  });

  test('a variable that sounds secret is not written into a lock', async () => {
    const made = withArchive();
    made.write('container.yaml', 'image: ./${MY_TOKEN}.tar\ncommand: [echo]\n');
    const { status, stderr, stdout } = await boxctl(['lock', '--allow', 'env'], {
      cwd: made.folder,
      env: { BOXCTL_STORE: self.store, MY_TOKEN: 'rootfs' },
    });
    expect({ status, stdout }).toEqual({ status: 125, stdout: '' });
    expect(stderr).toContain('a lock would have the value of your variable MY_TOKEN, which sounds secret');
    expect(existsSync(join(made.folder, 'container.lock'))).toBe(false);
  });
});

describe.skipIf(!hasBusybox)('a hostile lock (needs busybox-static)', () => {
  const ZEROS = '0'.repeat(64);

  test('gives the file nothing of the host: what must be allowed is refused before anything is read', async () => {
    const outside = project({ 'secret.env': 'A=the-secret\n' });
    const secret = join(outside.folder, 'secret.env');
    const made = withArchive();
    made.write('container.yaml', `image: ./rootfs.tar\nenv_file: ${secret}\ncommand: [sh, -c, 'echo $$A']\n`);
    made.write('container.lock', `version: 1\nfiles:\n  ${secret}: sha256:${ZEROS}\n`);
    for (const args of [['up'], ['up', '--locked'], ['lock'], ['lock', '--update'], ['lock', '--check']]) {
      const { stdout, stderr } = await made.boxctl(...args);
      expect(stdout + stderr).not.toContain(sha256('A=the-secret\n').slice(0, 12));
      if (!args.includes('--locked')) expect(stderr).toContain(`--allow env_file=${secret}`);
    }
    expect(await made.boxctl('lock', '--update', '--allow', `env_file=${secret}`)).toMatchObject({ status: 0 });
    expect(made.read('container.lock')).toContain(`${secret}: sha256:${sha256('A=the-secret\n')}`);
  });

  test('cannot name another archive than the file, nor another sha256 than the file has', async () => {
    const made = withArchive();
    made.write('container.lock', `version: 1\nimage:\n  tar: /etc/shadow\n  digest: sha256:${ZEROS}\n`);
    const { status, stderr } = await made.boxctl('up');
    expect(status).toBe(0);
    expect(stderr).toContain('the image ./rootfs.tar is not locked: container.lock:2 has /etc/shadow');
    made.write('container.yaml', `image: {tar: ./rootfs.tar, sha256: ${'a'.repeat(64)}}\ncommand: [echo]\n`);
    made.write('container.lock', `version: 1\nimage:\n  tar: ./rootfs.tar\n  digest: sha256:${ZEROS}\n`);
    expect((await made.boxctl('up')).stderr).toContain(
      'the file asks for another sha256 of the image than the lock has',
    );
  });

  test('is refused as a link, a folder, a fifo, too large, or no lock at all, and quotes nothing of another file', async () => {
    const made = withArchive();
    const path = join(made.folder, 'container.lock');
    const secret = join(made.folder, '../elsewhere');
    writeFileSync(secret, 'the-secret\n');
    const refused = async (update = 125): Promise<string> => {
      const { status, stdout, stderr } = await made.boxctl('up');
      expect({ status, stdout }).toEqual({ status: 125, stdout: '' });
      expect((await made.boxctl('lock')).status).toBe(125);
      expect((await made.boxctl('lock', '--update')).status).toBe(update);
      rmSync(path, { recursive: true });
      expect(stderr).not.toContain('the-secret');
      return stderr;
    };
    symlinkSync(secret, path);
    expect(await refused()).toContain('container.lock is not used: it is a link, which is not followed');
    symlinkSync('missing', path);
    expect(await refused()).toContain('it is a link');
    mkdirSync(path);
    expect(await refused()).toContain('it is no regular file');
    execFileSync('mkfifo', [path]);
    expect(await refused()).toContain('it is no regular file');
    writeFileSync(path, '');
    truncateSync(path, 1 << 30);
    expect(await refused()).toContain('it is larger than 1048576 bytes');
    writeFileSync(path, Buffer.from([0xff, 0xfe, 0x00]));
    expect(await refused()).toContain('it is not UTF-8 text');
    writeFileSync(path, 'version: 1\nfiles: 7\n');
    // Text that is no lock is written anew.
    expect(await refused(0)).toMatch(/^container\.lock:2:8: error: `files` must be a map\n +\|\n +2 \| files: 7/u);
    expect(readFileSync(secret, 'utf8')).toBe('the-secret\n');
  });

  test.skipIf(!isRoot || testUser === undefined)(
    'is refused where it belongs to somebody who does not own the file (needs root and boxctl-test)',
    async () => {
      const made = await locked(withArchive());
      const uid = testUser?.uid ?? 0;
      chownSync(join(made.folder, 'container.lock'), uid, uid);
      const { status, stderr } = await made.boxctl('up');
      expect(status).toBe(125);
      expect(stderr).toContain(`it belongs to the user with the number ${uid}, and container.yaml does not`);
      chownSync(join(made.folder, 'container.yaml'), uid, uid);
      expect(await made.boxctl('up')).toMatchObject({ status: 0 });
    },
  );

  test('does not steer a terminal', async () => {
    const made = withArchive();
    made.write('container.lock', `version: 1\nfiles: {"a\\e[31m\\u202e": sha256:${ZEROS}}\n`);
    const { stdout, stderr } = await made.boxctl('up', '--locked');
    for (const steering of ['\u001b[31m', '\u202e']) expect(stdout + stderr).not.toContain(steering);
  });

  test('cannot be made by a container that writes to the project', async () => {
    const made = await locked(withArchive());
    made.write(
      'container.yaml',
      `image: ./rootfs.tar\nenv_file: ./app.env\nvolumes: ['./:/src']\ncommand: [sh, -c, 'echo x > /src/container.lock; mv /src/container.lock /src/y; rm /src/container.lock']\n`,
    );
    const before = made.read('container.lock');
    expect((await made.boxctl('up')).stderr).toMatch(/read-only|busy/iu);
    expect(made.read('container.lock')).toBe(before);
  });
});

test('a lock that cannot be written is an error, and nothing is left of it', async () => {
  const made = project({ 'container.yaml': 'image: {host_tools: [sh]}\n' });
  // A read-only bind of the folder, in a mount namespace of the test's own.
  const { status, stderr } = await run(
    [
      'unshare',
      ...(isRoot ? [] : ['--user', '--map-root-user']),
      '--mount',
      'sh',
      '-c',
      'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && cd "$1" && exec "$2" "$3" lock',
      'sh',
      made.folder,
      process.execPath,
      PROGRAM,
    ],
    { env: { BOXCTL_STORE: self.store } },
  );
  expect(status).toBe(125);
  expect(stderr).toContain('container.lock cannot be written: read-only file system');
  expect(readdirSync(made.folder)).toEqual(['container.yaml']);
});

test('renaming and linking of the lock’s folder do not matter: paths are relative', async () => {
  const made = project({
    'container.yaml': 'image: {host_tools: [sh]}\nenv_file: ./a.env\ncommand: [sh, -c, "echo $$A"]\n',
    'a.env': 'A=1\n',
  });
  await locked(made);
  const moved = `${made.folder}-moved`;
  renameSync(made.folder, moved);
  symlinkSync(moved, made.folder);
  linkSync(join(moved, 'a.env'), join(moved, 'b.env'));
  expect(await made.boxctl('up', '--locked')).toMatchObject({ status: 0, stdout: '1\n' });
  rmSync(made.folder);
  renameSync(moved, made.folder);
});
