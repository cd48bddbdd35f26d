/** The command: its words, environment, user and privileges. */
import type { HostFacts } from '../host/facts.ts';
import { howToGetIds } from '../host/subordinate.ts';
import type { ImageFacts, Ownership } from './image.ts';
import type { SpecPath } from '../spec/spec-path.ts';
import type { Spec, SpecDocument, UserChoice } from '../spec/spec.ts';
import { startsSystemd, SYSTEMD_HINT, SYSTEMD_LACKS } from '../spec/systemd.ts';
import { parseImageUser } from '../spec/user.ts';
import { compileCapabilities } from './capabilities.ts';
import type { OciProcess, OciRlimit } from '../oci/config.ts';
import { DEFAULT_PATH } from './defaults.ts';
import { accountFor } from './account.ts';
import type { Problems } from './problems.ts';
import type { Reasons } from './reasons.ts';
import { unmapped } from './unmapped.ts';
import { isMapped, resolveGroups, resolveUser, type ResolvedUser } from './users.ts';

/** What the command line says instead of the file. */
export interface Overrides {
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly tty?: boolean;
  readonly stdinOpen?: boolean;
  /** Added to, and winning over, the file's environment. */
  readonly environment?: Readonly<Record<string, string>>;
}

function compileArgs(
  spec: Spec,
  image: ImageFacts | undefined,
  overrides: Overrides,
  reasons: Reasons,
  problems: Problems,
): string[] {
  // An entrypoint of the file's own is not meant for the command that the image comes with.
  const entrypoint = overrides.entrypoint ?? spec.entrypoint ?? image?.defaults.entrypoint ?? [];
  const imageCommand = spec.entrypoint === undefined ? image?.defaults.command : undefined;
  const command = overrides.command ?? spec.command ?? imageCommand ?? [];
  const words = [...entrypoint, ...command];
  const args = words.length === 0 && spec.systemd ? ['/sbin/init'] : words;
  if (overrides.command !== undefined) reasons.byDefault('process.args', 'command line');
  else reasons.set('process.args', spec.command === undefined ? 'entrypoint' : 'command', 'command of the image');
  nameProgram(entrypoint.length > 0 ? 'entrypoint' : 'command', spec, overrides, reasons);
  if (args.length === 0) {
    problems.add(
      'E_NO_COMMAND',
      spec.image === undefined ? 'command' : 'image',
      'there is nothing to run: neither the file nor the image has a command',
      'add `command: [sh]`, or give one: boxctl run FILE -- sh',
    );
  } else if (args[0] === '') {
    problems.add('E_NO_COMMAND', 'command', 'the command is an empty word');
  }
  // What the file says itself was looked at when it was read.
  const isOther = overrides.command !== undefined || (spec.command === undefined && spec.entrypoint === undefined);
  if (isOther && !spec.privileged && !spec.systemd && startsSystemd(args) === 'yes') {
    const path = overrides.command === undefined ? 'image' : 'command';
    problems.add('E_SYSTEMD', path, `systemd cannot be the command: ${SYSTEMD_LACKS}`, SYSTEMD_HINT);
  }
  return args;
}

/** Where the program's name was written, the first of all words. */
function nameProgram(key: 'entrypoint' | 'command', spec: Spec, overrides: Overrides, reasons: Reasons): void {
  if (overrides[key] !== undefined) reasons.byDefault('process.args.0', 'command line');
  else if (spec[key] !== undefined) reasons.setFirst('process.args.0', key, key);
  else reasons.byDefault('process.args.0', `${key} of the image`);
}

function compileEnvironment(
  spec: Spec,
  image: ImageFacts | undefined,
  overrides: Overrides,
  home: string,
  tty: boolean,
): string[] {
  const hostname = spec.hostname ?? (spec.namespaces.uts.kind === 'private' ? spec.name : undefined);
  const values: Record<string, string> = {
    PATH: DEFAULT_PATH,
    ...(hostname === undefined ? {} : { HOSTNAME: hostname }),
    HOME: home,
    ...(tty ? { TERM: 'xterm' } : {}),
    ...(spec.systemd ? { container: 'boxctl' } : {}),
    ...image?.defaults.environment,
    ...spec.environment,
    ...overrides.environment,
  };
  return Object.entries(values).map(([name, value]) => `${name}=${value}`);
}

/** An archive may say who its command runs as; what cannot be read is an error, and never root. */
function imageUser(image: ImageFacts | undefined, problems: Problems): UserChoice | undefined {
  const text = image?.defaults.user ?? '';
  if (text === '') return undefined;
  const user = parseImageUser(text);
  if (user === undefined) {
    problems.add('E_IMAGE_USER', 'image', `the image wants to run as "${text}", which is no user`, 'set `user`');
  }
  return user;
}

function checkUser(
  user: ResolvedUser,
  maps: Ownership | undefined,
  spec: Spec,
  host: HostFacts,
  problems: Problems,
): void {
  if (!isMapped(maps?.uidMap, user.uid)) {
    problems.add('E_USER_NOT_MAPPED', 'user', ...unmapped('user', user.uid, maps, spec, host));
  }
  if (!isMapped(maps?.gidMap, user.gid)) {
    problems.add('E_USER_NOT_MAPPED', 'user', ...unmapped('group', user.gid, maps, spec, host));
  }
}

/** Whether setgroups(2) is allowed inside: not under a map that an ordinary user wrote himself (CVE-2014-8989). */
function mayHaveGroups(host: HostFacts, maps: Ownership | undefined): boolean {
  if (!host.setsGroups) return false;
  if (maps === undefined || host.privileged || host.mapsIds) return true;
  return maps.gidMap.some((map) => map.size > 1 || map.host !== host.egid);
}

