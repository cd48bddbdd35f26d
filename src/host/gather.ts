/** Looks at the host once, so that nothing after it has to. Reads small files of /proc and /etc and changes nothing. */
import { BoxctlError } from '../errors.ts';
import { availableParallelism, hostname, release } from '../inputs/outside.ts';
import { gatherCgroup } from './cgroup.ts';
import { gatherFolders } from './dirs.ts';
import { isAtLeast, type HostFacts } from './facts.ts';
import {
  allRanges,
  hasHostPrivileges,
  hasMappingRights,
  isInitialUserNamespace,
  maySetSecurebits,
  ownRanges,
  parseStatus,
  STATUS_LINES,
  subordinateRanges,
  userName,
  within,
} from './ids.ts';
import { realHost, type HostReader } from './read.ts';

const HELPER_FOLDERS = ['/usr/bin', '/bin', '/usr/local/bin', '/usr/sbin'];

/** CAP_AUDIT_READ, of Linux 3.16: older ones are none that a container could be started on. */
const OLDEST_LAST_CAPABILITY = 37;

function helper(read: HostReader, name: string): string | undefined {
  // Not by PATH: these are set-user-id programs, and the wrong one would be run with the caller's trust.
  return HELPER_FOLDERS.map((folder) => `${folder}/${name}`).find((path) => read.exists(path));
}

function userNamespaces(read: HostReader, privileged: boolean): HostFacts['userNamespaces'] {
  const sysctl = (name: string): string | undefined => read.text(`/proc/sys/${name}`)?.trim();
  if (!read.exists('/proc/self/ns/user')) {
    return {
      usable: false,
      reason: 'this kernel was built without user namespaces',
      hint: 'use a kernel with CONFIG_USER_NS, or run as root with `namespaces: {user: host}`',
    };
  }
  if (sysctl('user/max_user_namespaces') === '0') {
    return {
      usable: false,
      reason: 'user namespaces are switched off (user.max_user_namespaces is 0)',
      hint: 'sysctl user.max_user_namespaces=15000',
    };
  }
  if (!privileged && sysctl('kernel/unprivileged_userns_clone') === '0') {
    return {
      usable: false,
      reason: 'user namespaces are switched off for ordinary users (kernel.unprivileged_userns_clone is 0)',
      hint: 'sysctl kernel.unprivileged_userns_clone=1',
    };
  }
  // AppArmor's restriction lets some programs through by profile, so it is no reason not to try.
  return { usable: true };
}

/** Whether it really works is tried when an image is imported. */
function erofsSupport(read: HostReader, kernel: HostFacts['kernel'], privileged: boolean): HostFacts['erofs'] {
  if (!privileged) return { usable: false, reason: 'only root may mount EROFS' };
  if (isAtLeast(kernel, 6, 12)) return { usable: true, loop: false };
  if (!isAtLeast(kernel, 6, 1)) return { usable: false, reason: 'this kernel is older than Linux 6.1' };
  return read.exists('/dev/loop-control')
    ? { usable: true, loop: true }
    : { usable: false, reason: 'this kernel mounts EROFS from block devices alone, and there are no loop devices' };
}

function architecture(): HostFacts['arch'] {
  if (process.arch === 'x64') return 'x86_64';
  if (process.arch === 'arm64') return 'aarch64';
  throw new BoxctlError('E_ARCHITECTURE', `boxctl runs on x86-64 and arm64, and this is ${process.arch}`);
}

/**
 * The facts of this host. Throws `E_NO_HOME`, `E_STORE_PATH`, `E_STORE_UNSAFE`, `E_STATE_UNSAFE`, `E_NO_PROC` or `E_ARCHITECTURE`.
 * `read` is for tests; everything is read through it but the kernel's release and the number of processors.
 */
export function gatherHostFacts(
  env: Readonly<Record<string, string | undefined>>,
  read: HostReader = realHost,
): HostFacts {
  const statusText = read.text('/proc/self/status', STATUS_LINES);
  if (statusText === undefined) {
    throw new BoxctlError(
      'E_NO_PROC',
      'there is no /proc here, from which boxctl reads who it is and what this host can do',
      {
        hint: 'mount it: mount -t proc proc /proc',
      },
    );
  }
  const status = parseStatus(statusText);
  const uidMap = read.text('/proc/self/uid_map');
  const initialUserNamespace = isInitialUserNamespace(uidMap);
  const privileged = status.euid === 0 && initialUserNamespace && hasHostPrivileges(status.capabilities);
  // Without that they would run, and be refused.
  const mayGain = status.euid === 0 || !status.noNewPrivileges;
  const name = userName(read.text('/etc/passwd'), status.euid);
  const names = new Set([String(status.euid), ...(name === undefined ? [] : [name])]);
  const nobody = initialUserNamespace ? undefined : Number(read.text('/proc/sys/fs/overflowuid') ?? 65_534);
  const dirs = gatherFolders(read, env, { euid: status.euid, egid: status.egid, nobody });
  const ownUids = ownRanges(uidMap);
  const ownGids = ownRanges(read.text('/proc/self/gid_map'));
  const subuid = read.text('/etc/subuid');
  const subgid = read.text('/etc/subgid');
  const [major = 0, minor = 0] = release()
    .split('.')
    .map((part) => Number.parseInt(part, 10));
  return {
    kernel: { release: release(), major, minor },
    arch: architecture(),
    lastCapability: Number.parseInt(read.text('/proc/sys/kernel/cap_last_cap') ?? '', 10) || OLDEST_LAST_CAPABILITY,
    apparmor: read.text('/sys/module/apparmor/parameters/enabled')?.trim() === 'Y',
    selinux: read.exists('/sys/fs/selinux/enforce'),
    euid: status.euid,
    egid: status.egid,
    groups: status.groups,
    ...(name === undefined ? {} : { userName: name }),
    privileged,
    initialUserNamespace,
    setsGroups: read.text('/proc/self/setgroups')?.trim() !== 'deny',
    setsSecurebits: maySetSecurebits(status.capabilities),
    mapsIds: !initialUserNamespace && hasMappingRights(status.capabilities),
    ownUids,
    ownGids,
    userNamespaces: userNamespaces(read, privileged),
    subuids: within(ownUids, subordinateRanges(subuid, names)),
    subgids: within(ownGids, subordinateRanges(subgid, names)),
    takenIds: [...allRanges(subuid), ...allRanges(subgid)].map(({ range }) => range),
    newuidmap: mayGain ? helper(read, 'newuidmap') : undefined,
    newgidmap: mayGain ? helper(read, 'newgidmap') : undefined,
    cgroup: gatherCgroup(read, { pid: process.pid, euid: status.euid, env, contained: !initialUserNamespace }),
    erofs: erofsSupport(read, { release: release(), major, minor }, privileged),
    timeNamespace: read.exists('/proc/self/ns/time'),
    oomScoreAdj: Number(read.text('/proc/self/oom_score_adj') ?? 0),
    cpus: availableParallelism(),
    hostname: hostname(),
    network: { hosts: read.text('/etc/hosts') ?? '', resolv: read.text('/etc/resolv.conf') ?? '' },
    storeType: read.fileSystem(dirs.store),
    dirs,
  };
}
