/** `/dev`: the standard nodes, and nothing of the host's beside them. */
import type { OciDevice } from '../oci/config.ts';
import { AT_FDCWD, type Fd } from './calls.ts';
import { O, OPEN_TREE, S_IFCHR, S_IFREG } from './constants.ts';
import { inside, type PlanContext } from './context.ts';
import { attachTo, byDefault, EMPTY_PATH } from './steps.ts';

const LINKS = [
  ['fd', '/proc/self/fd'],
  ['stdin', '/proc/self/fd/0'],
  ['stdout', '/proc/self/fd/1'],
  ['stderr', '/proc/self/fd/2'],
  ['ptmx', 'pts/ptmx'],
] as const;

export interface HostNode {
  readonly device: OciDevice;
  readonly name: string;
  /** A detached mount of the host's node; undefined where a node can be made. */
  readonly mount: Fd | undefined;
}

function nameOf(device: OciDevice): string {
  return device.path.slice('/dev/'.length);
}

/** Only the privileged can make nodes, and only outside of a user namespace; elsewhere the host's are shown. */
function canMakeNodes(context: PlanContext): boolean {
  return context.host.privileged && context.namespace('user').kind === 'host';
}

const place = (context: PlanContext) => inside('dev', context.model.because('linux.devices'));

/** Takes the host's nodes while they can be seen, each checked to be the device that it should be. */
export function openNodes(context: PlanContext): readonly HostNode[] {
  const devices = context.model.config.linux.devices ?? [];
  return devices.map((device) => {
    const name = nameOf(device);
    if (canMakeNodes(context)) return { device, name, mount: undefined };
    const { steps } = context;
    const flags = O.O_PATH | O.O_NOFOLLOW | O.O_CLOEXEC;
    const open = { dirfd: AT_FDCWD, pathname: device.path, flags, mode: 0, resolve: 0 };
    const node = steps.add(place(context), `dev.${name}.node`, 'openat2', open);
    steps.add(place(context), `dev.${name}.check`, 'fstat', { fd: node, major: device.major, minor: device.minor });
    const clone = {
      dirfd: node,
      pathname: '',
      flags: OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC | EMPTY_PATH,
    };
    const mount = steps.add(place(context), `dev.${name}.source`, 'open_tree', clone, { undo: 'kernel' });
    return { device, name, mount };
  });
}

/** Fills an empty tmpfs. `null` comes back open and verified: hidden files are replaced by it (CVE-2025-31133). */
export function populateDev(context: PlanContext, dev: Fd, nodes: readonly HostNode[]): void {
  const { steps } = context;
  const at = place(context);
  for (const { device, name, mount } of nodes) {
    const undo = 'kernel';
    if (mount === undefined) {
      const { major, minor, fileMode, uid, gid } = device;
      const args = { dirfd: dev, pathname: name, mode: S_IFCHR | fileMode, major, minor };
      steps.add(at, `dev.${name}`, 'mknodat', args, { undo });
      if (uid !== 0 || gid !== 0) {
        steps.add(at, `dev.${name}.owner`, 'fchownat', {
          dirfd: dev,
          pathname: name,
          owner: uid,
          group: gid,
          flags: 0,
        });
      }
    } else {
      const args = { dirfd: dev, pathname: name, mode: S_IFREG | 0o666, major: 0, minor: 0 };
      steps.add(at, `dev.${name}`, 'mknodat', args, { undo });
      attachTo(steps, at, `dev.${name}.attach`, mount, dev, name);
    }
  }
  const links = inside('dev', byDefault('links of /dev'));
  for (const [name, target] of LINKS) {
    steps.add(links, `dev.${name}`, 'symlinkat', { target, newdirfd: dev, linkpath: name }, { undo: 'kernel' });
  }
}
