/**
 * What the kernel does not clean up by itself is written down before it is made: the record, which the launcher removes
 * with it at the end, and from which the next command sweeps what a killed launcher has left (src/state/sweep.ts).
 */
import type { Ownership } from '../model/image.ts';
import type { OciIdMapping } from '../oci/config.ts';
import { AT_FDCWD, type Fd } from '../kernel/calls.ts';
import { LOCK, O } from '../kernel/constants.ts';
import { onHost, type PlanContext } from './context.ts';
import { forksInside } from './namespaces.ts';
import { byDefault, call, literal, type Place } from './steps.ts';

/** Paths of the host, with `$ID` for the run's own id. */
export interface Leftovers {
  /** Cgroups: processes in them are killed, and the folders removed. */
  readonly rmdir: readonly string[];
  /** Folders to be removed with all that is in them. */
  readonly rmtree: readonly string[];
}

/** What an ordinary user's container writes belongs to ids that its maker has only in such a user namespace. */
function ownershipOf({ host, model }: PlanContext): { readonly ownership?: Ownership } {
  const { uidMappings, gidMappings } = model.config.linux;
  if (host.privileged || uidMappings === undefined || gidMappings === undefined) return {};
  const maps = (list: readonly OciIdMapping[]) =>
    list.map((map) => ({ container: map.containerID, host: map.hostID, size: map.size }));
  return { ownership: { uidMap: maps(uidMappings), gidMap: maps(gidMappings) } };
}

/** The record's descriptor, in every plan. */
const RECORD = 'record';

/** What is made for as long as the container runs, in a folder that is not boxctl's: its path, in a line of its own. */
export function recordMade({ steps }: PlanContext, place: Place, id: string, made: string): void {
  steps.add(place, `${id}.record`, 'write', { dirfd: RECORD, pathname: '', data: `${JSON.stringify({ made })}\n` });
}

export function planRecord(context: PlanContext, leftovers: Leftovers): void {
  const { steps, host, model } = context;
  const place = onHost('record', byDefault('record of what the kernel does not clean up'));
  const { state } = host.dirs;
  const path = { template: `${literal(state)}/${model.name}-$ID` };
  steps.add(place, 'record.mkdir', 'mkdirat', { dirfd: AT_FDCWD, pathname: state, mode: 0o700 }, { allow: ['EEXIST'] });
  const remove = { dirfd: AT_FDCWD, pathname: path, flags: 0 };
  const open = {
    dirfd: AT_FDCWD,
    pathname: path,
    flags: O.O_WRONLY | O.O_CREAT | O.O_EXCL | O.O_CLOEXEC,
    mode: 0o600,
    resolve: 0,
  };
  // As long as the writable layer is there. Who waits for a container that stays looks at its record.
  const late = context.kept ? {} : ({ late: true } as const);
  const file = steps.add(place, RECORD, 'openat2', open, {
    undo: [call('unlinkat', remove, { allow: ['ENOENT'] })],
    ...late,
  });
  // What is locked is alive: the lock is given up after the record is gone, so that nobody else takes it for a leftover.
  const unlock = call('flock', { fd: file, operation: LOCK.LOCK_UN });
  const lock = { fd: file, operation: LOCK.LOCK_EX | LOCK.LOCK_NB };
  steps.add(place, 'record.flock', 'flock', lock, { undo: [call('unlinkat', remove), unlock], ...late });
  // Others take it for a container in the foreground where it does not say that it is not.
  const isKept = context.kept ? { kept: true } : {};
  const text = { template: `${JSON.stringify({ version: 1, ...isKept, ...leftovers, ...ownershipOf(context) })}\n` };
  steps.add(place, 'record.write', 'write', { dirfd: file, pathname: '', data: text });
}

/** A program beside the container (spawn_helper) may take back that it dies with the launcher, too. */
export function recordHelper({ steps }: PlanContext, place: Place, helper: Fd): void {
  const data = { template: `{"helper":$PID(${helper}),"birth":"$BIRTH(${helper})"}\n` };
  steps.add(place, `${helper}.record`, 'write', { dirfd: RECORD, pathname: '', data });
}

/**
 * The command can undo that it dies with the launcher (PR_SET_PDEATHSIG, which a change of credentials clears as well). So
 * it is written down who it is, before it runs. With a process namespace of its own, its end is that of all others; else
 * they are found by their cgroup (cgroup.ts) and by their mount namespace.
 */
export function recordChild(context: PlanContext): void {
  const { steps } = context;
  const place = onHost('record', byDefault('who is ended if the launcher is killed'));
  const shared = context.namespace('pid').kind !== 'private' && context.namespace('mount').kind === 'private';
  const mounts = shared ? ',"mounts":"$MOUNTS"' : '';
  // What is in the container is its child.
  const forks = forksInside(context) ? ',"forks":true' : '';
  const text = { template: `{"pid":$CHILD,"birth":"$BIRTH"${mounts}${forks}}\n` };
  steps.add(place, 'record.child', 'write', { dirfd: RECORD, pathname: '', data: text });
}
