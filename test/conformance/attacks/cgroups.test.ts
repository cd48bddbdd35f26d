/** Ways out through control groups: `release_agent` (CVE-2022-0492), a writable /sys/fs/cgroup (CVE-2023-25809). */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { hasBusybox } from '../../support/busybox.ts';
import { callers, self, sh, state } from '../../support/container.ts';
import { isRoot } from '../../support/user.ts';

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

  test('nothing under /sys/fs/cgroup can be written, and nothing made', async () => {
    const before = agents();
    const { stdout } = await sh(WRITE, { limits }, caller);
    expect(stdout).toBe('tried\n');
    expect(agents()).toEqual(before);
  });

  test('no hierarchy can be mounted again, also not from a user namespace of its own', async () => {
    const before = agents();
    const { stdout } = await sh(MOUNT, { limits }, caller);
    expect(stdout).toBe('tried\n');
    expect(agents()).toEqual(before);
  });

  test('the cgroups of the host have no names inside: each is the root', async () => {
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
