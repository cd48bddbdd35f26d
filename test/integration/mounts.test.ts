/** What the file mounts, seen from inside real containers and from the host. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { boxctl, run, type Ended, type RunOptions } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, ownedFolder, sh, specFolder, type Caller } from '../support/container.ts';
import { changedRootfs } from '../support/rootfs.ts';
import { isRoot } from '../support/user.ts';

function lines(ended: Ended): readonly string[] {
  if (ended.status !== 0) throw new Error(ended.stderr);
  return ended.stdout.trimEnd().split('\n');
}

/** A specification beside which things can be put before it is run. */
function prepared(script: string, spec: Readonly<Record<string, unknown>>, caller: Caller) {
  const folder = specFolder({ command: ['sh', '-c', script.replaceAll('$', '$$$$')], ...spec }, caller);
  return { folder, start: (options?: RunOptions) => boxctl(['up'], callerOptions(caller, folder, options)) };
}

/** Options of the mount at a path, from inside. */
const OPTIONS = (path: string): string => `awk '$5 == "${path}" { print $6 }' /proc/self/mountinfo`;

/** A mount of the host that ends with the test. */
function mounted(caller: Caller, path: string, ...args: readonly string[]): void {
  execFileSync('mount', [...args, path]);
  onTestFinished(() => {
    spawnSync('umount', ['-R', path]);
  });
  if (caller.user !== undefined) chownSync(path, caller.user.uid, caller.user.gid);
}

