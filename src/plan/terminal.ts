/** A pseudo-terminal from the container's own devpts, found by descriptors alone (CVE-2025-52565). */
import type { Fd } from '../kernel/calls.ts';
import { IOCTL, MSG, O, OPEN_TREE, S_IFREG } from '../kernel/constants.ts';
import { inside, onHost, type PlanContext } from './context.ts';
import { newFileSystem } from './filesystem.ts';
import { attachTo, byDefault, EMPTY_PATH } from './steps.ts';

export interface Terminal {
  readonly master: Fd;
  /** The end that the command gets. */
  readonly peer: Fd;
}

/** `devpts` is the container's mount of it; without one (the host's mounts are used) one is made that nobody sees. */
export function openTerminal(context: PlanContext, devpts: Fd | undefined, dev: Fd | undefined): Terminal | undefined {
  const { steps, model } = context;
  const { terminal, user } = model.config.process;
  if (!terminal) return undefined;
  const place = inside('terminal', model.because('process.terminal'));
  const instance =
    devpts ??
    newFileSystem(steps, place, 'devpts', 'devpts', {
      attributes: 0,
      data: [
        ['newinstance', undefined],
        ['ptmxmode', '0666'],
        ['mode', '0620'],
      ],
    });
  const open = { dirfd: instance, pathname: 'ptmx', flags: O.O_RDWR | O.O_NOCTTY | O.O_CLOEXEC, mode: 0, resolve: 0 };
  const near = steps.add(place, 'pty', 'openat2', open, { undo: 'kernel' });
  steps.add(place, 'pty.unlock', 'ioctl', { fd: near, request: IOCTL.TIOCSPTLCK, name: '', value: 0 });
  const flags = O.O_RDWR | O.O_NOCTTY | O.O_CLOEXEC;
  const peer = steps.add(place, 'pty.peer', 'ioctl_tiocgptpeer', { fd: near, flags });
  const owner = { dirfd: peer, pathname: '', owner: user.uid, group: -1, flags: EMPTY_PATH };
  steps.add(place, 'pty.owner', 'fchownat', owner);
  if (dev !== undefined) {
    const console = inside('dev', model.because('process.terminal'));
    const args = { dirfd: dev, pathname: 'console', mode: S_IFREG | 0o600, major: 0, minor: 0 };
    steps.add(console, 'dev.console', 'mknodat', args, { undo: 'kernel' });
    const clone = OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC | EMPTY_PATH;
    const mount = steps.add(console, 'dev.console.source', 'open_tree', { dirfd: peer, pathname: '', flags: clone });
    attachTo(steps, console, 'dev.console.attach', mount, dev, 'console');
  }
  steps.add(place, 'pty.send', 'sendmsg', { fd: near, flags: MSG.MSG_NOSIGNAL });
  const receive = onHost('terminal', model.because('process.terminal'));
  const master = steps.add(receive, 'pty.receive', 'recvmsg', {}, { returns: 'terminal', undo: 'kernel' });
  return { master, peer };
}

/** What descriptors 0 to 2 are for a command without a terminal of its own, once it has its user's rights. */
export function prepareStreams({ steps, model, kept }: PlanContext): void {
  if (model.config.process.terminal) return;
  const place = inside('terminal', model.because('process.terminal'));
  steps.add(place, 'streams', 'streams', { terminal_input: model.stdinOpen ? 1 : 0, kept: kept ? 1 : 0 });
}

/** A session of the command's own, and the pseudo-terminal as what controls it. */
export function takeTerminal(context: PlanContext, terminal: Terminal | undefined): void {
  const { steps, model } = context;
  steps.add(inside('terminal', byDefault('session of its own')), 'setsid', 'setsid', {});
  if (terminal === undefined) return;
  const place = inside('terminal', model.because('process.terminal'));
  steps.add(place, 'tty', 'ioctl', { fd: terminal.peer, request: IOCTL.TIOCSCTTY, name: '', value: 0 });
  for (const newfd of [0, 1, 2]) {
    steps.add(place, `tty.dup${newfd}`, 'dup3', { oldfd: terminal.peer, newfd, flags: 0 });
  }
}
