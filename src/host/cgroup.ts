/**
 * Where a cgroup may be made, on hosts with version 1, version 2, or both (cgroups(7)), and what its limits can be. A home is
 * beneath boxctl's own cgroup wherever that is possible, so that the limits of that one go on applying.
 */
import { CGROUP_CONTROLLERS, type CgroupController } from '../kernel/cgroup.ts';
import { LIMITS } from '../limits/table.ts';
import { cgroupMounts, type CgroupMount } from './cgroup-mounts.ts';
import { unifiedHomes, words, type CgroupCaller } from './cgroup-unified.ts';
import type { CgroupFacts, CgroupHome, DevicesHome, Hierarchy, UnifiedHome } from './facts.ts';
import type { HostReader } from './read.ts';

/** Looks at the hierarchies that are mounted, and finds a home for each controller. */
export function gatherCgroup(read: HostReader, caller: CgroupCaller): CgroupFacts {
  const mounts = cgroupMounts(read);
  const unified = mounts.find(({ version }) => version === 2);
  const hasVersionOne = mounts.some(({ version }) => version === 1);
  const layout = unified === undefined ? (hasVersionOne ? 'v1' : 'none') : hasVersionOne ? 'hybrid' : 'v2';
  const homes = unified === undefined ? [] : unifiedHomes(read, unified, caller);
  const homeOf = (controller: CgroupController): CgroupHome => {
    const name = versionOneName(controller);
    const mount = mounts.find(({ version, names }) => version === 1 && names.includes(name));
    if (mount !== undefined) return versionOne(mount, controller, caller);
    if (unified !== undefined) return versionTwo(read, unified, homes, controller, caller);
    return hasVersionOne
      ? missing(caller, `this host has no ${controller} controller`, 'boot a kernel that has it')
      : missing(caller, 'no cgroup file system is mounted', hintToMount(read));
  };
  const controllers = Object.fromEntries(CGROUP_CONTROLLERS.map((name) => [name, homeOf(name)])) as Record<
    CgroupController,
    CgroupHome
  >;
  return {
    layout,
    controllers,
    hierarchies: hierarchies(mounts),
    unified: homes,
    devices: devicesHome(mounts),
    ...freezerHome(read, mounts),
    mounts: mounts.map(({ point }) => point),
    swap: countsSwap(read, controllers.memory),
    cpuset: cpuset(read, controllers.cpuset, homes),
    ioWeight: ioWeight(read, controllers.io, unified),
  };
}

/** The word of version 1 for a controller. */
function versionOneName(controller: CgroupController): string {
  return controller === 'io' ? 'blkio' : controller;
}

function unusable(reason: string, hint: string): CgroupHome {
  return { usable: false, reason, hint };
}

/** What keeps a controller away. In a container the caller cannot change what the host has: `hint` would be no help. */
function missing(caller: CgroupCaller, reason: string, hint: string): CgroupHome {
  if (!caller.contained) return unusable(reason, hint);
  return unusable(
    'the container around boxctl has no cgroup in which others may be made',
    'give that container `limits`: they hold for all that is in it',
  );
}

/** `ip netns exec` (ip-netns(8)) mounts /sys anew, without what was mounted in it. */
function hintToMount(read: HostReader): string {
  const mount = 'mount one: mount -t cgroup2 none /sys/fs/cgroup';
  if (!read.exists('/run/netns')) return mount;
  return `\`ip netns exec\` hides it by a new /sys: run boxctl by \`nsenter --net=/run/netns/NAME\` instead; or ${mount}`;
}

function versionOne({ home, own }: CgroupMount, controller: CgroupController, caller: CgroupCaller): CgroupHome {
  if (home !== undefined) return { usable: true, version: 1, dir: home };
  return missing(
    caller,
    `the ${controller} controller is in a version 1 hierarchy, where ${own} belongs to another user`,
    'run boxctl as root, have the folder given to you, or boot with systemd.unified_cgroup_hierarchy=1',
  );
}

