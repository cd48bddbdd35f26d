/** Volumes that boxctl keeps. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { boxctl, type Ended, type RunOptions } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, specFolder, type Caller } from '../support/container.ts';
import { changedRootfs } from '../support/rootfs.ts';

function lines(ended: Ended): readonly string[] {
  if (ended.status !== 0) throw new Error(ended.stderr);
  return ended.stdout.trimEnd().split('\n');
}

/** Commands in containers of one folder, and what of the store belongs to it. */
function project(caller: Caller, spec: Readonly<Record<string, unknown>>) {
  const folder = specFolder({ command: ['true'], ...spec }, caller);
  const all = join(caller.store, 'volumes');
  const kept = (): readonly string[] =>
    existsSync(all)
      ? readdirSync(all).filter(
          (id) =>
            !id.startsWith('.') &&
            execFileSync('readlink', [join(all, id, 'folder')], { encoding: 'utf8' }).trim() === folder,
        )
      : [];
  onTestFinished(() => {
    for (const id of kept()) rmSync(join(all, id), { recursive: true });
  });
  const run = (script: string, options?: RunOptions) =>
    boxctl(['run', '--', 'sh', '-c', script], callerOptions(caller, folder, options));
  return { folder, run, kept, data: () => join(all, kept()[0] ?? '', 'data') };
}

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test('a volume stays, and the next container finds what was written', async () => {
    const { run, kept } = project(caller, { volumes: ['cache:/cache'] });
    const first = await run('ls -A /cache; stat -c %u:%a /cache; echo kept >/cache/file', {
      once: 'the volume is new',
    });
    expect(lines(first)).toEqual(['0:755']);
    expect(lines(await run('cat /cache/file'))).toEqual(['kept']);
    expect(kept()).toHaveLength(1);
    expect(kept()[0]).toMatch(/^cache-[0-9a-f]{12}$/u);
  });

  test('a new volume is filled with a copy of the image’s folder: owners, modes, links, pipes, times', async () => {
    const image = changedRootfs((tree) => {
      const script = `mkdir -m 1750 data data/sub; echo text >data/sub/file; chmod 4751 data/sub/file; mkfifo -m 640 data/pipe
        ln -s ../../../../etc/passwd data/link; touch -d @1000000000 data/sub/file data/sub`;
      execFileSync('sh', ['-c', script], { cwd: tree });
    });
    const { run, data } = project(caller, { image, volumes: ['data:/data', 'other:/other:nocopy'] });
    const look =
      'cd /data; stat -c "%n %F %a %u %Y" . sub sub/file | sed "s/ [0-9]*$//;1!s/$/ old/"; stat -c %Y sub/file; stat -c %F pipe; readlink link';
    const first = lines(await run(look));
    expect(first).toEqual([
      '. directory 1750 0',
      'sub directory 1750 0 old',
      'sub/file regular file 4751 0 old',
      '1000000000',
      'fifo',
      '../../../../etc/passwd',
    ]);
    await run('rm -r /data/*; echo mine >/data/only');
    expect(lines(await run('ls /data'))).toEqual(['only']);
    // Nobody else on the host gets at its set-user-id programs.
    expect(statSync(join(data(), '../..')).mode & 0o077).toBe(0);
  });

  test('a new volume belongs to the command’s user, unless the image or the file says otherwise', async () => {
    if ('uid_map' in caller.keys) return;
    const image = changedRootfs((tree) => {
      execFileSync('sh', ['-c', 'mkdir -m 700 theirs'], { cwd: tree });
    });
    const volumes = [
      'mine:/not/in/the/image',
      'theirs:/theirs',
      'empty:/empty:nocopy',
      'said:/said:uid=7,gid=8,mode=0750',
      'both:/theirs2:uid=9',
      { type: 'volume', source: 'long', target: '/long', volume: { gid: 5, mode: '2770' } },
    ];
    const { run } = project(caller, { image, user: '1000:1000', volumes });
    const look =
      'cd /; stat -c "%n %u:%g %a" not/in/the/image theirs empty said theirs2 long; touch not/in/the/image/x';
    const expected = [
      'not/in/the/image 1000:1000 755',
      'theirs 0:0 700',
      'empty 1000:1000 755',
      'said 7:8 750',
      'theirs2 9:1000 755',
      'long 1000:5 2770',
    ];
    expect(lines(await run(look))).toEqual(expected);
    expect(lines(await run(look))).toEqual(expected);
  });

  test('a volume cannot belong to an id that does not exist inside, or have no mode', async () => {
    const volumes = ['a:/a:uid=4000000', { type: 'volume', source: 'b', target: '/b', volume: { mode: '0' } }];
    const one = await project(caller, { volumes: [volumes[0]] }).run('true');
    expect(one.stderr).toContain('the volume cannot belong to it: ');
    const other = await project(caller, { volumes: [volumes[1]] }).run('true');
    expect(other.stderr).toContain('nobody could use a volume of mode 0');
  });

  test('a copy that was interrupted is made again', async () => {
    const { run, data } = project(caller, { volumes: ['etc:/etc'] });
    lines(await run('true'));
    execFileSync('sh', ['-c', 'rm passwd; touch half; chmod 0 .'], { cwd: data() });
    expect(lines(await run('ls /etc'))).toEqual(['group', 'passwd']);
  });

  test('two containers that start at once both see the complete copy', async () => {
    const { run } = project(caller, { volumes: ['etc:/etc'] });
    const all = await Promise.all(Array.from({ length: 6 }, () => run('ls /etc; id -un')));
    for (const ended of all) expect(lines(ended)).toEqual(['group', 'passwd', 'root']);
  });

  test('the same name in another folder is another volume', async () => {
    const [one, two] = [project(caller, { volumes: ['cache:/cache'] }), project(caller, { volumes: ['cache:/cache'] })];
    lines(await one.run('echo secret >/cache/file'));
    expect(lines(await two.run('ls -A /cache | wc -l'))).toEqual(['0']);
  });

  test('a folder in a volume can be mounted, and a link in it is not followed', async () => {
    const volume = (target: string, subpath: string) => ({ type: 'volume', source: 'v', target, volume: { subpath } });
    const { folder, run } = project(caller, { volumes: ['v:/v'] });
    lines(await run('mkdir -p /v/a/b; echo below >/v/a/b/file; ln -sfn / /v/root; ln -sfn a /v/link'));
    const with_ = (subpath: string) => {
      const file = specFolder({ volumes: [volume('/part', subpath)], command: ['cat', '/part/file'] }, caller);
      execFileSync('cp', ['-p', join(file, 'container.yaml'), join(folder, `part.yaml`)]);
      return boxctl(['up', 'part.yaml'], callerOptions(caller, folder));
    };
    expect(lines(await with_('a/b'))).toEqual(['below']);
    for (const subpath of ['root/etc', 'link/b', 'nothing']) {
      const { status, stderr } = await with_(subpath);
      expect({ status, hint: stderr.includes('the folder must be in the volume, with no link on the way') }).toEqual({
        status: 125,
        hint: true,
      });
    }
  });

  test('read-only and noexec hold for a volume, also for a new one', async () => {
    const { run } = project(caller, { volumes: ['etc:/etc:ro,noexec'] });
    const script =
      'cat /etc/group | head -n 1; (echo >/etc/x) 2>&1; awk \'$5 == "/etc" { print $6 }\' /proc/self/mountinfo';
    expect(lines(await run(script))).toEqual([
      'root:x:0:',
      expect.stringContaining('Read-only file system'),
      expect.stringMatching(/^ro,nosuid,nodev,noexec/u),
    ]);
  });

  test('a volume is listed, kept while it is in use, and removed with files of every owner', async () => {
    const { run, kept, folder } = project(caller, { volumes: ['data:/data'] });
    const command = (...words: readonly string[]) => boxctl(['volume', ...words], callerOptions(caller, folder));
    lines(
      await run('mkdir -p /data/a/b; echo >/data/a/b/file; chown -R 1000:1000 /data/a 2>/dev/null; chmod 0 /data/a'),
    );
    const id = kept()[0] ?? '';
    const table = lines(await command('ls'));
    expect(table[0]).toMatch(/^NAME +SIZE +IN USE +ID +FOLDER$/u);
    expect(table.find((line) => line.includes(id))).toMatch(
      new RegExp(`^data +[0-9.]+ k?B\\+? +no +${id} +${folder}$`, 'u'),
    );
    expect(lines(await command('ls', '--ids'))).toContain(id);
    const all = JSON.parse((await command('ls', '--json')).stdout) as readonly { readonly id: string }[];
    expect(all.find((volume) => volume.id === id)).toMatchObject({
      name: 'data',
      folder,
      folderExists: true,
      inUse: false,
      size: expect.any(Number) as number,
    });
    let look: Promise<readonly [Ended, Ended]> | undefined;
    const spec = callerOptions(caller, folder, {
      stdin: () =>
        new Promise<string>((resolve) => {
          release = resolve;
        }),
      onStart: (child) =>
        child.stdout?.once('data', () => {
          look = Promise.all([command('rm', id), command('inspect', id)]).finally(() => release('\n'));
        }),
    });
    lines(await boxctl(['run', '--', 'sh', '-c', 'echo ready; read line'], spec));
    const [removed, inspected] = (await look) ?? [];
    expect(removed).toMatchObject({ status: 125, stderr: expect.stringContaining(`the volume ${id} is in use`) });
    expect(JSON.parse(inspected?.stdout ?? '')).toMatchObject([{ id, folder, inUse: true }]);
    expect(kept()).toEqual([id]);
    expect(lines(await command('rm', id))).toEqual([id]);
    expect(kept()).toEqual([]);
    expect(readdirSync(join(caller.store, 'volumes/.trash'))).toEqual([]);
    expect((await command('rm', '../..')).stderr).toContain('there is no volume "../.."');
  });

  test('a volume can be named as its file does, unless other folders have a volume of that name', async () => {
    const [one, two] = [project(caller, { volumes: ['same:/p'] }), project(caller, { volumes: ['same:/p'] })];
    for (const { run } of [one, two]) lines(await run('true'));
    const elsewhere = await boxctl(['volume', 'rm', 'same'], callerOptions(caller, '/'));
    expect(elsewhere).toMatchObject({ status: 125, stdout: '' });
    expect(elsewhere.stderr).toMatch(/\d+ volumes are called same\n.*same-[0-9a-f]{12}, same-[0-9a-f]{12}/u);
    const id = one.kept()[0];
    expect(lines(await boxctl(['volume', 'rm', 'same'], callerOptions(caller, one.folder)))).toEqual([id]);
    expect([one.kept(), two.kept().length]).toEqual([[], 1]);
    const gone = await boxctl(['volume', 'rm', '--json', two.kept()[0] ?? ''], callerOptions(caller, '/'));
    expect(JSON.parse(gone.stdout)).toMatchObject({ removed: [expect.stringMatching(/^same-/u)] });
  });

  test('the size of a volume counts each file once, and no targets of links', async () => {
    const { run, folder } = project(caller, { volumes: ['sized:/data'] });
    lines(
      await run(
        'dd if=/dev/zero of=/data/a bs=1024 count=300 2>/dev/null; ln -f /data/a /data/b; ln -sfn / /data/root',
      ),
    );
    const [volume] = JSON.parse(
      (await boxctl(['volume', 'inspect', 'sized'], callerOptions(caller, folder))).stdout,
    ) as readonly { readonly size: number }[];
    expect(volume?.size).toBeGreaterThanOrEqual(300 * 1024);
    expect(volume?.size).toBeLessThan(400 * 1024);
  });

  test('volumes whose folder is gone are pruned, and no others', async () => {
    const [one, two] = [project(caller, { volumes: ['p:/p'] }), project(caller, { volumes: ['p:/p'] })];
    lines(await one.run('true'));
    lines(await two.run('true'));
    const id = one.kept()[0] ?? '';
    rmSync(one.folder, { recursive: true });
    const pruned = lines(await boxctl(['volume', 'prune'], callerOptions(caller, two.folder)));
    expect(pruned).toContain(id);
    expect(two.kept()).toHaveLength(1);
  });
});

let release: (text: string) => void = () => undefined;
