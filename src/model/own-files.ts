/**
 * Files that every container with a root of its own gets: its names, and who its command's user is. The image's own users
 * stay as they are; what the file mounts there itself is not touched.
 */
import type { HostFacts } from '../host/facts.ts';
import type { ImageFacts } from './image.ts';
import type { Spec, SpecDocument } from '../spec/spec.ts';
import { resolvConf } from './dns.ts';
import { hostsFile } from './hosts-file.ts';
import type { Home, OwnFile } from './model.ts';
import type { Network } from './network.ts';
import { isWithin } from '../files/read.ts';
import type { Reasons } from './reasons.ts';
import type { Account } from './account.ts';

export interface OwnFiles {
  readonly files: readonly OwnFile[];
  readonly home?: Home;
}

/** What a plan can hold is text without NUL. */
const textOf = (content: string): string => content.replaceAll('\0', '');

const ended = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`);

/** Undefined where the names are those of a namespace that is joined, and not known. */
function nameOf(spec: Spec, host: HostFacts): string | undefined {
  const { kind } = spec.namespaces.uts;
  if (kind === 'path') return undefined;
  return kind === 'private' ? (spec.hostname ?? spec.name) : host.hostname;
}

/** The names of one line: the full one first, which is what `hostname -f` says. */
function allNames(spec: Spec, name: string | undefined): readonly string[] {
  if (name === undefined || name === 'localhost') return [];
  const full = spec.domainname === undefined ? name : `${name}.${spec.domainname}`;
  const [short = name] = name.split('.');
  return [...new Set([full, name, short])];
}

/** The line of passwd(5) and of group(5) for an account that the image does not have. */
function entriesOf({ user, group }: Account, image: ImageFacts | undefined): readonly OwnFile[] {
  const entry = (path: string, before: string | undefined, line: string): OwnFile => {
    const newline = before === undefined || ended(before) === before ? '' : '\n';
    return { path, content: `${newline}${line}\n`, adds: true };
  };
  const files: OwnFile[] = [];
  if (user !== undefined) {
    const line = `${user.name}:*:${user.uid}:${user.gid}::${user.home}:${user.shell}`;
    files.push(entry('/etc/passwd', image?.passwd, line));
  }
  if (group !== undefined) files.push(entry('/etc/group', image?.group, `${group.name}:*:${group.gid}:`));
  return files;
}

/** The mount of the specification that holds what is at the path; undefined: it is the image's. */
function coverOf(spec: Spec, path: string): Spec['volumes'][number] | undefined {
  return spec.volumes
    .filter(({ target }) => isWithin(path, target))
    .toSorted((a, b) => b.target.length - a.target.length)
    .at(0);
}

const isGiven = ({ given = [] }: Spec, path: string): boolean => given.some(({ target }) => target === path);

/** Where the home of an account that the image does not have is made: in the image, or in what is mounted around it. */
function homeOf(spec: Spec, { user }: Account): Home | undefined {
  if (user === undefined) return undefined;
  const { home: path, uid, gid } = user;
  const cover = coverOf(spec, path);
  // In a bind, a new folder would be made on the host.
  if (cover !== undefined && (cover.target === path || cover.type === 'bind' || cover.readOnly)) return undefined;
  return { path, uid, gid, inMount: cover !== undefined };
}

export function compileOwnFiles(
  document: SpecDocument,
  image: ImageFacts | undefined,
  host: HostFacts,
  account: Account,
  network: Network | undefined,
  reasons: Reasons,
): OwnFiles {
  const { spec } = document;
  if (spec.namespaces.mount.kind !== 'private') return { files: [] };
  const name = nameOf(spec, host);
  // On a network with others, it is found by its `name`, too: by itself as well.
  const shared = (network?.networks.length ?? 0) > 0 ? [spec.name] : [];
  const names = [...new Set([...allNames(spec, name), ...shared])];
  const covers: readonly (readonly [path: string, content: string])[] = [
    ['/etc/hosts', hostsFile(spec, host, names, network)],
    ...(name === undefined ? [] : [['/etc/hostname', `${name}\n`] as const]),
    ['/etc/resolv.conf', textOf(resolvConf(spec, host, network))],
  ];
  const files = [
    ...covers.map(([path, content]): OwnFile => ({ path, content, adds: false })),
    ...entriesOf(account, image),
  ].filter(({ path }) => coverOf(spec, path) === undefined && !isGiven(spec, path));
  reasons.set('files', 'hostname', 'names of its own');
  if (spec.extraHosts !== undefined) reasons.set('files.hosts', 'extra_hosts', 'extra_hosts');
  const dnsKey = (['dns', 'dns_search', 'dns_opt'] as const).find((key) => document.where(key) !== undefined);
  if (dnsKey !== undefined) reasons.set('files.resolv', dnsKey, 'dns');
  reasons.set('account', spec.user === undefined && spec.keepId ? 'keep_id' : 'user', 'an entry for the user');
  const home = homeOf(spec, account);
  return { files, ...(home === undefined ? {} : { home }) };
}
