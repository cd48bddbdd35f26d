import { describe, expect, it } from 'vitest';
import type { Check } from '../../../src/doctor/check.ts';
import { examine, isWell } from '../../../src/doctor/examine.ts';
import type { Findings } from '../../../src/doctor/gather.ts';
import { installCommand } from '../../../src/doctor/install.ts';
import { ERRNO } from '../../../src/kernel/constants.ts';
import { DEFAULT_POOL } from '../../../src/model/network-defaults.ts';
import { ROOT_HOST, USER_ALONE_HOST, USER_HOST } from '../../support/host-facts.ts';

const CALLS = { open_tree: 22, mount_setattr: 22, openat2: 22, clone3: 22, pidfd_open: 22, close_range: 22 };

const WELL: Findings = {
  host: ROOT_HOST,
  calls: { ...CALLS, landlock_create_ruleset: 4 },
  container: { ok: true, steps: 200, leftOut: [] },
  limits: { ok: true, steps: 210, leftOut: [] },
  distribution: ['debian'],
  system: 'Debian',
  filesystems: new Set(['ext4', 'overlay', 'erofs']),
  sysctls: { maxUserNamespaces: '1000', unprivilegedClone: undefined, apparmorRestricts: undefined },
  coveredPaths: [],
  filtered: false,
  seccomp: true,
  noNewPrivileges: false,
  helpers: { newuidmap: true, newgidmap: true },
  programs: { 'fuse-overlayfs': undefined },
  devices: { '/dev/fuse': true },
  network: {
    facts: {
      netAdmin: true,
      uplinks: [{ family: 4, device: 'eth0' }],
      addresses: [],
      routes: [],
      forwarding: [],
      forcesForwarding: true,
      state: '/run/boxctl/network/1',
    },
    trial: { ok: true, steps: 300, leftOut: [] },
    rates: { ok: true, steps: 302, leftOut: [] },
    firewalls: [],
    pool: DEFAULT_POOL,
    locked: [],
    settings: { firstPort: 1024, mayPing: true },
  },
};
const failed = (call: string | undefined, message = 'it failed') =>
  ({ ok: false, call, message, hint: 'do this' }) as const;
const of = (name: string, changes: Partial<Findings>): Check => {
  const found = examine({ ...WELL, ...changes }).find((check) => check.name === name);
  if (found === undefined) throw new Error(`no check ${name}`);
  return found;
};
const missed = (changes: Partial<Findings>) =>
  examine({ ...WELL, ...changes })
    .filter(({ state }) => state === 'no')
    .map(({ name }) => name);

it('nothing is reported as missing on a host that has everything', () => {
  const host = { ...ROOT_HOST, kernel: { release: '6.12.0', major: 6, minor: 12 } };
  expect(missed({ host })).toEqual([]);
  expect(isWell({ ...WELL, host })).toBe(true);
});

it('a check says what is lost exactly where something is missing, and a fix only there', () => {
  const cases: readonly Partial<Findings>[] = [
    {},
    { host: USER_HOST },
    { container: failed('clone3') },
    { host: { ...USER_HOST, subuids: [] }, helpers: { newuidmap: undefined, newgidmap: undefined } },
    { calls: {}, seccomp: false, host: { ...ROOT_HOST, storeType: 0x6969 } },
  ];
  for (const check of cases.flatMap((changes) => examine({ ...WELL, ...changes }))) {
    expect([check.name, check.gives !== undefined]).toEqual([check.name, check.state === 'no']);
    if (check.state !== 'no') expect(check).not.toHaveProperty('fix');
  }
});

