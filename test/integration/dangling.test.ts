/** Mounts, and working directories, at links of the image that lead to nothing. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { boxctl } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callerOptions, callers, sh, specFolder, type Caller } from '../support/container.ts';
import { changedRootfs } from '../support/rootfs.ts';

function withLinks(links: Readonly<Record<string, string>>): string {
  return changedRootfs((tree) => {
    for (const [path, target] of Object.entries(links)) {
      mkdirSync(dirname(join(tree, path)), { recursive: true });
      symlinkSync(target, join(tree, path));
    }
  });
}

const LINKS = {
  'etc/localtime': '/usr/share/zoneinfo/Etc/UTC',
  'etc/relative': '../run/made/relative',
  above: '../../../../../made/above',
  chain: 'chain-2',
  'chain-2': '/chain-3/end',
  'chain-3': 'var/not-there',
  middle: '/srv/not-there',
};

/** A container whose folder has a file `file` and a folder `folder` with a file. */
async function run(spec: Readonly<Record<string, unknown>>, script: string, caller: Caller) {
  const image = withLinks(LINKS);
  const folder = specFolder({ image, command: ['sh', '-c', script.replaceAll('$', '$$$$')], ...spec }, caller);
  writeFileSync(join(folder, 'file'), 'text of the host\n');
  mkdirSync(join(folder, 'folder'));
  writeFileSync(join(folder, 'folder/inner'), 'inner\n');
  const { status, stdout, stderr } = await boxctl(['up'], callerOptions(caller, folder));
  return { status, stdout, stderr: status === 0 ? '' : stderr };
}

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test.each([
    ['an absolute link', '/etc/localtime', '/usr/share/zoneinfo/Etc/UTC'],
    ['a relative link', '/etc/relative', '/run/made/relative'],
    ['a link that climbs over the root', '/above', '/made/above'],
    ['a chain of links', '/chain', '/var/not-there/end'],
    ['a link in the middle', '/middle/a/b', '/srv/not-there/a/b'],
  ])('a bind of a file at %s is seen at both names', async (_, target, made) => {
    const spec = { volumes: [`./file:${target}:ro`] };
    expect(await run(spec, `cat ${target} ${made}`, caller)).toEqual({
      status: 0,
      stdout: 'text of the host\n'.repeat(2),
      stderr: '',
    });
  });

  test('binds of folders, volumes and tmpfs are mounted where a link of the image leads', async () => {
    const spec = { volumes: ['./folder:/etc/localtime:ro', 'kept:/chain'], tmpfs: ['/middle/tmp'] };
    const script = `cat /usr/share/zoneinfo/Etc/UTC/inner; touch /middle/tmp/x; ls /srv/not-there/tmp
      awk '$5 ~ "^/(var|srv|usr)" { print $5 }' /proc/self/mountinfo | sort`;
    expect(await run(spec, script, caller)).toEqual({
      status: 0,
      stdout: 'inner\nx\n/srv/not-there/tmp\n/usr/share/zoneinfo/Etc/UTC\n/var/not-there/end\n',
      stderr: '',
    });
  });

  test('a working directory behind a link that leads to nothing is made', async () => {
    for (const [path, real] of [
      ['/chain', '/var/not-there/end'],
      ['/middle/deeper', '/srv/not-there/deeper'],
    ]) {
      expect(await run({ working_dir: path }, 'pwd -P', caller)).toEqual({
        status: 0,
        stdout: `${real}\n`,
        stderr: '',
      });
    }
  });

  test('links in a circle, and those that lead into /proc, /sys and /dev, are refused with a reason', async () => {
    for (const [link, hint] of [
      ['/at', 'lead in a circle'],
      ['/proc/made', 'a link of the image leads'],
      ['/sys/made', 'a link of the image leads'],
      ['../dev/made', 'a link of the image leads'],
    ] as const) {
      const image = withLinks({ at: link });
      for (const keys of [{ volumes: ['./container.yaml:/at:ro'] }, { tmpfs: ['/at/x'] }, { working_dir: '/at/x' }]) {
        const { status, stderr } = await sh('true', { image, ...keys }, caller);
        expect({ link, keys, status, told: stderr.includes(hint) }).toEqual({ link, keys, status: 125, told: true });
      }
    }
  });
});
