/**
 * Files that every container with a root of its own gets: its names, and who its command's user is. The image's own users
 * stay as they are; what the file mounts there itself is not touched.
 */
import type { HostFacts } from '../host/facts.ts';
import type { ImageFacts } from './image.ts';
import type { Spec, SpecDocument } from '../spec/spec.ts';
import type { Home, OwnFile } from './model.ts';
import { isWithin } from './mount-targets.ts';
import type { Reasons } from './reasons.ts';
import type { Account } from './account.ts';

export interface OwnFiles {
  readonly files: readonly OwnFile[];
  readonly home?: Home;
}

/** As Docker writes it. */
const LOCAL_NAMES = [
  ['127.0.0.1', 'localhost'],
  ['::1', 'localhost ip6-localhost ip6-loopback'],
  ['fe00::', 'ip6-localnet'],
  ['ff00::', 'ip6-mcastprefix'],
  ['ff02::1', 'ip6-allnodes'],
  ['ff02::2', 'ip6-allrouters'],
] as const;

const NO_NAME_SERVER = '# This container has no network beyond its own, and so no name server.\n';

/** A hosts file with a hundred thousand names, as blockers of advertisements write it, is not copied at each start. */
const MAX_HOSTS = 65_536;

/** What a plan can hold is text without NUL. */
const textOf = (content: string): string => content.replaceAll('\0', '');

/** Whether a line of a hosts file (hosts(5)) gives the name. */
function hasName(hosts: string, name: string): boolean {
  return hosts.split('\n').some((line) => {
    const [, ...names] = line.replace(/#.*/u, '').trim().split(/\s+/u);
    return names.includes(name);
  });
}

const ended = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`);

/** `names`: those by which the container knows itself. In the host's network, the host's names hold, too. */
function hostsFile(inHostNetwork: boolean, host: HostFacts, names: readonly string[]): string {
  const given = inHostNetwork && host.network.hosts.length <= MAX_HOSTS ? ended(textOf(host.network.hosts)) : '';
  const lines = [
    ...(hasName(given, 'localhost') ? [] : LOCAL_NAMES.map((line) => line.join('\t'))),
    ...(names[0] === undefined || hasName(given, names[0]) ? [] : [`127.0.0.1\t${names.join(' ')}`]),
  ];
  return given + lines.map((line) => `${line}\n`).join('');
}

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

/** Where the home of an account that the image does not have is made: in the image, or in what is mounted around it. */
function homeOf(spec: Spec, { user }: Account): Home | undefined {
  if (user === undefined) return undefined;
  const { home: path, uid, gid } = user;
  const cover = coverOf(spec, path);
  // A bind's folders are the host's to make.
  if (cover !== undefined && (cover.target === path || cover.type === 'bind' || cover.readOnly)) return undefined;
  return { path, uid, gid, inMount: cover !== undefined };
}

export function compileOwnFiles(
  { spec }: SpecDocument,
  image: ImageFacts | undefined,
  host: HostFacts,
  account: Account,
  reasons: Reasons,
): OwnFiles {
  if (spec.namespaces.mount.kind !== 'private') return { files: [] };
  const name = nameOf(spec, host);
  const inHostNetwork = spec.namespaces.net.kind === 'host';
  const covers: readonly (readonly [path: string, content: string])[] = [
    ['/etc/hosts', hostsFile(inHostNetwork, host, allNames(spec, name))],
    ...(name === undefined ? [] : [['/etc/hostname', `${name}\n`] as const]),
    ['/etc/resolv.conf', inHostNetwork ? textOf(host.network.resolv) : NO_NAME_SERVER],
  ];
  const files = [
    ...covers.map(([path, content]): OwnFile => ({ path, content, adds: false })),
    ...entriesOf(account, image),
  ].filter(({ path }) => coverOf(spec, path) === undefined);
  reasons.set('files', 'hostname', 'names of its own');
  reasons.set('account', spec.user === undefined && spec.keepId ? 'keep_id' : 'user', 'an entry for the user');
  const home = homeOf(spec, account);
  return { files, ...(home === undefined ? {} : { home }) };
}
