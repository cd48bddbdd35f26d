/** The entries for the command's user and group that the image's /etc/passwd and /etc/group lack. */
import type { HostFacts } from '../host/facts.ts';
import type { ImageFacts } from './image.ts';
import type { Spec } from '../spec/spec.ts';
import { parseGroup, parsePasswd } from './users.ts';

export interface Account {
  /** What /etc/passwd lacks. */
  readonly user?: {
    readonly name: string;
    readonly uid: number;
    readonly gid: number;
    readonly home: string;
    readonly shell: string;
  };
  /** What /etc/group lacks. */
  readonly group?: { readonly name: string; readonly gid: number };
}

/** What useradd(8) takes. */
const NAME = /^[a-z_][a-z0-9_-]{0,31}$/u;

/** The name `wish`; with the id appended if another id has that name. */
function freeName(wish: string, id: number, taken: readonly { readonly name: string }[]): string {
  const isFree = (name: string): boolean => !taken.some((entry) => entry.name === name);
  return [wish, `${wish}${id}`].find(isFree) ?? `id-${id}`;
}

/** Empty if the container has no root file system of its own. */
export function accountFor(
  spec: Spec,
  image: ImageFacts | undefined,
  host: HostFacts,
  { uid, gid }: { readonly uid: number; readonly gid: number },
): Account {
  if (image === undefined || spec.namespaces.mount.kind !== 'private') return {};
  const users = parsePasswd(image.passwd);
  const groups = parseGroup(image.group);
  const caller = spec.keepId && uid === host.euid && NAME.test(host.userName ?? '') ? host.userName : undefined;
  const wish = uid === 0 ? 'root' : (caller ?? 'user');
  const known = users.find((entry) => entry.uid === uid);
  const name = known?.name ?? freeName(wish, uid, users);
  const home = uid === 0 ? '/root' : `/home/${name}`;
  const shell = image.shell === '' ? '/bin/sh' : image.shell;
  return {
    ...(known === undefined ? { user: { name, uid, gid, home, shell } } : {}),
    ...(groups.some((entry) => entry.gid === gid)
      ? {}
      : { group: { name: freeName(gid === 0 ? 'root' : name, gid, groups), gid } }),
  };
}
