/** The command that installs a program here, as far as the distribution is known. */

const PACKAGES = {
  uidmap: { debian: 'uidmap', fedora: 'shadow-utils', arch: 'shadow', alpine: 'shadow-subids', suse: 'shadow' },
  slirp4netns: {},
  passt: {},
  'fuse-overlayfs': {},
} as const satisfies Readonly<Record<string, Readonly<Partial<Record<Family, string>>>>>;

const COMMANDS = {
  debian: 'apt-get install',
  fedora: 'dnf install',
  arch: 'pacman -S',
  alpine: 'apk add',
  suse: 'zypper install',
} as const;
type Family = keyof typeof COMMANDS;

const ALIASES: Readonly<Record<string, Family>> = {
  debian: 'debian',
  ubuntu: 'debian',
  fedora: 'fedora',
  rhel: 'fedora',
  centos: 'fedora',
  arch: 'arch',
  alpine: 'alpine',
  suse: 'suse',
  opensuse: 'suse',
};

/** `distribution` are the words of os-release's ID and ID_LIKE, the nearest first. */
export function installCommand(name: keyof typeof PACKAGES, distribution: readonly string[]): string {
  const family = distribution.map((word) => ALIASES[word]).find((found) => found !== undefined);
  if (family === undefined) return `install ${name}`;
  const known: Readonly<Partial<Record<Family, string>>> = PACKAGES[name];
  return `${COMMANDS[family]} ${known[family] ?? name}`;
}