function checkGroups(
  groups: readonly { readonly gid: number; readonly specPath: SpecPath }[],
  allowed: boolean,
  maps: Ownership | undefined,
  spec: Spec,
  host: HostFacts,
  problems: Problems,
): void {
  for (const { gid, specPath } of groups) {
    if (!allowed) {
      problems.add(
        'E_GROUPS_DENIED',
        specPath,
        'the kernel lets nobody set groups in a user namespace that an ordinary user mapped by himself',
        host.setsGroups
          ? `${howToGetIds(host)}, or run boxctl as root`
          : 'the container around boxctl forbids it: run boxctl outside of it',
      );
    } else if (!isMapped(maps?.gidMap, gid)) {
      problems.add('E_USER_NOT_MAPPED', specPath, ...unmapped('group', gid, maps, spec, host));
    }
  }
}

/** Which groups are kept is up to the caller alone, and the kernel sets all groups at once. */
function checkKeepGroups(spec: Spec, host: HostFacts, problems: Problems): void {
  const add = (message: string, hint: string): void => problems.add('E_KEEP_GROUPS', 'keep_groups', message, hint);
  if (host.privileged) {
    add('root’s own groups inside would be those of the host’s root', 'name the groups: `group_add`');
  } else if (spec.namespaces.user.kind === 'path') {
    add('the groups of a user namespace that is joined are set anew', 'take `keep_groups` out');
  } else if (spec.groupAdd.length > 0) {
    add('`keep_groups` keeps the caller’s groups, and `group_add` sets others in their place', 'take one of them out');
  }
}

/** A label that nobody enforces would be a promise that nobody keeps. */
function checkLabels(spec: Spec, host: HostFacts, problems: Problems): void {
  const check = (key: 'apparmor' | 'selinux', name: string): void => {
    if (spec[key] === undefined || host[key]) return;
    problems.add('E_NO_SECURITY_MODULE', key, `${name} is not switched on here`, `take \`${key}\` out`);
  };
  check('apparmor', 'AppArmor');
  check('selinux', 'SELinux');
}

export function compileProcess(
  document: SpecDocument,
  image: ImageFacts | undefined,
  host: HostFacts,
  maps: Ownership | undefined,
  overrides: Overrides,
  reasons: Reasons,
  problems: Problems,
): OciProcess {
  const { spec } = document;
  const kept = spec.keepId ? { user: host.euid, group: host.egid } : undefined;
  const user = resolveUser(spec.user ?? kept ?? imageUser(image, problems), image, problems);
  checkUser(user, maps, spec, host, problems);
  const home = accountFor(spec, image, host, user).user?.home ?? user.home;
  const terminal = overrides.tty ?? spec.tty;
  const added = resolveGroups(spec.groupAdd, image, problems);
  checkGroups(added, mayHaveGroups(host, maps), maps, spec, host, problems);
  checkLabels(spec, host, problems);
  const rlimits = spec.ulimits.map(({ name, soft, hard }): OciRlimit => ({
    type: `RLIMIT_${name.toUpperCase()}`,
    soft,
    hard,
  }));
  reasons.byDefault('process', 'process');
  reasons.set('process.user', spec.user === undefined && spec.keepId ? 'keep_id' : 'user', 'user 0');
  if (added.length > 0) reasons.set('process.user.additionalGids', 'group_add', 'group_add');
  reasons.set('process.terminal', 'tty', overrides.tty === undefined ? 'no terminal' : 'command line');
  reasons.set('process.cwd', 'working_dir', 'working directory /');
  const capabilityKey = (['cap_add', 'cap_drop', 'privileged'] as const).find(
    (key) => document.where(key) !== undefined,
  );
  reasons.set('process.capabilities', capabilityKey ?? 'cap_add', 'capabilities');
  reasons.set('process.noNewPrivileges', 'no_new_privileges', 'no-new-privileges');
  for (const [index, { specPath }] of spec.ulimits.entries())
    reasons.set(`process.rlimits.${index}`, specPath, 'ulimit');
  for (const key of ['apparmor', 'selinux'] as const) {
    reasons.set(key === 'apparmor' ? 'process.apparmorProfile' : 'process.selinuxLabel', key, key);
  }
  reasons.set('process.oomScoreAdj', 'oom_score_adj', 'oom_score_adj');
  // Who is spared himself does not hand that on unless it is asked for.
  const oomScoreAdj = spec.oomScoreAdj ?? (host.oomScoreAdj < 0 ? 0 : undefined);
  const usual = user.additionalGids.filter((gid) => isMapped(maps?.gidMap, gid));
  if (spec.keepGroups) checkKeepGroups(spec, host, problems);
  const groups =
    !spec.keepGroups && mayHaveGroups(host, maps) ? [...new Set([...usual, ...added.map(({ gid }) => gid)])] : [];
  return {
    terminal,
    user: {
      uid: user.uid,
      gid: user.gid,
      umask: 0o022,
      ...(groups.length > 0 ? { additionalGids: groups } : {}),
    },
    args: compileArgs(spec, image, overrides, reasons, problems),
    env: compileEnvironment(spec, image, overrides, home, terminal),
    cwd: spec.workingDir ?? image?.defaults.workingDir ?? '/',
    capabilities: compileCapabilities(spec, user.uid, host, problems),
    ...(rlimits.length > 0 ? { rlimits } : {}),
    noNewPrivileges: spec.noNewPrivileges,
    ...(oomScoreAdj === undefined ? {} : { oomScoreAdj }),
    ...(spec.apparmor === undefined ? {} : { apparmorProfile: spec.apparmor }),
    ...(spec.selinux === undefined ? {} : { selinuxLabel: spec.selinux }),
  };
}
