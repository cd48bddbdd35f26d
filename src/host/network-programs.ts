/**
 * What carries the packets of an ordinary user's container: slirp4netns or pasta, each a network stack in a process of the
 * user's own.
 */
import { isAbsolute, join } from 'node:path';
import { STANDARD_PATH } from '../files/programs.ts';
import type { NetworkPrograms } from './facts.ts';
import type { HostReader } from './read.ts';
import { followTrusted } from './trusted.ts';

export const TUN = '/dev/net/tun';

/** By the distribution's name, or one of those that it is like (os-release(5)). */
const INSTALL: Readonly<Record<string, string>> = {
  debian: 'apt install slirp4netns',
  ubuntu: 'apt install slirp4netns',
  fedora: 'dnf install passt',
  rhel: 'dnf install passt',
  arch: 'pacman -S slirp4netns',
  suse: 'zypper install slirp4netns',
  opensuse: 'zypper install slirp4netns',
  alpine: 'apk add slirp4netns',
  gentoo: 'emerge app-containers/slirp4netns',
  void: 'xbps-install slirp4netns',
};
const INSTALL_ELSEWHERE = 'install the package slirp4netns, or passt';

/** `text` is that of /etc/os-release. */
export function installCommand(text: string | undefined): string {
  const words = (key: string): readonly string[] => {
    const value = new RegExp(`^${key}=(["']?)([a-z0-9._ -]*)\\1$`, 'mu').exec(text ?? '')?.[2] ?? '';
    return value.split(' ').filter(Boolean);
  };
  const names = [...words('ID'), ...words('ID_LIKE')];
  const command = names.map((name) => INSTALL[name]).find((known) => known !== undefined);
  return command ?? INSTALL_ELSEWHERE;
}

/**
 * Only what root has put there: the program carries all that the container sends, and a folder of PATH may be a project's.
 * Root of a container may own the project, too: for root, PATH does not count.
 */
function find(
  name: string,
  path: string,
  euid: number,
  read: HostReader,
  nobody: number | undefined,
): string | undefined {
  const folders = euid === 0 ? STANDARD_PATH : [...path.split(':').filter(isAbsolute), ...STANDARD_PATH];
  for (const folder of new Set(folders)) {
    const named = join(folder, name);
    if (!read.exists(named)) continue;
    const followed = followTrusted(named, { euid: 0, egid: 0, nobody }, read.entry);
    const entry = followed.problem === undefined ? read.entry(followed.path) : undefined;
    if (entry?.kind === 'other' && (entry.mode & 0o111) !== 0 && (entry.mode & 0o022) === 0) return followed.path;
  }
  return undefined;
}

function tunProblem(read: HostReader): NetworkPrograms['noTun'] {
  if (!read.exists(TUN)) {
    return { reason: `there is no ${TUN} here`, hint: `as root: modprobe tun; in a container, give it ${TUN}` };
  }
  if (!read.writable(TUN)) {
    return { reason: `${TUN} is not yours to open`, hint: `as root: chmod 0666 ${TUN}` };
  }
  return undefined;
}

export interface Seeker {
  readonly euid: number;
  /** Of the environment. */
  readonly path: string;
  /** In a user namespace: the user who stands for all that have no id here, among them the host's root. */
  readonly nobody?: number | undefined;
}

export function gatherNetworkPrograms(read: HostReader, { euid, path, nobody }: Seeker): NetworkPrograms {
  const [slirp4netns, pasta] = ['slirp4netns', 'pasta'].map((name) => find(name, path, euid, read, nobody));
  const noTun = tunProblem(read);
  return {
    ...(slirp4netns === undefined ? {} : { slirp4netns }),
    ...(pasta === undefined ? {} : { pasta }),
    ...(noTun === undefined ? {} : { noTun }),
    install: installCommand(read.text('/etc/os-release') ?? read.text('/usr/lib/os-release')),
  };
}