/** The small image with links where a target may be. */
function linked(): string {
  return changedRootfs((tree) => {
    for (const [name, target] of [
      ['nothing', '/no/where'],
      ['into-proc', '/proc'],
      ['into-dev', '../dev'],
      ['into-root', '/'],
      ['lnk', '../../../../mnt'],
      ['var/run', '/run'],
    ] as const) {
      mkdirSync(join(tree, name, '..'), { recursive: true });
      symlinkSync(target, join(tree, name));
    }
    mkdirSync(join(tree, 'run'), { recursive: true });
    mkdirSync(join(tree, 'mnt'), { recursive: true });
  });
}

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test('mounts have the attributes of the file, and always nosuid and nodev', async () => {
    const spec = {
      volumes: ['./:/a:ro,noexec', { type: 'bind', source: './', target: '/b', options: ['nosymfollow'] }],
      tmpfs: ['/t:noexec,mode=0711,size=1m,nr_inodes=10,uid=0,gid=0', '/u'],
      shm_size: '2m',
    };
    const script = `${['/a', '/b', '/t', '/u'].map(OPTIONS).join(';')}; stat -c %a /t; df -k /t /dev/shm | awk '{ print $2 }';
      cp /bin/busybox /t/ls; /t/ls 2>/dev/null || echo no exec; cd /t; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo >$i; done; ls | wc -l`;
    const found = lines(await sh(script, spec, caller));
    expect(found.slice(0, 4)).toEqual([
      expect.stringMatching(/^ro,nosuid,nodev,noexec,relatime/u),
      expect.stringMatching(/^rw,nosuid,nodev,relatime,nosymfollow|^rw,nosuid,nodev,nosymfollow/u),
      'rw,nosuid,nodev,noexec,relatime',
      'rw,nosuid,nodev,relatime',
    ]);
    expect(found.slice(4, 8)).toEqual(['711', '1K-blocks', '1024', '2048']);
    expect(found[8]).toBe('no exec');
    // Ten with the root and the copy.
    expect(found[9]).toBe('9');
  });

  test('a missing source is made when the file wants that, and belongs to the caller', async () => {
    const volume = { type: 'bind', source: './new/er', target: '/new', bind: { create_host_path: true } };
    const { folder, start } = prepared('echo x >/new/file', { volumes: [volume] }, caller);
    lines(await start());
    expect(readFileSync(join(folder, 'new/er/file'), 'utf8')).toBe('x\n');
    expect(statSync(join(folder, 'new/er')).uid).toBe(caller.uid);
    expect(statSync(join(folder, 'new/er')).mode & 0o777).toBe(0o755);
  });

  test('files, sockets and pipes can be sources', async () => {
    const script = 'ls -l /s /p | cut -c1; cat /f; echo from inside >/p';
    const { folder, start } = prepared(script, { volumes: ['./sock:/s', './pipe:/p', './file:/f'] }, caller);
    writeFileSync(join(folder, 'file'), 'a file\n');
    execFileSync('mkfifo', ['-m', '666', join(folder, 'pipe')]);
    const server = createServer().listen(join(folder, 'sock'));
    onTestFinished(() => void server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    const reader = run(['cat', join(folder, 'pipe')]);
    const [ended, read] = await Promise.all([start({ once: 'the pipe has one reader' }), reader]);
    expect(lines(ended)).toEqual(['p', 's', 'a file']);
    expect(read.stdout).toBe('from inside\n');
  });

  test('a target that is a link of the image is followed within the root', async () => {
    const spec = { volumes: ['./data:/var/run/x', './data:/etc/../lnk'], tmpfs: ['/run'] };
    const script = 'cat /run/x/file; ls -d /run/x';
    const image = { ...spec, image: linked() };
    const { folder, start } = prepared(script, image, caller);
    writeFileSync(join(ownedFolder(caller, 'data', folder), 'file'), 'seen\n');
    expect(lines(await start())).toEqual(['seen', '/run/x']);
  });

  test('the order of the file does not matter where one lies in another', async () => {
    const script = 'cat /a/f; cat /a/b/f; ls /a/b/c';
    const spec = { volumes: ['./two:/a/b:ro', './one:/a'], tmpfs: ['/a/b/c'] };
    const { folder, start } = prepared(script, spec, caller);
    for (const name of ['one', 'two']) {
      writeFileSync(join(ownedFolder(caller, name, folder), 'f'), `${name}\n`);
    }
    ownedFolder(caller, 'c', join(folder, 'two'));
    expect(lines(await start())).toEqual(['one', 'two']);
  });

  test.each([
    ['a file on a folder', './file:/etc', 'the target is a folder in the image, and the source is a file'],
    ['a folder on a file', './folder:/etc/passwd', 'the target, or a part of its path, is a file in the image'],
    ['below a file', './folder:/etc/passwd/x', 'the target, or a part of its path, is a file in the image'],
    ['at a link into /proc', './folder:/into-proc/x', 'a link of the image leads the target into /proc, /sys or /dev'],
    ['at a link to /dev', './folder:/into-dev', 'a link of the image leads this target to where something else'],
    ['at a link to the root', './folder:/into-root', 'a link of the image leads this target to where something else'],
  ])('%s is an error at its line', async (_title, volume, hint) => {
    const { folder, start } = prepared('true', { image: linked(), volumes: [volume] }, caller);
    ownedFolder(caller, 'folder', folder);
    writeFileSync(join(folder, 'file'), '');
    const { status, stderr } = await start();
    expect(stderr).toContain(hint);
    expect(stderr).toMatch(/container\.yaml:\d+:5: error: the step (?:mount|volume)\./u);
    expect(status).toBe(125);
  });

  test('a missing mount point on a read-only mount is an error', async () => {
    const { stderr } = await sh('true', { volumes: ['./:/src:ro'], tmpfs: ['/src/missing'] }, caller);
    expect(stderr).toContain('EROFS');
    expect(stderr).toContain('make it in the source');
  });

  test('only those files of /proc that other runtimes replace can be bound', async () => {
    const { folder, start } = prepared('cat /proc/uptime', { volumes: ['./uptime:/proc/uptime'] }, caller);
    writeFileSync(join(folder, 'uptime'), 'for ever\n');
    expect(lines(await start())).toEqual(['for ever']);
    const { stderr } = await sh('true', { volumes: ['./:/proc/sys'] }, caller);
    expect(stderr).toContain('error: nothing can be mounted at /proc/sys: /proc is the kernel’s');
  });

  test.skipIf(!isRoot)('mounts below a source are shown, left out, or kept writable (needs root)', async () => {
    const bind = (target: string, recursive: string, read_only = true) => ({
      type: 'bind',
      source: './top',
      target,
      read_only,
      bind: { recursive },
    });
    const volumes = [bind('/enabled', 'enabled'), bind('/readonly', 'readonly'), bind('/writable', 'writable')];
    // Mounts that an ordinary user has from others cannot be taken apart: the kernel would show what they hide.
    if (caller.user === undefined) volumes.push(bind('/disabled', 'disabled', false));
    const script = `for at in enabled readonly writable disabled; do
      echo $at $(cat /$at/below/file 2>/dev/null || echo none) $(touch /$at/no 2>/dev/null && echo top) $(touch /$at/below/x 2>/dev/null && echo below)
    done`;
    const { folder, start } = prepared(script, { volumes }, caller);
    const below = ownedFolder(caller, 'below', ownedFolder(caller, 'top', folder));
    mounted(caller, below, '-t', 'tmpfs', 'none');
    writeFileSync(join(below, 'file'), 'below');
    chmodSync(below, 0o777);
    const found = lines(await start());
    const first = ['enabled below', 'readonly below', 'writable below below'];
    const last = caller.user === undefined ? ['disabled none top below'] : ['disabled none'];
    expect(found).toEqual([...first, ...last]);
    if (caller.user === undefined) return;
    const folderOfOne = prepared('true', { volumes: [bind('/disabled', 'disabled', false)] }, caller);
    const other = ownedFolder(caller, 'below', ownedFolder(caller, 'top', folderOfOne.folder));
    mounted(caller, other, '-t', 'tmpfs', 'none');
    expect((await folderOfOne.start()).stderr).toContain('only root can leave out the mounts below a source');
  });

  test.skipIf(!isRoot)('mounts that are made later are seen inside where the file says so (needs root)', async () => {
    for (const [propagation, seen] of [
      ['rslave', 'late'],
      ['rprivate', 'none'],
    ] as const) {
      const script = 'echo ready; read line; cat /top/below/file 2>/dev/null || echo none';
      const volume = { type: 'bind', source: './top', target: '/top', bind: { propagation } };
      const folder = specFolder({ command: ['sh', '-c', script], volumes: [volume] }, caller);
      const top = ownedFolder(caller, 'top', folder);
      mounted(caller, top, '-t', 'tmpfs', 'none');
      execFileSync('mount', ['--make-shared', top]);
      const below = ownedFolder(caller, 'below', top);
      let go: (text: string) => void = () => undefined;
      const ended = await boxctl(
        ['up'],
        callerOptions(caller, folder, {
          stdin: () =>
            new Promise<string>((resolve) => {
              go = resolve;
            }),
          onStart: (child) => {
            child.stdout?.once('data', () => {
              execFileSync('mount', ['-t', 'tmpfs', 'none', below]);
              writeFileSync(join(below, 'file'), 'late\n');
              chmodSync(below, 0o755);
              go('\n');
            });
            child.once('exit', () => {
              go('');
              spawnSync('umount', [below]);
            });
          },
        }),
      );
      expect(lines(ended)).toEqual(['ready', seen]);
    }
  });

  test('propagation from a mount that is not shared is an error at its line', async () => {
    const volume = { type: 'bind', source: '/proc', target: '/p', bind: { propagation: 'rslave' } };
    const { stderr } = await sh('true', { volumes: [volume] }, caller);
    expect(stderr).toMatch(
      /error: `rslave` needs a source on a mount that is shared; \/proc is on \/proc, which is not/u,
    );
    expect(stderr).toContain('= help: mount --make-rshared /proc');
  });
});

