/** Findings to checks. Pure, so that tests can give it the findings of any host. */
import { isAtLeast } from '../host/facts.ts';
import { grantCommand } from '../host/subordinate.ts';
import { CGROUP_CONTROLLERS, type CgroupController } from '../kernel/cgroup.ts';
import { LIMIT_ROWS, topOf } from '../limits/table.ts';
import { ERRNO } from '../kernel/constants.ts';
import type { Check, State } from './check.ts';
import type { Findings } from './gather.ts';
import { OUTER_FILTER, OUTER_PATHS } from '../plan/hints.ts';
import { installCommand } from './install.ts';
import { examineNetwork } from './network.ts';

const NOT_TRIED = 'not tried, since no container could be made';

type Rest = Pick<Check, 'gives' | 'fix'>;

/** All checks, group by group. The first is the one that decides. */
export function examine(findings: Findings): readonly Check[] {
  return [
    ...ofContainer(findings),
    ...ofKernel(findings),
    ...ofUsers(findings),
    ...ofLimits(findings),
    ...ofStorage(findings),
    ...examineNetwork(findings.host, findings.network),
  ];
}

/** Whether this caller can start a container here. */
export function isWell({ container }: Findings): boolean {
  return container.ok;
}

function make(group: string, name: string, state: State, detail: string, rest: Rest = {}): Check {
  return { group, name, state, detail, ...(state === 'no' ? rest : {}) };
}

/** What root has to do is said so to those who are not. */
function asRoot({ host }: Findings, command: string): string {
  return host.euid === 0 ? command : `sudo ${command}`;
}

/** Settings that forbid to make or to use a user namespace, and the command that changes each. */
export function obstacle(findings: Findings): { readonly reason: string; readonly fix: string } | undefined {
  const { host, container, sysctls, filtered } = findings;
  if (!host.userNamespaces.usable) {
    const { reason, hint } = host.userNamespaces;
    return { reason, fix: hint.startsWith('sysctl ') ? asRoot(findings, `sysctl -w ${hint.slice(7)}`) : hint };
  }
  if (container.ok) return undefined;
  if (!host.privileged && sysctls.apparmorRestricts === '1') {
    return {
      reason:
        'AppArmor restricts user namespaces of ordinary users (kernel.apparmor_restrict_unprivileged_userns is 1)',
      fix: asRoot(findings, 'sysctl -w kernel.apparmor_restrict_unprivileged_userns=0'),
    };
  }
  if (container.call !== 'clone3' && container.call !== 'unshare') return undefined;
  if (filtered) {
    return {
      reason: 'the container around boxctl has a system call filter that forbids them',
      fix: OUTER_FILTER,
    };
  }
  return { reason: container.message, fix: container.hint ?? 'run boxctl as root' };
}

/** The kernel mounts a new proc or sysfs only where nothing is mounted over a part of the present one. */
function covered({ container, coveredPaths }: Findings): ReturnType<typeof obstacle> {
  if (container.ok || container.call !== 'fsmount' || coveredPaths.length === 0) return undefined;
  const more = coveredPaths.length > 1 ? ` and ${coveredPaths.length - 1} more` : '';
  return {
    reason: `the container around boxctl covers ${coveredPaths[0]}${more}, so nobody gets a /proc or /sys`,
    fix: OUTER_PATHS,
  };
}

function ofContainer(findings: Findings): readonly Check[] {
  const { container } = findings;
  if (container.ok) return [make('container', 'start', 'yes', `tried: ${container.steps} steps, all done and undone`)];
  const blocked = obstacle(findings) ?? covered(findings);
  const fix = blocked?.fix ?? container.hint;
  return [
    make('container', 'start', 'no', blocked?.reason ?? container.message.replaceAll('\n', '; '), {
      gives: '`boxctl up`',
      ...(fix === undefined ? {} : { fix }),
    }),
  ];
}

/** ENOSYS: the kernel lacks the call. EPERM for arguments that are invalid: a seccomp filter refuses the call. */
function callCheck(findings: Findings, name: string, calls: readonly string[], version: string, gives: string): Check {
  const missing = calls.filter(
    (call) => findings.calls[call] === ERRNO['ENOSYS'] || findings.calls[call] === ERRNO['EPERM'],
  );
  if (missing.length === 0) return make('kernel', name, 'yes', calls.join(', '));
  const fix = findings.filtered
    ? 'allow them in the filter of the container around boxctl'
    : `use Linux ${version} or newer`;
  return make('kernel', name, 'no', `without ${missing.join(', ')}`, { gives, fix });
}

