/** Where a cgroup may be made, on hosts with version 1, version 2, or both (cgroups(7)). */
import { CGROUP_CONTROLLERS, type CgroupController } from '../kernel/cgroup.ts';
import type { CgroupFacts, CgroupHome, DevicesHome, Hierarchy, UnifiedHome } from './facts.ts';
import type { HostReader } from './read.ts';

interface Mount {
  readonly point: string;
  readonly root: string;
  readonly type: string;
  readonly options: readonly string[];
}

/** Who asks, and where the user's message bus listens. */
export interface CgroupCaller {
  readonly pid: number;
  readonly euid: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** boxctl runs in a user namespace of somebody else's: in a container, most likely. */
  readonly contained: boolean;
}

/** The word of version 1 for a controller. */
const versionOneName = (controller: CgroupController): string => (controller === 'io' ? 'blkio' : controller);

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
  const others = /^(?:r[ow]|no\w+|\w+=.*|xattr|clone_children|cpuset_v2_mode|seclabel)$/u;
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

/** In a container, what keeps a controller away is not the host's to change. */
const missing = (caller: CgroupCaller, reason: string, hint: string): CgroupHome =>
  caller.contained
    ? unusable(
        'the container around boxctl has no cgroup in which others may be made',
        'give that container `limits`: they hold for all that is in it',
      )
    : unusable(reason, hint);

function words(text: string | undefined): readonly string[] {
  return (text ?? '').trim().split(/\s+/u).filter(Boolean);
}

function versionOne(
  read: HostReader,
  mount: Mount,
  path: string,
  controller: CgroupController,
  caller: CgroupCaller,
): CgroupHome {
  const own = folderOf(mount, path) ?? mount.point;
  // The nearest cgroup in which the caller may make a child; his own limits go on applying there.
  const home = parents(own, mount.point).find((folder) => read.writable(folder));
  if (home !== undefined) return { usable: true, version: 1, dir: home };
  return missing(
    caller,
    `the ${controller} controller is in a version 1 hierarchy, where ${own} belongs to another user`,
    'run boxctl as root, have the folder given to you, or boot with systemd.unified_cgroup_hierarchy=1',
  );
}

function controllersIn(text: string | undefined): readonly CgroupController[] {
  const named = words(text);
  return CGROUP_CONTROLLERS.filter((controller) => named.includes(controller));
}

/**
 * Version 2: a controller works in a child only when the parent hands it on, and a cgroup with processes in it cannot
 * (cgroups(7), "no internal processes"). Handed on is switched only where that is boxctl's own business: in its own
 * cgroup, if it is alone there, and at the top of what it can see.
 */
function homeIn(read: HostReader, mount: Mount, folder: string, own: string, pid: number): UnifiedHome | undefined {
  if (!read.writable(folder) || !read.writable(`${folder}/cgroup.procs`)) return undefined;
  const handed = controllersIn(read.text(`${folder}/cgroup.subtree_control`));
  const parent = { kind: 'parent', dir: folder, controllers: handed, dormant: [] } as const;
  if ((folder !== own && folder !== mount.point) || !read.writable(`${folder}/cgroup.subtree_control`)) return parent;
  const all = controllersIn(read.text(`${folder}/cgroup.controllers`));
  const dormant = all.filter((controller) => !handed.includes(controller));
  // Only the root of the whole hierarchy has no type, and may have processes.
  const members = read.exists(`${folder}/cgroup.type`) ? words(read.text(`${folder}/cgroup.procs`)) : [];
  if (members.length === 0) return { kind: 'parent', dir: folder, controllers: all, dormant };
  const alone = members.length === 1 && members[0] === String(pid);
  return folder === own && alone ? { kind: 'own', dir: folder, controllers: all, dormant } : parent;
}

