/** Ways out through control groups: `release_agent` (CVE-2022-0492), a writable /sys/fs/cgroup (CVE-2023-25809). */
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { hasBusybox } from '../../support/busybox.ts';
import { callers, self, sh, state } from '../../support/container.ts';
import { isRoot, testUser } from '../../support/user.ts';

const TOP = '/sys/fs/cgroup';

/** What the kernel would start on the host when a cgroup of version 1 becomes empty, of each hierarchy. */
function agents(): readonly string[] {
  return readdirSync(TOP)
    .map((name) => join(TOP, name, 'release_agent'))
    .filter((file) => existsSync(file))
    .map((file) => `${file}: ${readFileSync(file, 'utf8')}`);
}

const WRITE = `
  for file in $(find /sys/fs/cgroup -type f 2>/dev/null); do
    echo 1 2>/dev/null >$file && echo "wrote $file"
  done
  mkdir /sys/fs/cgroup/new 2>/dev/null && echo 'made a cgroup'
  for folder in /sys/fs/cgroup/*/; do mkdir $folder/new 2>/dev/null && echo "made $folder/new"; done
  mount -o remount,rw /sys/fs/cgroup 2>/dev/null && echo 'writable now'
  echo tried
`;
const MOUNT = `
  mkdir -p /tmp/cg
  for type in 'cgroup -o memory' 'cgroup -o rdma' 'cgroup -o none,name=mine' 'cgroup -o pids' 'cgroup2'; do
    mount -t $type none /tmp/cg 2>/dev/null && echo "mounted $type"
  done
  unshare -U -r true 2>/dev/null && echo 'a user namespace'
  unshare -U -r -C -m true 2>/dev/null && echo 'and one of cgroups'
  echo tried
`;

const LIMITS = isRoot ? { memory: '64MiB', pids: 64 } : {};

describe.skipIf(!hasBusybox).each(callers)('as $title (needs busybox-static)', (caller) => {
  const limits = caller === self ? LIMITS : {};

  test('no file under /sys/fs/cgroup can be written, and no folder can be made there', async () => {
    const before = agents();
    const { stdout } = await sh(WRITE, { limits }, caller);
    expect(stdout).toBe('tried\n');
    expect(agents()).toEqual(before);
  });

  test('no cgroup hierarchy can be mounted again, not even from a user namespace of its own', async () => {
    const before = agents();
    const { stdout } = await sh(MOUNT, { limits }, caller);
    expect(stdout).toBe('tried\n');
    expect(agents()).toEqual(before);
  });

  test('/proc/self/cgroup names each cgroup as the root, and not by its name on the host', async () => {
    const { stdout } = await sh(
      'cut -d: -f3 /proc/self/cgroup | sort -u; cat /proc/1/cgroup | cut -d: -f3 | sort -u',
      { limits },
      caller,
    );
    // Where the container has no limits, it is where boxctl is, and that is its root.
    expect(stdout).toBe('/\n/\n');
  });
});

test.skipIf(!isRoot || !hasBusybox)(
  'even with CAP_SYS_ADMIN in its own user namespace, release_agent stays what it was (needs root and busybox-static)',
  async () => {
    const before = agents();
    const stays = state(self);
    const spec = { cap_add: ['SYS_ADMIN'], limits: LIMITS };
    const args = ['up', '--allow', 'cap=SYS_ADMIN'];
    const script = `${MOUNT.replace('echo tried', '')}
      for file in $(find / -xdev -name release_agent; find /tmp/cg /sys/fs/cgroup -name release_agent); do
        echo /bin/evil 2>/dev/null >$file && echo "wrote $file"
      done
      echo tried`;
    const { stdout } = await sh(script, spec, self, { args });
    expect(stdout).not.toContain('wrote');
    expect(agents()).toEqual(before);
    expect(state(self)).toEqual(stays);
  },
);

/** A cgroup that is the caller's, as systemd gives him one for his session. */
async function withOwnCgroup(uid: number, use: (folder: string) => Promise<void>): Promise<void> {
  const hierarchy = existsSync(join(TOP, 'cgroup.procs')) ? TOP : join(TOP, 'pids');
  const folder = mkdtempSync(join(hierarchy, 'boxctl-test-'));
  try {
    chownSync(folder, uid, uid);
    await use(folder);
  } finally {
    for (const name of ['made', '']) if (existsSync(join(folder, name))) rmdirSync(join(folder, name));
  }
}

describe.skipIf(testUser === undefined || !hasBusybox)(
  'with the host’s network, and so the host’s /sys (needs root, the test user and busybox-static)',
  () => {
    const [, caller = self] = callers;
    const attempt = (folder: string, namespaces: Readonly<Record<string, string>>) =>
      sh(
        `ls -d ${folder}; mkdir ${folder}/made && echo 0 >${folder}/made/cgroup.procs && echo out; echo tried`,
        { namespaces: { net: 'host', ...namespaces } },
        caller,
        { args: ['up', '--allow', 'namespace'] },
      );

    test('a cgroup of the caller’s own cannot be seen', async () => {
      await withOwnCgroup(caller.uid, async (folder) => {
        expect((await attempt(folder, {})).stdout).toBe('tried\n');
      });
    });

    test('where the host’s cgroups can be seen, a process cannot move out of its limits', async () => {
      await withOwnCgroup(caller.uid, async (folder) => {
        expect((await attempt(folder, { cgroup: 'host' })).stdout).toBe(`${folder}\ntried\n`);
      });
    });
  },
);