describe.skipIf(!isRoot || !hasBusybox)('id-mapped binds as root (needs root and busybox-static)', () => {
  const look = 'stat -c %u:%g /b /b/mine /b/foreign; echo x >/b/new && stat -c %u:%g /b/new';
  const [root] = callers;
  test.each([{}, { namespaces: { user: 'host' } }])('the caller’s files belong to the user, with %j', async (keys) => {
    if (root === undefined) throw new Error('there is no caller');
    const volume = { type: 'bind', source: './b', target: '/b', bind: { idmap: true } };
    const folder = specFolder({ command: ['sh', '-c', look], user: 'app', volumes: [volume], ...keys }, root);
    const b = ownedFolder(root, 'b', folder);
    writeFileSync(join(b, 'mine'), '');
    writeFileSync(join(b, 'foreign'), '');
    chownSync(join(b, 'foreign'), 7, 7);
    const ended = await boxctl(['up', '--allow', 'namespace=user'], callerOptions(root, folder));
    expect(lines(ended)).toEqual(['1000:1000', '1000:1000', '65534:65534', '1000:1000']);
    expect(statSync(join(b, 'new'))).toMatchObject({ uid: 0, gid: 0 });
  });

  test('a file system without id-mapped mounts is an error, and no command runs', async () => {
    const volume = { type: 'bind', source: '/proc/sys', target: '/b', bind: { idmap: true } };
    const ended = await sh('echo ran', { user: 'app', volumes: [volume] }, root, { args: ['up', '--allow', 'bind'] });
    expect(ended.stdout).toBe('');
    expect(ended.stderr).toMatch(/the step mount\.b\.owners failed: mount_setattr\(.*MOUNT_ATTR_IDMAP.*: EINVAL/u);
    expect(ended.stderr).toContain('id-mapped mounts need ext4');
  });
});
