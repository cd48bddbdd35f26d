/** How the mount that a path is on passes mounts on (mount_namespaces(7), proc_pid_mountinfo(5)). */
import { readText } from '../inputs/outside.ts';

export interface PropagationState {
  readonly mountPoint: string;
  readonly shared: boolean;
  readonly slave: boolean;
}

/** Of the mount that is seen at an absolute path without links; `mountinfo` is for tests. */
export function propagationAt(path: string, mountinfo = readText('/proc/self/mountinfo')): PropagationState {
  let best: PropagationState = { mountPoint: '/', shared: false, slave: false };
  for (const line of mountinfo.split('\n')) {
    const fields = line.split(' ');
    const mountPoint = unescape(fields[4] ?? '');
    const within = mountPoint === '/' || path === mountPoint || path.startsWith(`${mountPoint}/`);
    // A later mount at the same place covers the earlier one.
    if (mountPoint === '' || !within || mountPoint.length < best.mountPoint.length) continue;
    const tags = fields.slice(6, fields.indexOf('-'));
    best = {
      mountPoint,
      shared: tags.some((tag) => tag.startsWith('shared:')),
      slave: tags.some((tag) => tag.startsWith('master:')),
    };
  }
  return best;
}

/** Blanks and backslashes are octal there. */
function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCodePoint(Number.parseInt(octal, 8)));
}
