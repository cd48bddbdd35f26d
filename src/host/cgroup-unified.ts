/** The places in the unified hierarchy in which a container's cgroup can be made (cgroup-v2.rst). */
import { CGROUP_CONTROLLERS, type CgroupController } from '../kernel/cgroup.ts';
import { upwards, type CgroupMount } from './cgroup-mounts.ts';
import type { UnifiedHome } from './facts.ts';
import type { HostReader } from './read.ts';

/** Who asks, and where the user's message bus listens. */
export interface CgroupCaller {
  readonly pid: number;
  readonly euid: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** boxctl runs in a user namespace of somebody else's: in a container, most likely. */
  readonly contained: boolean;
}

/** The nearest first, and last what systemd gives. */
export function unifiedHomes(read: HostReader, mount: CgroupMount, caller: CgroupCaller): readonly UnifiedHome[] {
  const homes = upwards(mount.own, mount.point).map((folder) => homeIn(read, mount, folder, caller.pid));
  const all = [...homes, scopeHome(read, mount, caller)].filter((home) => home !== undefined);
  return all.filter((home) => home.controllers.length > 0);
}

export function words(text: string | undefined): readonly string[] {
  return (text ?? '').trim().split(/\s+/u).filter(Boolean);
}

function controllersIn(text: string | undefined): readonly CgroupController[] {
  const named = words(text);
  return CGROUP_CONTROLLERS.filter((controller) => named.includes(controller));
}

/**
 * A controller works in a child only where the parent hands it on, and a cgroup with processes cannot hand anything on
 * ("no internal processes"). boxctl changes what a cgroup hands on only where nobody else can rely on it: in its own, where it
 * is alone there, and at the top of what it can see.
 */
function homeIn(read: HostReader, { own, point }: CgroupMount, folder: string, pid: number): UnifiedHome | undefined {
  if (!read.writable(folder) || !read.writable(`${folder}/cgroup.procs`)) return undefined;
  const handed = controllersIn(read.text(`${folder}/cgroup.subtree_control`));
  const parent = { kind: 'parent', dir: folder, controllers: handed, dormant: [] } as const;
  if ((folder !== own && folder !== point) || !read.writable(`${folder}/cgroup.subtree_control`)) return parent;
  const all = controllersIn(read.text(`${folder}/cgroup.controllers`));
  const dormant = all.filter((controller) => !handed.includes(controller));
  // Only the root of the whole hierarchy has no type, and may have processes.
  const members = read.exists(`${folder}/cgroup.type`) ? words(read.text(`${folder}/cgroup.procs`)) : [];
  if (members.length === 0) return { kind: 'parent', dir: folder, controllers: all, dormant };
  const alone = members.length === 1 && members[0] === String(pid);
  return folder === own && alone ? { kind: 'own', dir: folder, controllers: all, dormant } : parent;
}

/** A scope that the user's systemd can give, also to a process that is in none of its cgroups (org.freedesktop.systemd1). */
function scopeHome(read: HostReader, { point }: CgroupMount, { euid, env }: CgroupCaller): UnifiedHome | undefined {
  if (euid === 0) return undefined;
  const manager = `${point}/user.slice/user-${euid}.slice/user@${euid}.service`;
  const controllers = controllersIn(read.text(`${manager}/cgroup.controllers`));
  const address = /^unix:path=([^,;]+)/u.exec(env['DBUS_SESSION_BUS_ADDRESS'] ?? '')?.[1];
  const bus = address ?? `${env['XDG_RUNTIME_DIR'] ?? `/run/user/${euid}`}/bus`;
  if (controllers.length === 0 || !read.exists(bus)) return undefined;
  return { kind: 'scope', dir: point, controllers, dormant: [], bus };
}
