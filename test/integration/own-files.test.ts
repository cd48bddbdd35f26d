/** The files that every container gets: its names, who its user is, and that user's home. */
import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { boxctl, PROGRAM, run, type Ended } from '../support/boxctl.ts';
import { hasBusybox, makeBusyboxTree } from '../support/busybox.ts';
import { callerOptions, callers, sh, specFolder } from '../support/container.ts';
import { changedRootfs } from '../support/rootfs.ts';
import { tempFolder } from '../support/temp.ts';
import { userEnvironment } from '../support/user.ts';

function text(ended: Ended): string {
  if (ended.status !== 0) throw new Error(`status ${ended.status}: ${ended.stdout}${ended.stderr}`);
  return ended.stdout;
}

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test('a container knows localhost and its own name, by all of its files', async () => {
    const spec = { hostname: 'web', domainname: 'example.org' };
    const script = `hostname -f; cat /etc/hostname; ping -c 1 -w 5 web | head -n 1; ping -c 1 -w 5 localhost | head -n 1
      cat /etc/resolv.conf | grep -c nameserver; grep -c . /etc/hosts`;
    const lines = text(await sh(script, { ...spec, cap_add: [] }, caller))
      .trimEnd()
      .split('\n');
    expect(lines.slice(0, 3)).toEqual(['web.example.org', 'web', expect.stringContaining('PING web (127.0.0.1)')]);
    expect(lines[3]).toMatch(/^PING localhost \((?:127\.0\.0\.1|::1)\)/u);
    expect(lines.slice(4)).toEqual(['0', '7']);
  });

  test.each([false, true])(
    'they can be written inside, and nothing outside changes (read_only: %s)',
    async (readOnly) => {
      const files = ['/etc/hosts', '/etc/hostname', '/etc/resolv.conf'];
      const before = files.map((file) => readFileSync(file, 'utf8'));
      const script = `for f in ${files.join(' ')}; do echo "127.0.0.9 added" >>$f && tail -n 1 $f; done`;
      for (let i = 0; i < 2; i++) {
        const ended = await sh(`grep -l added ${files.join(' ')}; ${script}`, { read_only: readOnly }, caller);
        expect(text(ended)).toBe('127.0.0.9 added\n'.repeat(3));
      }
      expect(files.map((file) => readFileSync(file, 'utf8'))).toEqual(before);
    },
  );

  test('a file that container.yaml mounts there stays as it is', async () => {
    const folder = specFolder(
      {
        volumes: ['./mine:/etc/hosts:ro', 'etc:/etc/kept:nocopy'],
        command: ['sh', '-c', 'cat /etc/hosts; ls /etc /etc/kept'],
      },
      caller,
    );
    writeFileSync(join(folder, 'mine'), 'mine\n');
    const shown = text(await boxctl(['up'], callerOptions(caller, folder)));
    expect(shown).toBe('mine\n/etc:\ngroup\nhostname\nhosts\nkept\npasswd\nresolv.conf\n\n/etc/kept:\n');
    expect(text(await sh('ls -A /etc', { tmpfs: ['/etc'] }, caller))).toBe('');
  });

  test('in the host’s network a container has the host’s names and name servers, and its own name', async () => {
    const spec = { namespaces: { net: 'host' }, hostname: 'a-name-of-its-own' };
    const args = { args: ['up', '--allow', 'namespace=net'] };
    const shown = text(await sh('cat /etc/resolv.conf; echo ---; cat /etc/hosts', spec, caller, args));
    const [resolv = '', hosts = ''] = shown.split('---\n');
    expect(resolv).toBe(readFileSync('/etc/resolv.conf', 'utf8'));
    expect(hosts).toContain(readFileSync('/etc/hosts', 'utf8'));
    expect(hosts).toContain('127.0.0.1\ta-name-of-its-own\n');
    expect(hosts).toMatch(/\blocalhost\b/u);
  });

  test('an image without /etc, one in which they are links, pipes or folders, and a folder as an image', async () => {
    const image = (script: string): string =>
      changedRootfs((tree) => void execFileSync('sh', ['-c', script], { cwd: tree }));
    const look = 'grep -c "^127.0.0.1.localhost" /etc/hosts; cat /etc/hostname';
    for (const script of [
      'rm -r etc',
      'ln -s /run/made/hosts etc/hosts; ln -s ../run/systemd/resolve/stub-resolv.conf etc/resolv.conf',
      'ln -s /proc/self/mounts etc/hosts; ln -s etc/hosts etc/hostname',
      'mkfifo etc/hosts; truncate -s 8M etc/hostname',
      'mv etc conf; ln -s conf etc',
    ]) {
      const shown = text(await sh(look, { image: image(script), tmpfs: ['/run'], hostname: 'inside' }, caller));
      expect({ script, shown }).toEqual({ script, shown: '1\ninside\n' });
    }
    const odd = image('mkdir etc/hosts etc/hostname; ln -s resolv.conf etc/resolv.conf');
    expect(text(await sh('echo well', { image: odd }, caller))).toBe('well\n');

    const rootfs = join(tempFolder({ open: true }), 'rootfs');
    makeBusyboxTree(rootfs);
    for (const name of ['etc', 'proc', 'sys', 'dev', 'tmp']) mkdirSync(join(rootfs, name));
    if (caller.user !== undefined) execFileSync('chown', ['-R', `${caller.user.uid}:${caller.user.gid}`, rootfs]);
    execFileSync('chmod', ['-R', 'a+rX', rootfs]);
    const allowed = { args: ['up', '--allow', 'image'] };
    expect(text(await sh(look, { image: { folder: rootfs }, hostname: 'inside' }, caller, allowed))).toBe(
      '1\ninside\n',
    );
    expect(execFileSync('ls', ['-A', join(rootfs, 'etc')], { encoding: 'utf8' })).toBe('');
  });

  test('an image with a hostile /etc/passwd starts without delay', async () => {
    for (const script of [
      'mkfifo etc/passwd',
      'mkdir etc/passwd',
      'ln -s passwd etc/passwd',
      'ln -s /dev/zero etc/passwd',
    ]) {
      const image = changedRootfs((tree) => void execFileSync('sh', ['-c', `rm etc/passwd; ${script}`], { cwd: tree }));
      expect({ script, out: text(await sh('echo well', { image }, caller)) }).toEqual({ script, out: 'well\n' });
    }
  });

  test('without a root of its own a container has the host’s files', async () => {
    const spec = { image: undefined, namespaces: { mount: 'host' }, command: ['cat', '/etc/hostname'] };
    const folder = specFolder(spec, caller);
    const ended = await boxctl(['up', '--allow', 'namespace=mount'], callerOptions(caller, folder));
    expect({ stdout: ended.stdout, stderr: ended.stderr }).toEqual({
      stdout: readFileSync('/etc/hostname', 'utf8'),
      stderr: '',
    });
  });
});

