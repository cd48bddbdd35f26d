/** What `doctor` looks at beside the planner's facts: files of the host, and containers that it starts. */
import { statSync } from 'node:fs';
import type { HostFacts } from '../host/facts.ts';
import { realHost, type HostReader } from '../host/read.ts';
import { LIMIT_ROWS } from '../limits/table.ts';
import { lookUp } from '../files/programs.ts';
import { probeCalls } from '../native.ts';
import { gatherNetworkFindings, type NetworkFindings } from './network.ts';
import { tryContainer, type Trial } from './trial.ts';

export interface Findings {
  readonly host: HostFacts;
  /** The errno of each probed call, and the version of Landlock. */
  readonly calls: Readonly<Record<string, number>>;
  readonly container: Trial;
  /** A container with limits; undefined where no controller is usable, or no container could be started. */
  readonly limits: Trial | undefined;
  /** `ID` and `ID_LIKE` of /etc/os-release. */
  readonly distribution: readonly string[];
  readonly system: string;
  readonly filesystems: ReadonlySet<string>;
  /** Values of sysctls that decide about user namespaces; undefined where there is none. */
  readonly sysctls: Readonly<
    Record<'maxUserNamespaces' | 'unprivilegedClone' | 'apparmorRestricts', string | undefined>
  >;
  /** Paths of /proc and /sys that have something mounted over them. */
  readonly coveredPaths: readonly string[];
  /** boxctl itself runs under a system call filter, as in another container. */
  readonly filtered: boolean;
  readonly seccomp: boolean;
  /** boxctl itself has no_new_privs, as in a container: set-user-id programs give it nothing. */
  readonly noNewPrivileges: boolean;
  /** Whether newuidmap and newgidmap have the set-user-id bit. Undefined where boxctl does not use them. */
  readonly helpers: Readonly<Record<'newuidmap' | 'newgidmap', boolean | undefined>>;
  readonly programs: Readonly<Record<'fuse-overlayfs', string | undefined>>;
  readonly devices: Readonly<Record<'/dev/fuse', boolean>>;
  readonly network: NetworkFindings;
}

function osRelease(text: string): ReadonlyMap<string, string> {
  const lines = text.matchAll(/^([A-Z_]+)=["']?(.*?)["']?$/gmu);
  return new Map([...lines].map(([, key = '', value = '']) => [key, value]));
}

function isSetUser(path: string | undefined): boolean | undefined {
  if (path === undefined) return undefined;
  const { mode, uid } = statSync(path);
  return (mode & 0o4000) !== 0 && uid === 0;
}

/** A container with the limits that the table has a trial value for, and whose controllers are usable. */
async function tryLimits(host: HostFacts): Promise<Trial | undefined> {
  const tried = LIMIT_ROWS.flatMap(([key, { cgroup, trial }]) =>
    cgroup !== undefined && trial !== undefined && host.cgroup.controllers[cgroup.controller].usable
      ? [`${key}: ${trial}`]
      : [],
  );
  return tried.length === 0 ? undefined : tryContainer(host, `limits: {${tried.join(', ')}}\n`);
}

/** Folders that the kernel keeps empty as mount points. A mount there hides nothing. */
const PLACES =
  /^\/(?:proc\/sys\/fs\/binfmt_misc|proc\/fs\/nfsd|sys\/fs\/|sys\/kernel\/(?:config|debug|security|tracing))/u;

/** proc_pid_mountinfo(5) */
function coveredPaths(mountinfo: string): readonly string[] {
  const points = mountinfo.split('\n').map((line) => line.split(' ')[4] ?? '');
  return points.filter((point) => /^\/(?:proc|sys)\/./u.test(point) && !PLACES.test(point));
}

/** Starts up to four containers, and removes all that they have made. */
export async function gatherFindings(
  host: HostFacts,
  env: Readonly<Record<string, string | undefined>>,
  read: HostReader = realHost,
): Promise<Findings> {
  const container = await tryContainer(host, '');
  const release = osRelease(read.text('/etc/os-release') ?? '');
  const sysctl = (name: string): string | undefined => read.text(`/proc/sys/${name}`)?.trim();
  const program = (name: string): string | undefined => lookUp(name, env['PATH'] ?? '').found;
  return {
    host,
    calls: probeCalls(),
    container,
    limits: container.ok ? await tryLimits(host) : undefined,
    distribution: [release.get('ID') ?? '', ...(release.get('ID_LIKE') ?? '').split(' ')].filter(Boolean),
    system: release.get('PRETTY_NAME') ?? 'Linux',
    filesystems: new Set((read.text('/proc/filesystems') ?? '').split(/\s+/u).filter((word) => word !== 'nodev')),
    sysctls: {
      maxUserNamespaces: sysctl('user/max_user_namespaces'),
      unprivilegedClone: sysctl('kernel/unprivileged_userns_clone'),
      apparmorRestricts: sysctl('kernel/apparmor_restrict_unprivileged_userns'),
    },
    coveredPaths: coveredPaths(read.text('/proc/self/mountinfo') ?? ''),
    filtered: /^Seccomp:\t2$/mu.test(read.text('/proc/self/status') ?? ''),
    seccomp: read.exists('/proc/sys/kernel/seccomp/actions_avail'),
    noNewPrivileges: /^NoNewPrivs:\t1$/mu.test(read.text('/proc/self/status') ?? ''),
    helpers: { newuidmap: isSetUser(host.newuidmap), newgidmap: isSetUser(host.newgidmap) },
    programs: {
      'fuse-overlayfs': program('fuse-overlayfs'),
    },
    devices: { '/dev/fuse': read.exists('/dev/fuse') },
    network: await gatherNetworkFindings(host, env, container.ok, read),
  };
}