function ofKernel(findings: Findings): readonly Check[] {
  const { host, container, filesystems, calls } = findings;
  const landlock = calls['landlock_create_ruleset'] ?? 0;
  const newer = (version: string): string => `use Linux ${version} or newer`;
  const newEnough = isAtLeast(host.kernel, 5, 19);
  const shifts = host.privileged && (container.ok || !newEnough);
  const idMapped = make(
    'kernel',
    'id-mapped mounts',
    !shifts ? 'none' : newEnough ? 'yes' : 'no',
    !host.privileged
      ? 'for root alone'
      : !shifts
        ? NOT_TRIED
        : newEnough
          ? 'tried'
          : 'not over an overlay in this kernel',
    { gives: 'one copy of an image for every uid_map, instead of one for each', fix: newer('5.19') },
  );
  const overlay = make(
    'kernel',
    host.privileged ? 'overlay' : 'overlay without root',
    container.ok ? 'yes' : filesystems.has('overlay') && isAtLeast(host.kernel, 5, 11) ? 'none' : 'no',
    container.ok ? 'tried' : NOT_TRIED,
    {
      gives: 'a writable root file system of the container’s own',
      fix: isAtLeast(host.kernel, 5, 11) ? asRoot(findings, 'modprobe overlay') : newer('5.11'),
    },
  );
  const erofs = filesystems.has('erofs') && isAtLeast(host.kernel, 6, 12);
  return [
    callCheck(findings, 'mounts by descriptor', ['open_tree', 'mount_setattr'], '5.12', 'all of boxctl'),
    callCheck(findings, 'paths confined by the kernel', ['openat2'], '5.6', 'all of boxctl'),
    callCheck(findings, 'processes', ['clone3', 'pidfd_open', 'close_range'], '5.9', 'all of boxctl'),
    overlay,
    idMapped,
    !host.privileged
      ? make('kernel', 'EROFS from a file', 'none', 'for root alone')
      : make('kernel', 'EROFS from a file', erofs ? 'yes' : 'no', erofs ? 'in the kernel' : 'not in this kernel', {
          gives: 'images that start without being unpacked',
          fix: isAtLeast(host.kernel, 6, 12) ? asRoot(findings, 'modprobe erofs') : newer('6.12'),
        }),
    make(
      'kernel',
      'seccomp',
      findings.seccomp ? 'yes' : 'no',
      findings.seccomp ? 'filters of system calls' : 'not in this kernel',
      {
        gives: 'the system call filter, without which no container starts',
        fix: 'use a kernel with CONFIG_SECCOMP_FILTER',
      },
    ),
    make('kernel', 'Landlock', landlock > 0 ? 'yes' : 'none', landlock > 0 ? `version ${landlock}` : 'not switched on'),
    make(
      'kernel',
      'time namespace',
      host.timeNamespace ? 'yes' : 'no',
      host.timeNamespace ? 'clocks of the container’s own' : 'not in this kernel',
      { gives: 'a boot time of the container’s own', fix: newer('5.6') },
    ),
    make('kernel', 'AppArmor', host.apparmor ? 'yes' : 'none', host.apparmor ? 'switched on' : 'not switched on'),
    make('kernel', 'SELinux', host.selinux ? 'yes' : 'none', host.selinux ? 'switched on' : 'not switched on'),
  ];
}

const MORE_IDS = 'more ids inside than your own: other users, and images with files of other owners';
const count = (ranges: readonly { readonly size: number }[]): number => ranges.reduce((sum, { size }) => sum + size, 0);

/** In a container whose root boxctl runs as, its ids are there to be mapped, without /etc/subuid. */
function ofOuterIds({ host }: Findings): Check {
  const [uids, gids] = [count(host.ownUids), count(host.ownGids)];
  return make('users', 'ids', uids > 1 && gids > 1 ? 'yes' : 'no', `${uids} user ids, ${gids} group ids`, {
    gives: MORE_IDS,
    fix: 'give the container around boxctl more: `uid_map`, or as an ordinary user newuidmap and /etc/subuid',
  });
}

function ofUsers(findings: Findings): readonly Check[] {
  const { host, helpers, noNewPrivileges, distribution, sysctls } = findings;
  const blocked = obstacle(findings);
  const limit = sysctls.maxUserNamespaces;
  const namespaces = make(
    'users',
    'user namespaces',
    blocked === undefined ? 'yes' : 'no',
    blocked?.reason ??
      `${limit === undefined ? 'no limit known' : `up to ${limit}`}${host.initialUserNamespace ? '' : ', inside another one'}`,
    { gives: 'containers whose root is nobody outside', ...(blocked === undefined ? {} : { fix: blocked.fix }) },
  );
  if (host.privileged) return [namespaces];
  if (host.mapsIds) return [namespaces, ofOuterIds(findings)];
  const [uids, gids] = [count(host.subuids), count(host.subgids)];
  const gives = MORE_IDS;
  const both = helpers.newuidmap !== undefined && helpers.newgidmap !== undefined;
  const tried = findings.container.ok && uids > 0 && gids > 0;
  const rights = helpers.newuidmap === true && helpers.newgidmap === true;
  return [
    namespaces,
    make(
      'users',
      'subordinate ids',
      uids > 0 && gids > 0 ? 'yes' : 'no',
      uids > 0 && gids > 0 ? `${uids} user ids, ${gids} group ids` : 'none in /etc/subuid and /etc/subgid',
      {
        gives,
        fix:
          grantCommand(host) ??
          'give back ranges of /etc/subuid and /etc/subgid that nobody needs: all ids are given away',
      },
    ),
    make(
      'users',
      'newuidmap, newgidmap',
      both && (tried || rights) ? 'yes' : 'no',
      noNewPrivileges
        ? 'of no use: boxctl may gain no privileges here'
        : !both
          ? 'not installed'
          : tried
            ? 'tried'
            : rights
              ? 'set-user-id root'
              : 'neither set-user-id root nor tried',
      {
        gives,
        fix: noNewPrivileges
          ? 'start the container around boxctl with `no_new_privileges: false`'
          : both
            ? `sudo chmod u+s ${host.newuidmap} ${host.newgidmap}`
            : asRoot(findings, installCommand('uidmap', distribution)),
      },
    ),
  ];
}