/** What the user's own systemd can give, to a process that is in none of its cgroups (org.freedesktop.systemd1). */
function scopeHome(read: HostReader, mount: Mount, { euid, env }: CgroupCaller): UnifiedHome | undefined {
  if (euid === 0) return undefined;
  const manager = `${mount.point}/user.slice/user-${euid}.slice/user@${euid}.service`;
  const controllers = controllersIn(read.text(`${manager}/cgroup.controllers`));
  const address = /^unix:path=([^,;]+)/u.exec(env['DBUS_SESSION_BUS_ADDRESS'] ?? '')?.[1];
  const bus = address ?? `${env['XDG_RUNTIME_DIR'] ?? `/run/user/${euid}`}/bus`;
  if (controllers.length === 0 || !read.exists(bus)) return undefined;
  return { kind: 'scope', dir: mount.point, controllers, dormant: [], bus };
}

function unifiedHomes(read: HostReader, mount: Mount, own: string, caller: CgroupCaller): readonly UnifiedHome[] {
  const homes = parents(own, mount.point).map((folder) => homeIn(read, mount, folder, own, caller.pid));
  const usable = [...homes, scopeHome(read, mount, caller)].filter((home) => home !== undefined);
  return usable.filter((home) => home.controllers.length > 0);
}

function versionTwo(
  read: HostReader,
  mount: Mount,
  own: string,
  homes: readonly UnifiedHome[],
  controller: CgroupController,
  caller: CgroupCaller,
): CgroupHome {
  if (homes.some((home) => home.controllers.includes(controller))) return { usable: true, version: 2 };
  if (!words(read.text(`${mount.point}/cgroup.controllers`)).includes(controller)) {
    const hint = 'boot a kernel that has it, without cgroup_disable';
    return missing(caller, `this host has no ${controller} controller`, hint);
  }
  const offered = words(read.text(`${own}/cgroup.controllers`)).includes(controller);
  if (offered && read.writable(own) && read.writable(`${own}/cgroup.subtree_control`)) {
    return unusable(
      `the cgroup ${own} is yours, and holds other processes than boxctl: one with processes hands no controller on`,
      `move them into a child: mkdir ${own}/init; for p in $(cat ${own}/cgroup.procs); do echo $p >${own}/init/cgroup.procs; done`,
    );
  }
  return missing(
    caller,
    `no cgroup with the ${controller} controller is delegated to this user`,
    'log in to a session that systemd manages, with the controller in `Delegate=` of user@.service; or run boxctl as root',
  );
}

const MOUNT_ONE = 'mount one: mount -t cgroup2 none /sys/fs/cgroup';

/** Looks at the hierarchies that are mounted, and finds a home for each controller. */
export function gatherCgroup(read: HostReader, caller: CgroupCaller): CgroupFacts {
  const mounts = cgroupMounts(read.text('/proc/self/mountinfo'));
  const paths = ownPaths(read.text('/proc/self/cgroup'));
  const unified = mounts.find((mount) => mount.type === 'cgroup2');
  const hasVersionOne = mounts.some((mount) => mount.type === 'cgroup');
  const layout = unified === undefined ? (hasVersionOne ? 'v1' : 'none') : hasVersionOne ? 'hybrid' : 'v2';
  const own = unified === undefined ? '' : (folderOf(unified, paths.get('') ?? '/') ?? unified.point);
  const homes = unified === undefined ? [] : unifiedHomes(read, unified, own, caller);
  const homeOf = (controller: CgroupController): CgroupHome => {
    const name = versionOneName(controller);
    const mount = mounts.find((entry) => entry.type === 'cgroup' && entry.options.includes(name));
    if (mount !== undefined) return versionOne(read, mount, paths.get(name) ?? '/', controller, caller);
    if (unified !== undefined) return versionTwo(read, unified, own, homes, controller, caller);
    return hasVersionOne
      ? missing(caller, `this host has no ${controller} controller`, 'boot a kernel that has it')
      : missing(caller, 'no cgroup file system is mounted', MOUNT_ONE);
  };
  const controllers = Object.fromEntries(CGROUP_CONTROLLERS.map((name) => [name, homeOf(name)])) as Record<
    CgroupController,
    CgroupHome
  >;
  return {
    layout,
    controllers,
    hierarchies: hierarchies(read, mounts, paths),
    unified: homes,
    devices: devicesHome(read, mounts, paths),
    mounts: mounts.map(({ point }) => point),
    swap: countsSwap(read, controllers.memory),
    cpuset: cpuset(read, controllers.cpuset, homes),
    ioWeight: ioWeight(read, controllers.io, unified),
  };
}

