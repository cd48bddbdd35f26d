/** Attacks by ids and names that could be read in two ways, and by groups. */
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { attackFolder, attempts } from '../../support/attack.ts';
import { boxctl, PROGRAM, run } from '../../support/boxctl.ts';
import { hasBusybox, makeBusyboxTree } from '../../support/busybox.ts';
import { callerOptions, callers, self, sh, specFolder } from '../../support/container.ts';
import { tempFolder } from '../../support/temp.ts';
import { isRoot, testUser, userEnvironment } from '../../support/user.ts';

const EPERM = 1;
const EACCES = 13;

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  test.each([
    '1:',
    ':1',
    ':',
    '',
    '0x1',
    '+1',
    '-1',
    '01',
    '1 ',
    ' 1',
    'a:b',
    '1:2:3',
    '4294967295',
    '4294967296',
    '1e3',
    '٣',
  ])('the user %j is nobody, and not root (CVE-2026-30892, CVE-2024-40635)', async (user) => {
    const { status, stdout } = await sh('echo ran as $(id -u)', { user }, caller);
    expect([status, stdout]).toEqual([125, '']);
  });

  test.each([0x10, 1.5, -1, 4_294_967_295])('the user id %d is refused', async (user) => {
    const text = user === 0x10 ? 'user: 0x10' : `user: ${user}`;
    const folder = specFolder({ command: ['id', '-u'] }, caller);
    execFileSync('sh', ['-c', `echo '${text}' >>container.yaml`], { cwd: folder });
    const { status, stdout } = await boxctl(['up'], callerOptions(caller, folder));
    expect([status, stdout]).toEqual([125, '']);
  });
});

/** An image whose passwd is the attacker's. */
function imageWith(passwd: string, group = 'root:x:0:\n'): string {
  const folder = tempFolder({ open: true });
  const tree = join(folder, 'tree');
  makeBusyboxTree(tree);
  for (const name of ['dev', 'etc', 'proc', 'sys', 'tmp']) mkdirSync(join(tree, name));
  writeFileSync(join(tree, 'etc/passwd'), passwd);
  writeFileSync(join(tree, 'etc/group'), group);
  const archive = join(folder, 'image.tar');
  execFileSync('tar', ['--numeric-owner', '--owner=0', '--group=0', '-C', tree, '-cf', archive, '.']);
  chmodSync(archive, 0o644);
  return archive;
}

describe.skipIf(!hasBusybox || !isRoot)('an image’s own passwd (needs root and busybox-static)', () => {
  test('cannot make the user 0 of a number that it has as a name (CVE-2016-3697)', async () => {
    const image = imageWith('1000:x:0:0::/:/bin/sh\n1001:x:0:0::/:/bin/sh\n', '1000:x:0:\n');
    const { stdout } = await sh('id -u; id -g', { image, user: '1000:1000' });
    expect(stdout).toBe('1000\n1000\n');
    expect((await sh('id -u', { image, user: 1001 })).stdout).toBe('1001\n');
  });

  test.each(['4294967296', '4294967295', '-1', '+0', '0x0', '00', '', ' 0', '1e0'])(
    'has no user whose id is %j',
    async (id) => {
      const image = imageWith(`root:x:0:0::/:/bin/sh\nevil:x:${id}:${id}::/:/bin/sh\n`);
      const { status, stdout, stderr } = await sh('id -u', { image, user: 'evil' });
      expect([status, stdout]).toEqual([125, '']);
      expect(stderr).toContain('has no user "evil"');
    },
  );
});

describe.skipIf(testUser === undefined || !hasBusybox)(
  'groups (needs root, the user of .ci/run and busybox-static)',
  () => {
    const user = testUser ?? { name: '', uid: 0, gid: 0, home: '/' };
    const GROUP = 4;

    test('of the caller are dropped (CVE-2023-25173)', async () => {
      const folder = specFolder({ command: ['sh', '-c', 'grep ^Groups: /proc/self/status'] });
      const command = ['setpriv', '--groups=4,24,27', '--', process.execPath, PROGRAM, 'up'];
      const { stdout } = await run(command, callerOptions(self, folder));
      expect(stdout.trim()).toBe('Groups:');
    });

    test('cannot be dropped to get past a file that denies access to a group (CVE-2014-8989)', async () => {
      const caller = callers.find(({ title }) => title.includes('no id but his own')) ?? self;
      const folder = attackFolder('groups', {}, caller);
      const denied = join(folder, 'denied');
      writeFileSync(denied, 'secret');
      chownSync(denied, 0, GROUP);
      chmodSync(denied, 0o604);
      const who = [
        'setpriv',
        `--reuid=${user.uid}`,
        `--regid=${user.gid}`,
        `--groups=${GROUP}`,
        '--inh-caps=-all',
        '--',
      ];
      const env = { ...userEnvironment(user), BOXCTL_STORE: caller.store };
      const found = await run([...who, process.execPath, PROGRAM, 'up'], { cwd: folder, env });
      expect(attempts(found)).toEqual({ setgroups: EPERM, open: EACCES });
      // Another ordinary user, who is not in the group, may read it: it is the group that is denied.
      const others = await run([
        'setpriv',
        `--reuid=${user.uid}`,
        `--regid=${user.gid}`,
        '--clear-groups',
        'cat',
        denied,
      ]);
      expect(others.stdout).toBe('secret');
    });

    test('keep_id gives the caller his own ids, and root inside is a subordinate id outside', async () => {
      const caller = callers.find(({ title }) => title.includes('with subordinate ids')) ?? self;
      const script = 'id -u; id -g; cat /proc/self/uid_map | tr -s " "';
      const { stdout, stderr } = await sh(script, { keep_id: true }, caller);
      expect(stderr).toBe('');
      const [uid, gid, ...map] = stdout.trimEnd().split('\n');
      expect([uid, gid]).toEqual([String(user.uid), String(user.gid)]);
      expect(map.map((line) => line.trim())).toContain(`${user.uid} ${user.uid} 1`);
      expect(map[0]?.trim().startsWith('0 0 ')).toBe(false);
    });

    test('keep_id is refused to root, and to a user without a subordinate id for root inside', async () => {
      const none = callers.find(({ title }) => title.includes('no id but his own')) ?? self;
      const asRoot = await sh('true', { keep_id: true });
      expect([asRoot.status, asRoot.stderr.includes('root of the host')]).toEqual([125, true]);
      const both = await sh('true', { keep_id: true }, none);
      expect([both.status, both.stderr.includes('both say which ids')]).toEqual([125, true]);
    });
  },
);
