/** Targets at which nothing can be mounted: boxctl itself writes to them, or mounts there. */
import { isWithin } from '../files/read.ts';

/** What lxcfs and the like replace: files that programs read and that boxctl does not write to. */
const PROC_FILES: ReadonlySet<string> = new Set(
  ['cpuinfo', 'diskstats', 'loadavg', 'meminfo', 'slabinfo', 'stat', 'swaps', 'uptime'].map((name) => `/proc/${name}`),
);
const DEV_NAMES: ReadonlySet<string> = new Set([
  'console',
  'fd',
  'full',
  'null',
  'ptmx',
  'pts',
  'random',
  'stderr',
  'stdin',
  'stdout',
  'tty',
  'urandom',
  'zero',
]);

/** In one of the kernel's file systems, and so to be attached once that is there. */
export function isInKernelFolder(target: string): boolean {
  return ['/proc', '/sys', '/dev'].some((folder) => isWithin(target, folder));
}

/** A volume, a secret or a config. */
export interface Targeted {
  readonly target: string;
  readonly type: string;
  readonly isFile?: boolean;
}

export interface Refusal {
  readonly reason: string;
  readonly hint: string;
}

/** Why nothing of this kind can be at the target; undefined where it can. */
export function refuseTarget({ target, type, isFile = false }: Targeted): Refusal | undefined {
  if (isWithin(target, '/proc')) {
    // boxctl writes security labels through /proc: a false one would catch them (CVE-2019-19921).
    if (PROC_FILES.has(target) && type === 'bind' && isFile) return undefined;
    const names = [...PROC_FILES].join(', ');
    return { reason: '/proc is the kernel’s', hint: `a bind of a file can be at ${names}` };
  }
  if (isWithin(target, '/sys')) return { reason: '/sys is the kernel’s', hint: 'mount it somewhere else' };
  if (target === '/dev') {
    return { reason: '/dev is the container’s own', hint: 'a device of the host is named under `devices`' };
  }
  const [, dev, name] = target.split('/');
  if (dev === 'dev' && name !== undefined && DEV_NAMES.has(name)) {
    return { reason: `/dev/${name} is the container’s own`, hint: 'mount it somewhere else' };
  }
  return undefined;
}