describe.skipIf(!hasBusybox).each(callers.filter(({ user, keys }) => user !== undefined && !('uid_map' in keys)))(
  'for a developer, $title (needs busybox-static)',
  (caller) => {
    test('keep_id gives a shell with a name, a home that can be written, and volumes in it', async () => {
      const name = caller.user?.name ?? '';
      const script = `id -un; echo $HOME; touch $HOME/x $HOME/.cache/y; stat -c %u $HOME $HOME/.cache; id -u`;
      const home = `/home/${name}`;
      const spec = { keep_id: true, volumes: [`cache-${process.pid}:${home}/.cache`] };
      const { uid } = caller;
      expect(text(await sh(script, spec, caller))).toBe(`${name}\n${home}\n${uid}\n${uid}\n${uid}\n`);
    });

    test('keep_groups keeps what the caller’s groups may do, when it is allowed', async () => {
      const { user } = caller;
      if (user === undefined) return;
      const gid = 54_321;
      const shared = tempFolder({ open: true });
      writeFileSync(join(shared, 'file'), 'of the group\n', { mode: 0o640 });
      chownSync(join(shared, 'file'), 0, gid);
      const up = (keys: object, ...allow: readonly string[]) => {
        const folder = specFolder({ volumes: [`${shared}:/s:ro`], command: ['cat', '/s/file'], ...keys }, caller);
        const words = ['up', '--allow', `bind=${shared}:ro`, ...allow.flatMap((word) => ['--allow', word])];
        const as = [
          'setpriv',
          `--reuid=${user.uid}`,
          `--regid=${user.gid}`,
          `--groups=${gid}`,
          '--inh-caps=-all',
          '--',
        ];
        const { user: _, ...options } = callerOptions(caller, folder);
        return run([...as, process.execPath, PROGRAM, ...words], {
          ...options,
          env: { ...userEnvironment(user), ...options.env },
        });
      };
      expect((await up({})).stderr).toContain('Permission denied');
      expect(await up({ keep_groups: true })).toMatchObject({
        status: 125,
        stderr: expect.stringContaining('--allow groups'),
      });
      expect(await up({ keep_groups: true }, 'groups')).toMatchObject({ status: 0, stdout: 'of the group\n' });
      expect(await up({ keep_groups: true, keep_id: true }, 'groups')).toMatchObject({ stdout: 'of the group\n' });
    });

    test('keep_groups beside group_add is an error that says why', async () => {
      const { status, stderr } = await sh('true', { keep_groups: true, group_add: [5] }, caller);
      expect([status, stderr]).toEqual([125, expect.stringContaining('keep_groups')]);
    });
  },
);

