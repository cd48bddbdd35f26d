/**
 * A container that runs in the background. It has a folder in the store, `containers/$ID`, which was made before the start and
 * stays after the end: what the launcher tells is in its file `events`, what the container writes in `disk`. Orders come over
 * a socket in the folder of records, which is gone after a reboot as the container is.
 */
import { AT_FDCWD, type Fd } from '../kernel/calls.ts';
import { O, RESOLVE } from '../kernel/constants.ts';
import type { HostFacts } from '../host/facts.ts';
import { once, onHost, type PlanContext } from './context.ts';
import { byDefault, call, literal } from './steps.ts';

/** The folder's descriptor, in the plan of every such container. */
export const KEPT: Fd = 'kept';
/** In it: the files of `logging: {driver: json-file}`. */
const LOG = 'log';

/** Of the host, with `$ID`. */
export const keptPath = ({ dirs }: HostFacts): string => `${literal(dirs.store)}/containers/$ID`;

export function openKept(context: PlanContext): void {
  const { steps, host } = context;
  const place = once(context, onHost('record', byDefault('container in the background')));
  const folder = {
    dirfd: AT_FDCWD,
    flags: O.O_RDONLY | O.O_DIRECTORY | O.O_NOFOLLOW | O.O_CLOEXEC,
    mode: 0,
    resolve: RESOLVE.RESOLVE_NO_MAGICLINKS,
  };
  steps.add(place, KEPT, 'openat2', { ...folder, pathname: { template: keptPath(host) } });
  const events = steps.add(place, 'kept.events', 'openat2', {
    dirfd: KEPT,
    pathname: 'events',
    flags: O.O_WRONLY | O.O_CREAT | O.O_TRUNC | O.O_APPEND | O.O_NOFOLLOW | O.O_CLOEXEC,
    mode: 0o600,
    resolve: 0,
  });
  steps.add(place, 'kept.events.use', 'record_events', { fd: events, folder: KEPT });
  openLog(context);
  const { state } = host.dirs;
  steps.add(
    place,
    'control.state',
    'mkdirat',
    { dirfd: AT_FDCWD, pathname: state, mode: 0o700 },
    { allow: ['EEXIST'] },
  );
  const pathname = `${state}/control`;
  steps.add(place, 'control.mkdir', 'mkdirat', { dirfd: AT_FDCWD, pathname, mode: 0o700 }, { allow: ['EEXIST'] });
  const dirfd = steps.add(place, 'control.folder', 'openat2', { ...folder, pathname });
  const socket = { dirfd, pathname: { template: '$ID' } };
  const remove = call('unlinkat', { ...socket, flags: 0 }, { allow: ['ENOENT'] });
  steps.add(place, 'control', 'listen_control', socket, { undo: [remove] });
  // What is typed at the terminal that it was started from, and the end of that terminal, are not for it.
  steps.add(place, 'session', 'setsid', {});
}

/** systemd-journald.service(8). */
const JOURNAL = '/run/systemd/journal/socket';

function openLog(context: PlanContext): void {
  const { steps, model } = context;
  const place = once(context, onHost('record', model.because('logging')));
  const { driver, maxSize, maxFiles } = model.logging;
  if (driver === 'none') {
    steps.add(place, 'log', 'log_none', {});
  } else if (driver === 'journald') {
    const hint = 'systemd’s journal does not run here: `driver: json-file`';
    const args = { pathname: JOURNAL, name: model.name, id: { template: '$ID' } };
    steps.add({ ...place, hints: { ENOENT: hint, ECONNREFUSED: hint } }, 'log', 'log_journal', args);
  } else {
    steps.add(place, 'log.mkdir', 'mkdirat', { dirfd: KEPT, pathname: LOG, mode: 0o700 }, { allow: ['EEXIST'] });
    const flags = O.O_RDONLY | O.O_DIRECTORY | O.O_NOFOLLOW | O.O_CLOEXEC;
    const dirfd = steps.add(place, 'log.folder', 'openat2', { dirfd: KEPT, pathname: LOG, flags, mode: 0, resolve: 0 });
    steps.add(place, 'log', 'log_files', { dirfd, max_size: maxSize, max_files: maxFiles });
  }
}