describe('the check of user namespaces', () => {
  it('names a limit of zero user namespaces and the command that raises it, as the start does', () => {
    const userNamespaces = {
      usable: false,
      reason: 'they are off',
      hint: 'sysctl user.max_user_namespaces=15000',
    } as const;
    const changes = { host: { ...USER_HOST, userNamespaces }, container: failed(undefined) };
    expect(of('user namespaces', changes)).toMatchObject({
      state: 'no',
      detail: 'they are off',
      fix: 'sudo sysctl -w user.max_user_namespaces=15000',
    });
    expect(of('start', changes)).toMatchObject({ state: 'no', fix: 'sudo sysctl -w user.max_user_namespaces=15000' });
    expect(isWell({ ...WELL, ...changes })).toBe(false);
  });
  it('names AppArmor where it restricts an ordinary user (Ubuntu 24.04), whichever call of the trial fails', () => {
    const sysctls = { ...WELL.sysctls, apparmorRestricts: '1' };
    for (const call of ['clone3', 'write', 'fsmount']) {
      expect(of('user namespaces', { host: USER_HOST, container: failed(call), sysctls })).toMatchObject({
        state: 'no',
        detail: expect.stringContaining('AppArmor') as string,
        fix: 'sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0',
      });
    }
  });
  it('does not name AppArmor where a container starts, nor for root', () => {
    const sysctls = { ...WELL.sysctls, apparmorRestricts: '1' };
    expect(of('user namespaces', { host: USER_HOST, sysctls }).state).toBe('yes');
    expect(of('user namespaces', { sysctls, container: failed('fsmount') }).state).toBe('yes');
  });
  it('names the filter of the outer container where clone3 fails under one', () => {
    expect(of('user namespaces', { container: failed('clone3'), filtered: true })).toMatchObject({
      state: 'no',
      detail: expect.stringContaining('filter') as string,
    });
  });
  it('is fine where the outer container covers paths of /proc: the check of the start names those', () => {
    const changes = { container: failed('fsmount'), coveredPaths: ['/proc/keys', '/proc/sys'] };
    expect(of('user namespaces', changes).state).toBe('yes');
    expect(of('start', changes)).toMatchObject({
      detail: 'the container around boxctl covers /proc/keys and 1 more, so nobody gets a /proc or /sys',
      fix: expect.stringContaining('masked_paths') as string,
    });
    expect(of('start', { ...changes, coveredPaths: [] })).toMatchObject({ detail: 'it failed', fix: 'do this' });
  });
  it('shows the message and the hint of a failure that it does not know', () => {
    expect(of('user namespaces', { container: failed('clone3', 'clone3: ENOSPC') })).toMatchObject({
      detail: 'clone3: ENOSPC',
      fix: 'do this',
    });
  });
});

describe('the checks of the kernel', () => {
  it('name the Linux version that has a missing call', () => {
    const calls = { ...WELL.calls, openat2: ERRNO['ENOSYS'] ?? 38 };
    expect(of('paths confined by the kernel', { calls })).toMatchObject({ state: 'no', fix: 'use Linux 5.6 or newer' });
  });
  it('name the filter where it refuses a call', () => {
    const calls = { ...WELL.calls, mount_setattr: 1 };
    expect(of('mounts by descriptor', { calls, filtered: true })).toMatchObject({
      state: 'no',
      detail: 'without mount_setattr',
      fix: expect.stringContaining('filter') as string,
    });
  });
  it('say for root that EROFS is not loaded or too old, and say nothing of it for an ordinary user', () => {
    const host = { ...ROOT_HOST, kernel: { release: '6.12.0', major: 6, minor: 12 } };
    expect(of('EROFS from a file', { host, filesystems: new Set() }).fix).toBe('modprobe erofs');
    expect(of('EROFS from a file', {}).fix).toBe('use Linux 6.12 or newer');
    expect(of('EROFS from a file', { host: USER_HOST }).state).toBe('none');
  });
  it('miss id-mapped mounts before Linux 5.19, and do not judge them where no container starts', () => {
    const old = { ...ROOT_HOST, kernel: { release: '5.15.0', major: 5, minor: 15 } };
    expect(of('id-mapped mounts', { host: old })).toMatchObject({ state: 'no', fix: 'use Linux 5.19 or newer' });
    expect(of('id-mapped mounts', { container: failed('clone3') }).state).toBe('none');
  });
  it('show the version of Landlock, or that there is none', () => {
    expect(of('Landlock', {})).toMatchObject({ state: 'yes', detail: 'version 4' });
    expect(of('Landlock', { calls: CALLS }).state).toBe('none');
  });
});

