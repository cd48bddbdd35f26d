/**
 * Containers on one network find each other by name, whichever starts first. Each writes its names to a folder of the network,
 * and the launcher of each keeps the container's /etc/hosts as the folder is (native/launcher/network_names.h). Nothing has to be
 * asked for a name, and no packet is sent.
 */
import { AT_FDCWD, type Fd } from '../../kernel/calls.ts';
import { LOCK, MSG, O, RESOLVE } from '../../kernel/constants.ts';
import type { JoinedNetwork, Network } from '../../model/network.ts';
import { inside, onHost, type PlanContext } from '../context.ts';
import { followedHosts } from '../own-files.ts';
import { call } from '../steps.ts';

const MOST_HINT = 'a container finds others by name on at most 64 networks';

function linesOf({ names, address4, address6 }: JoinedNetwork): string {
  const addresses = [address4, address6].filter((address) => address !== undefined);
  return addresses.map((address) => `${address}\t${names.join(' ')}\n`).join('');
}

export function planNames(context: PlanContext, { networks, index }: Network): void {
  const { steps, model, host } = context;
  if (networks.length === 0 || host.networking === undefined) return;
  const { state } = host.networking;
  let hosts: Fd | undefined;
  const fd = followedHosts(context);
  if (fd !== undefined) {
    const flags = MSG.MSG_NOSIGNAL;
    steps.add(inside('network', model.because('network.networks.0')), 'names.send', 'sendmsg', { fd, flags });
    const receive = onHost('network', model.because('network.networks.0'));
    hosts = steps.add(receive, 'names.hosts', 'recvmsg', {}, { undo: 'kernel' });
  }
  for (const [place, network] of networks.entries()) {
    const where = { ...onHost('network', model.because(`network.networks.${place}`)), hints: { E2BIG: MOST_HINT } };
    const id = `names.${place}`;
    const folder = `${state}/${network.folder}`;
    for (const [name, pathname] of [
      ['all', folder.slice(0, folder.lastIndexOf('/'))],
      ['mkdir', folder],
    ] as const) {
      const args = { dirfd: AT_FDCWD, pathname, mode: 0o700 };
      steps.add(where, `${id}.${name}`, 'mkdirat', args, { allow: ['EEXIST'] });
    }
    const dirfd = steps.add(where, `${id}.folder`, 'openat2', {
      dirfd: AT_FDCWD,
      pathname: folder,
      flags: O.O_RDONLY | O.O_DIRECTORY | O.O_NOFOLLOW | O.O_CLOEXEC,
      mode: 0,
      resolve: RESOLVE.RESOLVE_NO_MAGICLINKS,
    });
    const own = String(index);
    const remove = call('unlinkat', { dirfd, pathname: own, flags: 0 }, { allow: ['ENOENT'] });
    const flags = O.O_WRONLY | O.O_CREAT | O.O_TRUNC | O.O_NOFOLLOW | O.O_CLOEXEC;
    const file = { dirfd, pathname: own, flags, mode: 0o600, resolve: 0 };
    // It stays open, and locked, as long as the launcher lives: the others find no name of a launcher that was killed.
    const close = call('close', { fd: `${id}.file` });
    const written = steps.add(where, `${id}.file`, 'openat2', file, { undo: [remove, close] });
    steps.add(where, `${id}.lock`, 'flock', { fd: written, operation: LOCK.LOCK_EX });
    steps.add(where, `${id}.lines`, 'write', { dirfd: written, pathname: '', data: linesOf(network) });
    if (hosts !== undefined) steps.add(where, `${id}.follow`, 'follow_names', { dirfd, hosts, own });
  }
}
