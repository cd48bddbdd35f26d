/** Recognises systemd as the command of a container. */

import type { TmpfsVolume } from './spec.ts';

/** What systemd wants to be empty at its start (systemd's CONTAINER_INTERFACE), with the mode of each. */
const FOLDERS: readonly (readonly [target: string, mode: number])[] = [
  ['/run', 0o755],
  ['/run/lock', 0o1777],
  ['/tmp', 0o1777],
  ['/var/log/journal', 0o755],
];

/** Those that the file mounts nothing at. */
export function systemdVolumes(
  given: readonly { readonly target: string }[],
): readonly (TmpfsVolume & { readonly specPath: 'init' })[] {
  const taken = new Set(given.map(({ target }) => target));
  return FOLDERS.filter(([target]) => !taken.has(target)).map(([target, mode]) => ({
    type: 'tmpfs',
    target,
    mode,
    flags: [],
    readOnly: false,
    specPath: 'init',
  }));
}

/** Options with which systemd does not boot a system: it prints something and exits, or serves one user. */
const HARMLESS = /^(?:-h|--(?:help|version|test|user|dump-.*))$/u;
/** Usual paths of systemd as a system's init. Other inits have the same. */
const INITS: ReadonlySet<string> = new Set(['/init', '/sbin/init', '/usr/sbin/init', '/usr/local/sbin/init']);

export const SYSTEMD_LACKS =
  'it needs a control group to write to, and tmpfs at /run and /tmp; without them it starts no service and says nothing';
export const SYSTEMD_HINT = 'say `init: systemd`';

/** `yes`: the program is systemd; `maybe`: it is an init that often is. */
export function startsSystemd(words: readonly string[]): 'yes' | 'maybe' | 'no' {
  const [program = '', ...rest] = words;
  if (rest.some((word) => HARMLESS.test(word))) return 'no';
  if (program.slice(program.lastIndexOf('/') + 1) === 'systemd') return 'yes';
  return INITS.has(program) ? 'maybe' : 'no';
}