/** One that is mounted twice is there once. */
function hierarchies(
  read: HostReader,
  mounts: readonly Mount[],
  paths: ReadonlyMap<string, string>,
): readonly Hierarchy[] {
  const found = new Map<string, Hierarchy>();
  for (const mount of mounts) {
    if (mount.type !== 'cgroup') continue;
    const named = mount.options.filter((option) => option.startsWith('name='));
    const names = [...controllersOf(mount), ...named];
    const [first] = names;
    if (first === undefined || found.has(names.join())) continue;
    const own = folderOf(mount, paths.get(first) ?? '/') ?? mount.point;
    const dir = parents(own, mount.point).find((folder) => read.writable(folder));
    if (dir !== undefined) found.set(names.join(), { dir, names });
  }
  return [...found.values()];
}

/** Nothing has to be handed on for it: the nearest cgroup in which a child can be made serves. */
function devicesHome(
  read: HostReader,
  mounts: readonly Mount[],
  paths: ReadonlyMap<string, string>,
): DevicesHome | undefined {
  const nearest = (mount: Mount | undefined, name: string): string | undefined => {
    if (mount === undefined) return undefined;
    const own = folderOf(mount, paths.get(name) ?? '/') ?? mount.point;
    return parents(own, mount.point).find((folder) => read.writable(folder));
  };
  // The container gets a cgroup within the one that has the rules, which is not to concern other controllers.
  const first = mounts.find((mount) => mount.type === 'cgroup' && controllersOf(mount).join() === 'devices');
  const one = nearest(first, 'devices');
  if (one !== undefined) return { version: 1, dir: one };
  const two = nearest(
    mounts.find(({ type }) => type === 'cgroup2'),
    '',
  );
  return two === undefined ? undefined : { version: 2, dir: two };
}

/** Swap accounting can be left out of a kernel. */
function countsSwap(read: HostReader, memory: CgroupHome): boolean {
  if (!memory.usable) return false;
  if (memory.version === 1) return read.exists(`${memory.dir}/memory.memsw.limit_in_bytes`);
  return read.exists('/proc/swaps');
}

function cpuset(read: HostReader, home: CgroupHome, homes: readonly UnifiedHome[]): CgroupFacts['cpuset'] {
  const line = (path: string): string | undefined => read.text(path)?.trim() || undefined;
  if (!home.usable) return { cpus: undefined, mems: undefined };
  if (home.version === 1) return { cpus: line(`${home.dir}/cpuset.cpus`), mems: line(`${home.dir}/cpuset.mems`) };
  const dir = homes.find(({ controllers }) => controllers.includes('cpuset'))?.dir ?? '';
  return { cpus: line(`${dir}/cpuset.cpus.effective`), mems: line(`${dir}/cpuset.mems.effective`) };
}

/** A weight is taken without a word where no scheduler looks at it: it is BFQ's, or the cost model's once that is on. */
function ioWeight(read: HostReader, io: CgroupHome, unified: Mount | undefined): string | undefined {
  if (!io.usable) return undefined;
  const bfq = read.exists('/sys/module/bfq');
  if (io.version === 1) {
    return bfq || read.exists(`${io.dir}/blkio.bfq.io_service_bytes`) ? 'blkio.bfq.weight' : undefined;
  }
  if (/\benable=1\b/u.test(read.text(`${unified?.point ?? ''}/io.cost.qos`) ?? '')) return 'io.weight';
  return bfq ? 'io.bfq.weight' : undefined;
}
