/**
 * Switches on forwarding of packets between the host's uplink and containers, where it was off. Each container that needs
 * it holds a shared lock on a file, and the last one switches it off again. Meanwhile the shared table drops all other
 * packets that come from the uplink (its sets `guarded4` and `guarded6`): those that are for no container and belong to no
 * tracked connection.
 */
import type { ForwardingFact } from '../../host/facts.ts';
import { AT_FDCWD, type Fd } from '../../kernel/calls.ts';
import { LOCK, O } from '../../kernel/constants.ts';
import type { Message } from '../../kernel/netlink/message.ts';
import type { PlanContext } from '../context.ts';
import { onHost } from '../context.ts';
import { byDefault, call, type Place } from '../steps.ts';
import { guardMessages } from './shared-table.ts';

export function planForwarding(context: PlanContext, netfilter: Fd): void {
  const { host, steps } = context;
  const facts = host.networking;
  const needed = facts?.forwarding.filter(({ on, ours }) => !on || ours) ?? [];
  if (facts === undefined || needed.length === 0) return;
  const because = byDefault('the host passes on what containers send and get');
  const place: Place = { ...onHost('network', because), meanwhile: true };
  const make = (id: string, pathname: string): void => {
    steps.add(place, id, 'mkdirat', { dirfd: AT_FDCWD, pathname, mode: 0o700 }, { allow: ['EEXIST'] });
  };
  make('forwarding.mkdir', `${facts.state}/forwarding`);
  for (const one of needed) holdForwarding(context, place, one, netfilter);
}

function holdForwarding(
  { steps }: PlanContext,
  place: Place,
  { family, device, setting, value, restore, lock: path }: ForwardingFact,
  netfilter: Fd,
): void {
  const id = `forwarding.${device}.${setting.slice(setting.lastIndexOf('/') + 1)}${family}`;
  const flags = O.O_RDWR | O.O_CREAT | O.O_CLOEXEC | O.O_NOFOLLOW;
  const open = { dirfd: AT_FDCWD, pathname: path, flags, mode: 0o600, resolve: 0 };
  const remove = { fd: id, dirfd: AT_FDCWD, pathname: path, flags: 0, unless: '' };
  const lock = steps.add(place, id, 'openat2', open, {
    undo: [call('remove_unused', remove, { allow: ['ENOENT'] })],
    late: true,
  });
  steps.add(place, `${id}.flock`, 'flock', { fd: lock, operation: LOCK.LOCK_SH });
  steps.add(place, `${id}.before`, 'write', { dirfd: lock, pathname: '', data: `${restore}\n` });
  const guard = (type: 'add' | 'remove'): readonly Message[] => guardMessages(family, device, type);
  const [last, lastGuard] = [`${id}.last`, `${id}.last-guard`];
  // While another container holds the lock, this returns no descriptor, and the undo calls that need it are skipped.
  const ifLast = (returns: Fd, other: Fd) => call('if_unused', { fd: lock, other }, { returns, allow: ['EAGAIN'] });
  // ENOENT: the table was removed by hand, or the set emptied.
  const removeGuard = call('netlink', { fd: lastGuard, messages: guard('remove') }, { allow: ['ENOENT'] });
  const addGuard = { fd: netfilter, messages: guard('add') };
  steps.add(place, `${id}.guard`, 'netlink', addGuard, {
    mends: true,
    late: true,
    undo: [ifLast(lastGuard, netfilter), removeGuard, call('close', { fd: lastGuard })],
  });
  const restored = call('write', { dirfd: last, pathname: setting, data: restore }, { allow: ['ENOENT'] });
  const on = { dirfd: AT_FDCWD, pathname: setting, data: value };
  steps.add(place, `${id}.on`, 'write', on, { undo: [ifLast(last, lock), restored], late: true });
}
