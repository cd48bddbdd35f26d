/** Where a cgroup may be made, on hosts with version 1, version 2, or both (cgroups(7)). */
import type { CgroupController, CgroupHome, HostFacts } from './facts.ts';
import type { HostReader } from './read.ts';

interface Mount {
  readonly point: string;
  readonly root: string;
  readonly type: string;
  readonly options: readonly string[];
}

const CONTROLLERS: readonly CgroupController[] = ['memory', 'pids', 'cpu'];

/** The cgroup mounts of /proc/self/mountinfo (proc_pid_mountinfo(5)). */
function cgroupMounts(mountinfo: string | undefined): readonly Mount[] {
  return (mountinfo ?? '').split('\n').flatMap((line) => {
    const [left, right] = line.split(' - ');
    const fields = left?.split(' ') ?? [];
    const [type, , options] = right?.split(' ') ?? [];
    const [, , , root, point] = fields;
    if ((type !== 'cgroup' && type !== 'cgroup2') || root === undefined || point === undefined) return [];
    return [{ point: unescape(point), root: unescape(root), type, options: options?.split(',') ?? [] }];
  });
}

/** mountinfo writes blanks and the like as three octal digits. */
function unescape(path: string): string {
  return path.replaceAll(/\\(\d{3})/gu, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 8)));
}

/** Of a mount's options, those that name controllers. */
function controllersOf({ options }: Mount): readonly string[] {
  const others = /^(?:r[ow]|no\w+|\w+=.*|xattr|clone_children|cpuset_v2_mode)$/u;
  return options.filter((option) => !others.test(option));
}

/** Our own cgroup in each hierarchy: controller (or '' for version 2) to path (/proc/self/cgroup). */
function ownPaths(text: string | undefined): ReadonlyMap<string, string> {
  const paths = new Map<string, string>();
  for (const line of (text ?? '').split('\n')) {
    const match = /^\d+:([^:]*):(.*)$/u.exec(line);
    if (match === null) continue;
    for (const controller of (match[1] ?? '').split(',')) paths.set(controller, match[2] ?? '/');
  }
  return paths;
}

/** A cgroup's folder as this mount shows it; undefined when the mount does not reach it. */
function folderOf(mount: Mount, path: string): string | undefined {
  if (mount.root === '/') return join(mount.point, path);
  if (path === mount.root) return mount.point;
  return path.startsWith(`${mount.root}/`) ? join(mount.point, path.slice(mount.root.length)) : undefined;
}

function join(point: string, path: string): string {
  return path === '/' ? point : `${point}${path}`;
}

function parents(folder: string, top: string): readonly string[] {
  const chain: string[] = [];
  for (let at = folder; at.startsWith(top) && at.length >= top.length; at = at.slice(0, at.lastIndexOf('/'))) {
    chain.push(at);
    if (at === top) break;
  }
  return chain;
}

const unusable = (reason: string, hint: string): CgroupHome => ({ usable: false, reason, hint });

function words(text: string | undefined): readonly string[] {
  return (text ?? '').trim().split(/\s+/u).filter(Boolean);
}

function versionOne(read: HostReader, mount: Mount, path: string, controller: CgroupController): CgroupHome {
  const own = folderOf(mount, path) ?? mount.point;
  // The nearest cgroup in which the caller may make a child; his own limits go on applying there.
  const home = parents(own, mount.point).find((folder) => read.writable(folder));
  if (home !== undefined) return { usable: true, version: 1, dir: home, hierarchy: controllersOf(mount) };
  return unusable(
    `the ${controller} controller is in a version 1 hierarchy, where ${own} belongs to another user`,
    'run boxctl as root, have the folder given to you, or boot with systemd.unified_cgroup_hierarchy=1',
  );
}

/**
 * Version 2: a controller works in a child only when the parent hands it on, and a cgroup with processes in it cannot.
 * So the child is made beside our own cgroup rather than in it. A process has one cgroup: the home is the ancestor that
 * hands on the most, the nearest of them.
 */
function versionTwoHome(read: HostReader, mount: Mount, path: string): Delegation | undefined {
  const own = folderOf(mount, path) ?? mount.point;
  let best: Delegation | undefined;
  for (const folder of parents(own, mount.point)) {
    if (!read.writable(folder) || !read.writable(`${folder}/cgroup.procs`)) continue;
    const handed = words(read.text(`${folder}/cgroup.subtree_control`));
    const controllers = CONTROLLERS.filter((controller) => handed.includes(controller));
    if (controllers.length > (best?.controllers.length ?? 0)) best = { folder, controllers };
  }
  return best;
}

interface Delegation {
  readonly folder: string;
  readonly controllers: readonly CgroupController[];
}

function versionTwo(
  read: HostReader,
  mount: Mount,
  home: Delegation | undefined,
  controller: CgroupController,
): CgroupHome {
  if (home?.controllers.includes(controller) === true) return { usable: true, version: 2, dir: home.folder };
  if (!words(read.text(`${mount.point}/cgroup.controllers`)).includes(controller)) {
    return unusable(`this host has no ${controller} controller`, 'boot a kernel that has it, without cgroup_disable');
  }
  return unusable(
    `no cgroup with the ${controller} controller is delegated to this user`,
    'start boxctl with `systemd-run --user --scope -p Delegate=yes boxctl …`, or run it as root',
  );
}

/** Looks at the hierarchies that are mounted, and finds a home for each controller. */
export function gatherCgroup(read: HostReader): HostFacts['cgroup'] {
  const mounts = cgroupMounts(read.text('/proc/self/mountinfo'));
  const paths = ownPaths(read.text('/proc/self/cgroup'));
  const unified = mounts.find((mount) => mount.type === 'cgroup2');
  const hasVersionOne = mounts.some((mount) => mount.type === 'cgroup');
  const layout = unified === undefined ? (hasVersionOne ? 'v1' : 'none') : hasVersionOne ? 'hybrid' : 'v2';
  const home = unified === undefined ? undefined : versionTwoHome(read, unified, paths.get('') ?? '/');
  const homeOf = (controller: CgroupController): CgroupHome => {
    const mount = mounts.find((entry) => entry.type === 'cgroup' && entry.options.includes(controller));
    if (mount !== undefined) return versionOne(read, mount, paths.get(controller) ?? '/', controller);
    if (unified !== undefined) return versionTwo(read, unified, home, controller);
    return unusable('no cgroup file system is mounted', 'mount one: mount -t cgroup2 none /sys/fs/cgroup');
  };
  const controllers = Object.fromEntries(CONTROLLERS.map((name) => [name, homeOf(name)])) as Record<
    CgroupController,
    CgroupHome
  >;
  return { layout, controllers, swap: limitsSwap(read, controllers.memory) };
}

/** Swap accounting can be left out of a kernel. */
function limitsSwap(read: HostReader, memory: CgroupHome): boolean {
  if (!memory.usable) return false;
  if (memory.version === 1) return read.exists(`${memory.dir}/memory.memsw.limit_in_bytes`);
  return read.exists('/proc/swaps');
}
