/** Where the hierarchies of control groups are mounted, and boxctl's own cgroup in each. */
import type { HostReader } from './read.ts';

export interface CgroupMount {
  readonly version: 1 | 2;
  readonly point: string;
  /** In version 1: the controllers that are mounted together, or `name=…`. */
  readonly names: readonly string[];
  /** The folder of boxctl's own cgroup; where the mount does not show it, the mount itself. */
  readonly own: string;
  /** Of that folder and those around it, the nearest in which the caller may make a cgroup. */
  readonly home: string | undefined;
}

/** statfs(2): of version 1 and 2. */
const CGROUP_MAGIC: ReadonlySet<number> = new Set([0x27e0eb, 0x63677270]);

/**
 * By /proc/self/mountinfo and /proc/self/cgroup (proc_pid_mountinfo(5), cgroups(7)). What another mount covers, as a new /sys does, is
 * left out: the folders at its paths are of something else.
 */
export function cgroupMounts(read: HostReader): readonly CgroupMount[] {
  const paths = pathsIn(read.text('/proc/self/cgroup') ?? '');
  const isVisible = ({ point }: Hierarchy): boolean => CGROUP_MAGIC.has(read.fileSystem(point) ?? 0);
  return hierarchies(read)
    .filter(isVisible)
    .map(({ root, ...mount }) => {
      const { point, names } = mount;
      const own = folderOf(root, point, paths.get(names[0] ?? '') ?? '/') ?? point;
      const home = upwards(own, point).find((folder) => read.writable(folder));
      return { ...mount, own, home };
    });
}

/** `root`: the part of the hierarchy that the mount shows. */
type Hierarchy = Pick<CgroupMount, 'version' | 'point' | 'names'> & { readonly root: string };

function hierarchies(read: HostReader): readonly Hierarchy[] {
  const known = [...pathsIn(read.text('/proc/self/cgroup') ?? '').keys()];
  // Where each hierarchy of /proc/self/cgroup is mounted, a later mount cannot change what is found here: it comes after the first of
  // its hierarchy. A new hierarchy has a line of its own in that file, and one that was made anew another number.
  const pointsOf = (lines: string): readonly string[] | undefined => {
    const all = hierarchiesIn(lines);
    const names = new Set(all.flatMap(({ version, names: own }) => (version === 2 ? [''] : own)));
    return known.every((name) => names.has(name)) ? all.map(({ point }) => point) : undefined;
  };
  return hierarchiesIn(read.mounts('cgroup', pointsOf) ?? '');
}

function hierarchiesIn(lines: string): readonly Hierarchy[] {
  return lines.split('\n').flatMap((line) => {
    const [left = '', right = ''] = line.split(' - ');
    const [, , , root, point] = left.split(' ');
    const [type, , options = ''] = right.split(' ');
    if ((type !== 'cgroup' && type !== 'cgroup2') || root === undefined || point === undefined) return [];
    const names = type === 'cgroup' ? namesOf(options.split(',')) : [];
    return [{ version: type === 'cgroup' ? 1 : 2, root: unescape(root), point: unescape(point), names }];
  });
}

/** The cgroups of a process as folders of the host, where they are others than boxctl's own. */
export interface ProcessCgroups {
  readonly versionOne: readonly string[];
  readonly unified: string | undefined;
}

/** By /proc/PID/cgroup. A hierarchy whose mount does not show the process's cgroup is left out. */
export function cgroupsOf(read: HostReader, pid: number): ProcessCgroups {
  const own = pathsIn(read.text('/proc/self/cgroup') ?? '');
  const theirs = pathsIn(read.text(`/proc/${pid}/cgroup`) ?? '');
  const found = hierarchies(read).flatMap(({ version, root, point, names }) => {
    const name = names[0] ?? '';
    const path = theirs.get(name);
    if (path === undefined || path === own.get(name)) return [];
    const folder = folderOf(root, point, path);
    return folder === undefined ? [] : [{ version, folder }];
  });
  const of = (version: 1 | 2): readonly string[] => [
    ...new Set(found.filter((one) => one.version === version).map(({ folder }) => folder)),
  ];
  return { versionOne: of(1), unified: of(2)[0] };
}

/** The cgroups that were made for a container. */
export interface ContainerCgroups {
  /** In version 1, by the name of the controller. */
  readonly versionOne: ReadonlyMap<string, string>;
  /** In version 2: the one that its processes are in, or that is around theirs. */
  readonly unified: string | undefined;
}

/** In version 2, the container's own is in one that hands controllers on to it (src/plan/cgroup-unified.ts). */
const INNER = 'container';