describe('the checks of an ordinary user', () => {
  const host = { ...USER_HOST, userName: 'me', subuids: [], subgids: [] };
  it('name the command that gives subordinate ids where there are none', () => {
    expect(of('subordinate ids', { host }).fix).toBe(
      'sudo usermod --add-subuids 165536-231071 --add-subgids 165536-231071 me',
    );
    expect(of('subordinate ids', { host: USER_HOST }).state).toBe('yes');
  });
  it('name the package of newuidmap and newgidmap where they are missing', () => {
    const helpers = { newuidmap: undefined, newgidmap: undefined };
    expect(of('newuidmap, newgidmap', { host, helpers }).fix).toBe('sudo apt-get install uidmap');
  });
  it('name the command that sets the set-user-id bit of newuidmap and newgidmap, unless a container with mapped ids starts', () => {
    const helpers = { newuidmap: false, newgidmap: false };
    expect(of('newuidmap, newgidmap', { host, helpers })).toMatchObject({
      state: 'no',
      fix: 'sudo chmod u+s /usr/bin/newuidmap /usr/bin/newgidmap',
    });
    // File capabilities do as well, which the trial has shown.
    expect(of('newuidmap, newgidmap', { host: USER_HOST, helpers }).state).toBe('yes');
  });
  it('report limits that are missing for one reason in one line', () => {
    const found = examine({ ...WELL, host: USER_HOST, limits: undefined }).filter(({ group }) => group === 'limits');
    expect(found.filter(({ state }) => state === 'no')).toHaveLength(1);
    expect(found.at(-1)).toMatchObject({
      name: expect.stringMatching(/^memory, pids, cpu/u) as string,
      fix: 'log in through systemd',
    });
  });
});

it('the fix for newuidmap and newgidmap is `no_new_privileges: false` where no program gains privileges', () => {
  const host = { ...USER_HOST, newuidmap: undefined, newgidmap: undefined };
  const helpers = { newuidmap: undefined, newgidmap: undefined };
  expect(of('newuidmap, newgidmap', { host, helpers, noNewPrivileges: true })).toMatchObject({
    state: 'no',
    fix: expect.stringContaining('no_new_privileges: false') as string,
  });
});

it('root in a container maps the ids that this container has, and needs no newuidmap', () => {
  const host = { ...USER_ALONE_HOST, initialUserNamespace: false, mapsIds: true };
  const ids = (size: number) => ({ host: { ...host, ownUids: [{ start: 0, size }], ownGids: [{ start: 0, size }] } });
  expect(of('ids', ids(4096))).toMatchObject({ state: 'yes', detail: '4096 user ids, 4096 group ids' });
  expect(of('ids', ids(1)).state).toBe('no');
  expect(missed(ids(4096))).not.toContain('newuidmap, newgidmap');
});

it('rules for devices are checked for root alone', () => {
  const name = 'rules for devices';
  expect(of(name, { host: ROOT_HOST })).toMatchObject({ state: 'yes', detail: 'version 1, in /sys/fs/cgroup/devices' });
  const cgroup = { ...ROOT_HOST.cgroup, devices: undefined };
  expect(of(name, { host: { ...ROOT_HOST, cgroup } }).state).toBe('no');
  expect(missed({ host: { ...USER_HOST, cgroup } })).not.toContain(name);
});

it('a limit that the kernel refuses in the trial is reported with its message and hint', () => {
  expect(of('a container with limits', { limits: failed('write', 'no room') })).toMatchObject({
    state: 'no',
    detail: 'no room',
    fix: 'do this',
  });
});

it('an image store on NFS is reported', () => {
  expect(of('image store', { host: { ...ROOT_HOST, storeType: 0x6969 } })).toMatchObject({
    state: 'no',
    detail: '/var/lib/boxctl, on nfs',
  });
});

it.each([
  [['debian'], 'apt-get install uidmap'],
  [['linuxmint', 'ubuntu', 'debian'], 'apt-get install uidmap'],
  [['rocky', 'rhel', 'centos', 'fedora'], 'dnf install shadow-utils'],
  [['arch'], 'pacman -S shadow'],
  [['alpine'], 'apk add shadow-subids'],
  [['opensuse-tumbleweed', 'opensuse', 'suse'], 'zypper install shadow'],
  [['nixos'], 'install uidmap'],
])('on %j, the command that installs uidmap is `%s`', (distribution, command) =>
  expect(installCommand('uidmap', distribution)).toBe(command),
);
