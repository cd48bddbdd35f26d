/** What systemd as the command needs of the container and of the host. */
import type { HostFacts } from '../host/facts.ts';
import type { Ownership } from './image.ts';
import type { Spec } from '../spec/spec.ts';
import type { Problems } from './problems.ts';

/** The hierarchy of version 1 in which systemd keeps its units, on hosts that have version 1 at all. */
export const SYSTEMD_HIERARCHY = 'name=systemd';

export function checkSystemd(
  spec: Spec,
  host: HostFacts,
  uid: number,
  maps: Ownership | undefined,
  problems: Problems,
): void {
  const add = (message: string, hint: string): void => problems.add('E_SYSTEMD', 'init', message, hint);
  const shared = (['user', 'mount', 'pid', 'cgroup'] as const).filter(
    (kind) => spec.namespaces[kind].kind !== 'private',
  );
  if (shared.length > 0) {
    const message = `systemd needs namespaces of its own for: ${shared.join(', ')}`;
    add(message, 'leave them private, or take `init: systemd` out');
  }
  if (uid !== 0)
    add(`systemd runs as root of the container, and the user is ${uid}`, 'say `user: root`, or take `user` out');
  const { layout, hierarchies, unified } = host.cgroup;
  const has = layout === 'v2' ? unified.length > 0 : hierarchies.some(({ names }) => names.includes(SYSTEMD_HIERARCHY));
  if (!has) {
    const message = 'systemd needs a control group to write to, and there is none that boxctl may make one in';
    add(
      message,
      layout === 'v2' ? 'log in to a session that systemd manages, or run boxctl as root' : 'run boxctl as root',
    );
  }
  const root = maps?.uidMap.find(({ container }) => container === 0)?.host;
  if (!host.privileged && root !== undefined && root !== host.euid) {
    add(
      'the control group belongs to you, and root of the container is another user',
      'take `keep_id` or `uid_map` out',
    );
  }
}