/** The keys of a file that need this controller. */
function keysOf(controller: CgroupController): readonly string[] {
  return LIMIT_ROWS.flatMap(([key, { cgroup }]) => (cgroup?.controller === controller ? [topOf(key)] : []));
}

/** Controllers that the same change would turn on are one check. */
function missingControllers({ host }: Findings): readonly Check[] {
  const byHint = new Map<string, { readonly names: CgroupController[]; readonly reason: string }>();
  for (const name of CGROUP_CONTROLLERS) {
    const home = host.cgroup.controllers[name];
    if (home.usable) continue;
    const known = byHint.get(home.hint);
    if (known === undefined) byHint.set(home.hint, { names: [name], reason: home.reason });
    else known.names.push(name);
  }
  return [...byHint].map(([fix, { names, reason }]) => {
    const gives = [...new Set(names.flatMap(keysOf))].join(', ');
    return make('limits', names.join(', '), 'no', reason, { gives: `\`limits: {${gives}}\``, fix });
  });
}

/** The kernel accepts device rules from root of the host only. */
function ofDevices(findings: Findings): readonly Check[] {
  const { host } = findings;
  if (!host.privileged) return [];
  const { devices } = host.cgroup;
  if (devices === undefined) {
    const gives = 'a second wall before the devices of the host, and permissions of `devices` without a user namespace';
    const fix = asRoot(findings, 'mount -t cgroup2 none /sys/fs/cgroup');
    return [make('limits', 'rules for devices', 'no', 'no cgroup that could have them', { gives, fix })];
  }
  const detail = devices.version === 1 ? `version 1, in ${devices.dir}` : 'version 2, by a program';
  return [make('limits', 'rules for devices', 'yes', detail)];
}

function ofLimits(findings: Findings): readonly Check[] {
  const { host, limits } = findings;
  const { layout, controllers } = host.cgroup;
  const names = { v1: 'version 1', v2: 'version 2', hybrid: 'versions 1 and 2', none: 'none' };
  const usable = CGROUP_CONTROLLERS.flatMap((name): readonly Check[] => {
    const home = controllers[name];
    if (!home.usable) return [];
    return [make('limits', name, 'yes', home.version === 1 ? `version 1, in ${home.dir}` : 'version 2')];
  });
  const scope = host.cgroup.unified.some(({ kind }) => kind === 'scope') ? ', through your systemd' : '';
  const absent = host.initialUserNamespace ? 'no' : 'none';
  const layoutCheck = make('limits', 'control groups', layout === 'none' ? absent : 'yes', `${names[layout]}${scope}`, {
    gives: '`limits`',
    fix: asRoot(findings, 'mount -t cgroup2 none /sys/fs/cgroup'),
  });
  const failed =
    limits === undefined || limits.ok
      ? []
      : [
          make('limits', 'a container with limits', 'no', limits.message.replaceAll('\n', '; '), {
            gives: '`limits`',
            ...(limits.hint === undefined ? {} : { fix: limits.hint }),
          }),
        ];
  return [layoutCheck, ...usable, ...missingControllers(findings), ...ofDevices(findings), ...failed];
}

/** statfs(2) */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  0xef53: 'ext4',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x01021994: 'tmpfs',
  0x2fc12fc1: 'zfs',
  0xf2f52010: 'f2fs',
  0xca451a4e: 'bcachefs',
  0x794c7630: 'overlay',
  0x6969: 'nfs',
  0x65735546: 'fuse',
  0xff534d42: 'cifs',
  0x01021997: '9p',
};
/** Owners and attributes of an image’s files are not kept there, or not for others than the caller. */
const UNFIT = new Set(['nfs', 'cifs', '9p']);

function ofStorage(findings: Findings): readonly Check[] {
  const { host, programs, container } = findings;
  const { storeType } = host;
  const type = storeType === undefined ? 'unknown' : (FILE_SYSTEMS[storeType] ?? `type 0x${storeType.toString(16)}`);
  const fuse = programs['fuse-overlayfs'];
  return [
    make('storage', 'image store', UNFIT.has(type) ? 'no' : 'yes', `${host.dirs.store}, on ${type}`, {
      gives: 'images with their owners and attributes',
      fix: 'set BOXCTL_STORE to a folder of a local file system',
    }),
    make(
      'storage',
      'fuse-overlayfs',
      fuse === undefined ? 'none' : 'yes',
      fuse ?? (container.ok ? 'not needed here' : 'not installed'),
    ),
  ];
}

/** boxctl gives a container `lo`, the host's network or another's: none of these is asked for by it. */