/**
 * The part of a path that ends with the cgroup of the container of this id. Its processes can be in others below it.
 * Undefined: the path is that of a cgroup that boxctl has not made for it.
 */
function ownPart(path: string, id: string): { readonly own: string; readonly inner: string | undefined } | undefined {
  const parts = path.split('/');
  const at = parts.findIndex((part) => part.startsWith('boxctl-') && part.replace(/\.scope$/u, '').endsWith(`-${id}`));
  if (at < 0) return undefined;
  const own = parts.slice(0, at + 1).join('/');
  return { own, inner: parts[at + 1] === INNER ? `${own}/${INNER}` : undefined };
}

/** Those of the container with this id and first process. */
export function containerCgroups(read: HostReader, pid: number, id: string): ContainerCgroups {
  const paths = pathsIn(read.text(`/proc/${pid}/cgroup`) ?? '');
  const versionOne = new Map<string, string>();
  let unified: string | undefined;
  for (const { version, root, point, names } of hierarchies(read)) {
    const found = ownPart(paths.get(names[0] ?? '') ?? '', id);
    const folder = found === undefined ? undefined : folderOf(root, point, found.inner ?? found.own);
    if (folder === undefined || !read.exists(folder)) continue;
    if (version === 2) unified ??= folder;
    else for (const name of names) versionOne.set(name, folder);
  }
  return { versionOne, unified };
}

/** A process's cgroups by the name of a controller or hierarchy; by '' in version 2. */
function pathsIn(text: string): ReadonlyMap<string, string> {
  const paths = new Map<string, string>();
  for (const [, names = '', path = '/'] of text.matchAll(/^\d+:([^:]*):(.*)$/gmu)) {
    for (const name of names.split(',')) paths.set(name, path);
  }
  return paths;
}

/** mountinfo has blanks and the like as three octal digits. */
function unescape(path: string): string {
  return path.replaceAll(/\\(\d{3})/gu, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 8)));
}

/** Of a mount's options, those that say which hierarchy it is: the controllers first. */
function namesOf(options: readonly string[]): readonly string[] {
  const others = /^(?:r[ow]|no\w+|\w+=.*|xattr|clone_children|cpuset_v2_mode|seclabel)$/u;
  return [...options.filter((one) => !others.test(one)), ...options.filter((one) => one.startsWith('name='))];
}

/** A cgroup's folder below the mount. Undefined: the mount shows another part of the hierarchy, whose top is `root`. */
function folderOf(root: string, point: string, path: string): string | undefined {
  if (path === root) return point;
  if (root === '/') return `${point}${path}`;
  return path.startsWith(`${root}/`) ? `${point}${path.slice(root.length)}` : undefined;
}

/** A folder and those around it, up to `top`. */
export function upwards(folder: string, top: string): readonly string[] {
  const chain: string[] = [];
  for (let at = folder; at.startsWith(top); at = at.slice(0, at.lastIndexOf('/'))) {
    chain.push(at);
    if (at === top) break;
  }
  return chain;
}

/** A cgroup in which a container is limited. */
export interface LimitFolder {
  readonly version: 1 | 2;
  /** In version 1: the controllers of the hierarchy, by their names in version 2. */
  readonly controllers: readonly string[];
  readonly folder: string;
}

/**
 * The cgroups that were made for a container: `leaf` is their name, and that of their scope. A process of the container may have
 * gone into a cgroup below them. `pid`: any process of it.
 */
export function limitFolders(read: HostReader, pid: number, leaf: string): readonly LimitFolder[] {
  const theirs = pathsIn(read.text(`/proc/${pid}/cgroup`) ?? '');
  return hierarchies(read).flatMap(({ version, root, point, names }): readonly LimitFolder[] => {
    const path = theirs.get(names[0] ?? '');
    const parts = path?.split('/') ?? [];
    const at = parts.findIndex((part) => part === leaf || part === `${leaf}.scope`);
    if (at < 0) return [];
    const own = parts.slice(0, at + 1).join('/');
    const folder = folderOf(root, point, version === 1 ? own : `${own}/container`);
    if (folder === undefined) return [];
    const controllers = version === 1 ? names.map((name) => (name === 'blkio' ? 'io' : name)) : wordsOf(read, folder);
    return [{ version, controllers, folder }];
  });
}

const wordsOf = (read: HostReader, folder: string): readonly string[] =>
  (read.text(`${folder}/cgroup.controllers`) ?? '').trim().split(/\s+/u).filter(Boolean);