test.skipIf(!hasBusybox)('the host’s own name is known where it is shared (needs busybox-static)', async () => {
  const [caller] = callers;
  const ended = await sh('cat /etc/hostname', { namespaces: { uts: 'host' } }, caller, {
    args: ['up', '--allow', 'namespace=uts'],
  });
  expect(text(ended)).toBe(`${hostname()}\n`);
});

// Who has no id but his own can run a command as that alone.
describe.skipIf(!hasBusybox).each(callers.filter(({ keys }) => !('uid_map' in keys)))(
  'as $title, with ids to choose from (needs busybox-static)',
  (caller) => {
    test('a user without an entry gets one, and a home that is its own', async () => {
      const script = `id -un; id -gn; echo $HOME; stat -c %u:%g $HOME; touch ~/x; cd; pwd
      tail -n 1 /etc/passwd; head -n 1 /etc/passwd; tail -n 1 /etc/group`;
      const expected = `user\nuser\n/home/user\n2000:3000\n/home/user\nuser:*:2000:3000::/home/user:/bin/sh
root:x:0:0:root:/root:/bin/sh\nuser:*:3000:\n`;
      for (const keys of [{}, { read_only: true, tmpfs: ['/home'] }, { volumes: ['homes:/home'] }]) {
        const shown = await sh(script, { user: '2000:3000', ...keys }, caller);
        expect({ keys, shown: text(shown) }).toEqual({ keys, shown: expected });
      }
      const known = await sh('id -un; echo $HOME; grep -c . /etc/passwd /etc/group', { user: '1000:1000' }, caller);
      expect(text(known)).toBe('app\n/home/app\n/etc/passwd:2\n/etc/group:2\n');
    });

    test('folders of an added home on the way to what is mounted in it are its user’s', async () => {
      const spec = {
        user: '2000:3000',
        volumes: ['deep:/home/user/.cache/a/b', 'inner:/home/user/.local/share/c/d', 'other:/data/x/y'],
        tmpfs: ['/home/user/.local/share'],
      };
      const script = `touch ~/.cache/1 ~/.cache/a/1 ~/.cache/a/b/1 ~/.local/1; stat -c %u:%g ~/.cache ~/.cache/a ~/.local /data/x`;
      expect(text(await sh(script, spec, caller))).toBe('2000:3000\n2000:3000\n2000:3000\n0:0\n');
    });

    test('entries are added to what the image has, byte for byte, and only inside', async () => {
      const image = changedRootfs((tree) => {
        writeFileSync(
          join(tree, 'etc/passwd'),
          Buffer.from('root:x:0:0:caf\xe9:/root:/bin/sh\nuser:x:5:5::/:/bin/sh', 'latin1'),
        );
        rmSync(join(tree, 'etc/group'));
        symlinkSync('/usr/lib/group', join(tree, 'etc/group'));
      });
      const script =
        'od -c /etc/passwd | head -n 1; tail -n 2 /etc/passwd; cat /usr/lib/group; id -un; echo "own:x:9:9::/:" >>/etc/passwd; echo $?';
      const ended = await sh(script, { image, user: '0:0' }, caller);
      expect(text(ended)).toContain('root:*:0:\nroot\n0\n');
      expect(text(await sh('tail -n 2 /etc/passwd; id -un', { image, user: '77' }, caller))).toBe(
        'user:x:5:5::/:/bin/sh\nuser77:*:77:0::/home/user77:/bin/sh\nuser77\n',
      );
    });
  },
);