function versionTwo(
  read: HostReader,
  { point, own }: CgroupMount,
  homes: readonly UnifiedHome[],
  controller: CgroupController,
  caller: CgroupCaller,
): CgroupHome {
  if (homes.some((home) => home.controllers.includes(controller))) return { usable: true, version: 2 };
  if (!words(read.text(`${point}/cgroup.controllers`)).includes(controller)) {
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

/** Those of version 1 in which the caller may make cgroups. A hierarchy that is mounted twice is listed once. */
function hierarchies(mounts: readonly CgroupMount[]): readonly Hierarchy[] {
  const found = new Map<string, Hierarchy>();
  for (const { version, names, home } of mounts) {
    if (version !== 1 || names.length === 0 || home === undefined || found.has(names.join())) continue;
    found.set(names.join(), { dir: home, names });
  }
  return [...found.values()];
}

/**
 * For rules about devices any cgroup will do in which a child can be made: no controller has to be handed on. In version 1 the
 * hierarchy must have no other controller, since the container's own cgroup is in a second one around it there.
 */
function devicesHome(mounts: readonly CgroupMount[]): DevicesHome | undefined {
  const first = mounts.find(({ version, names }) => version === 1 && names.join() === 'devices');
  if (first?.home !== undefined) return { version: 1, dir: first.home };
  const second = mounts.find(({ version }) => version === 2);
  return second?.home === undefined ? undefined : { version: 2, dir: second.home };
}

/**
 * In version 2 every cgroup can be frozen (Linux 5.2), and what is frozen can be killed; in version 1 there is a hierarchy for
 * it. A process can be born in a child of the folder where it may be moved there, too.
 */
function freezerHome(read: HostReader, mounts: readonly CgroupMount[]): Pick<CgroupFacts, 'freezer'> {
  const second = mounts.find(({ version }) => version === 2)?.home;
  if (second !== undefined && read.writable(`${second}/cgroup.procs`)) return { freezer: { version: 2, dir: second } };
  const first = mounts.find(({ version, names }) => version === 1 && names.includes('freezer'))?.home;
  return first === undefined ? {} : { freezer: { version: 1, dir: first } };
}

/** A kernel may be built, or booted, without counting swap. */
function countsSwap(read: HostReader, memory: CgroupHome): boolean {
  if (!memory.usable) return false;
  if (memory.version === 1) return read.exists(`${memory.dir}/${LIMITS.swap.cgroup.v1}`);
  return read.exists('/proc/swaps');
}

/** What the home of a container's cpuset has: a child can have no more. */
function cpuset(read: HostReader, home: CgroupHome, homes: readonly UnifiedHome[]): CgroupFacts['cpuset'] {
  const line = (path: string): string | undefined => read.text(path)?.trim() || undefined;
  if (!home.usable) return { cpus: undefined, mems: undefined };
  if (home.version === 1) return { cpus: line(`${home.dir}/cpuset.cpus`), mems: line(`${home.dir}/cpuset.mems`) };
  const dir = homes.find(({ controllers }) => controllers.includes('cpuset'))?.dir ?? '';
  return { cpus: line(`${dir}/cpuset.cpus.effective`), mems: line(`${dir}/cpuset.mems.effective`) };
}

/**
 * The file that weighs disks. The kernel takes a weight without an error where no scheduler goes by it: BFQ does, and on
 * version 2 the cost model, once that is on.
 */
function ioWeight(read: HostReader, io: CgroupHome, unified: CgroupMount | undefined): string | undefined {
  if (!io.usable) return undefined;
  const { v1, v2 } = LIMITS['blkio_config.weight'].cgroup;
  const bfq = read.exists('/sys/module/bfq');
  if (io.version === 1) return bfq || read.exists(`${io.dir}/blkio.bfq.io_service_bytes`) ? v1 : undefined;
  if (/\benable=1\b/u.test(read.text(`${unified?.point ?? ''}/io.cost.qos`) ?? '')) return 'io.weight';
  return bfq ? v2 : undefined;
}
