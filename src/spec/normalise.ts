/** Turns the raw file, which the schema has checked, into the Spec: expands short forms, and checks the rest. */
import { startsSystemd, SYSTEMD_HINT, SYSTEMD_LACKS, systemdVolumes } from './systemd.ts';
import { basename, posix } from 'node:path';
import type { ContainerFile } from '../generated/container.ts';
import { clip, each, addProblem, type Context } from './context.ts';
import { normaliseCapabilities } from './capabilities.ts';
import { normaliseDevices } from './devices.ts';
import { normaliseExecs } from './execs.ts';
import { normaliseEnvironment } from './environment.ts';
import { normaliseGiven } from './given.ts';
import { normaliseNotes } from './notes.ts';
import { normaliseAutoIds, normaliseGroups, normaliseIdMaps, normaliseKeepId, normaliseUser } from './ids.ts';
import { normaliseImage } from './image.ts';
import { normaliseLimits, normaliseStop } from './limits.ts';
import { normaliseLogging } from './logging.ts';
import { normalisePlatform } from './platform.ts';
import { normalisePullPolicy } from './pull-policy.ts';
import { normaliseNetwork } from './network/mode.ts';
import { normalisePathChanges, normalisePrivileged, normaliseUlimits } from './privileges.ts';
import { normaliseRestart } from './restart.ts';
import { normaliseSeccomp } from './seccomp.ts';
import { NAMESPACE_KINDS, type NamespaceChoice, type Spec } from './spec.ts';
import { normaliseSysctls } from './sysctls.ts';
import { tmpfsSize } from './tmpfs.ts';
import { insidePath } from './values.ts';
import { normaliseVolumes } from './volumes.ts';
import { splitWords } from '../text/shell-words.ts';

/** The Spec of a raw file. It must not be used if problems were reported. */
export function normalise(context: Context, raw: ContainerFile): Spec {
  const { namespaces, ...network } = normaliseNetwork(context, raw, normaliseNamespaces(context, raw.namespaces));
  const name = raw.name ?? defaultName(context.folder);
  const platform = normalisePlatform(context, raw.platform, 'platform');
  const pullPolicy = normalisePullPolicy(context, raw.pull_policy);
  const image = normaliseImage(context, raw.image, {
    ...(platform === undefined ? {} : { platform }),
    ...(pullPolicy === undefined ? {} : { pullPolicy }),
  });
  const user = normaliseUser(context, raw.user);
  const uidMap = normaliseIdMaps(context, raw.uid_map, 'uid_map');
  const gidMap = normaliseIdMaps(context, raw.gid_map, 'gid_map');
  const autoIds = normaliseAutoIds(context, raw);
  const seccomp = normaliseSeccomp(context, raw.seccomp, name);
  const restart = normaliseRestart(context, raw.restart);
  const workingDir = normaliseWorkingDir(context, raw.working_dir);
  const entrypoint = normaliseWords(context, raw.entrypoint, 'entrypoint');
  const command = normaliseWords(context, raw.command, 'command');
  checkSystemd(context, raw, [...(entrypoint ?? []), ...(command ?? [])]);
  checkHostname(context, raw.hostname, 'hostname');
  checkHostname(context, raw.domainname, 'domainname');
  const given = normaliseVolumes(context, raw.volumes, raw.tmpfs);
  const volumes = raw.init === 'systemd' ? [...given, ...systemdVolumes(given)] : given;
  const files = normaliseGiven(context, raw, volumes);
  const labels = normaliseNotes(context, raw.labels, 'labels');
  const annotations = normaliseNotes(context, raw.annotations, 'annotations');
  const devices = normaliseDevices(context, raw.devices, volumes);
  const shmSize = normaliseShmSize(context, raw.shm_size, volumes);
  checkNamespaceKeys(context, raw, namespaces);
  const hostname = raw.hostname ?? (namespaces.uts.kind === 'private' ? name : undefined);
  return {
    name,
    ...(image === undefined ? {} : { image }),
    ...(platform === undefined ? {} : { platform }),
    ...(hostname === undefined ? {} : { hostname }),
    ...(raw.domainname === undefined ? {} : { domainname: raw.domainname }),
    namespaces,
    ...network,
    ...(user === undefined ? {} : { user }),
    ...(uidMap === undefined ? {} : { uidMap }),
    ...(gidMap === undefined ? {} : { gidMap }),
    ...(autoIds === undefined ? {} : { autoIds }),
    keepId: normaliseKeepId(context, raw),
    keepGroups: raw.keep_groups ?? false,
    groupAdd: normaliseGroups(context, raw.group_add),
    ...normaliseCapabilities(context, raw.cap_add, raw.cap_drop),
    privileged: normalisePrivileged(context, raw.privileged),
    noNewPrivileges: raw.no_new_privileges ?? true,
    ...(seccomp === undefined ? {} : { seccomp }),
    landlock: raw.landlock ?? true,
    ulimits: normaliseUlimits(context, raw.ulimits),
    sysctls: normaliseSysctls(context, raw.sysctls, namespaces),
    ...(raw.oom_score_adj === undefined ? {} : { oomScoreAdj: raw.oom_score_adj }),
    maskedPaths: normalisePathChanges(context, raw.masked_paths, 'masked_paths'),
    readonlyPaths: normalisePathChanges(context, raw.readonly_paths, 'readonly_paths'),
    ...(raw.apparmor === undefined ? {} : { apparmor: raw.apparmor }),
    ...(raw.selinux === undefined ? {} : { selinux: raw.selinux }),
    limits: normaliseLimits(context, raw.limits),
    environment: normaliseEnvironment(context, raw.environment, raw.env_file),
    ...(workingDir === undefined ? {} : { workingDir }),
    ...(entrypoint === undefined ? {} : { entrypoint }),
    ...(command === undefined ? {} : { command }),
    volumes,
    ...(files.length === 0 ? {} : { given: files }),
    ...(labels === undefined ? {} : { labels }),
    ...(annotations === undefined ? {} : { annotations }),
    devices,
    ...(shmSize === undefined ? {} : { shmSize }),
    readOnly: raw.read_only ?? false,
    ...(raw.writable === undefined ? {} : { writable: raw.writable }),
    init: raw.init === true,
    systemd: raw.init === 'systemd',
    tty: raw.tty ?? false,
    stdinOpen: raw.stdin_open ?? false,
    ...(raw.socket_activation === true ? { socketActivation: true } : {}),
    ...normaliseStop(context, raw),
    ...(restart === undefined ? {} : { restart }),
    ...normaliseLogging(context, raw.logging),
    ...normaliseExecs(context, raw),
  };
}

/** The folder's name with what a name may not have replaced. */
function defaultName(folder: string): string {
  return (
    basename(folder)
      .replaceAll(/[^A-Za-z0-9_.-]/g, '-')
      .replace(/^[^A-Za-z0-9]+/, '')
      .slice(0, 63) || 'container'
  );
}

function normaliseNamespaces(context: Context, raw: ContainerFile['namespaces']): Spec['namespaces'] {
  const all = (choice: NamespaceChoice): Record<(typeof NAMESPACE_KINDS)[number], NamespaceChoice> => ({
    pid: choice,
    mount: choice,
    uts: choice,
    ipc: choice,
    net: choice,
    user: choice,
    cgroup: choice,
    time: choice,
  });
  if (Array.isArray(raw)) {
    const result = all({ kind: 'host' });
    for (const [kind, path] of each(context, raw, 'namespaces')) {
      if (result[kind].kind === 'private') {
        addProblem(context, path, 'E_SPEC_VALUE', `the namespace ${kind} is in the list twice`);
      }
      result[kind] = { kind: 'private' };
      context.paths.alias(`namespaces.${kind}`, path);
    }
    return result;
  }
  const result = all({ kind: 'private' });
  for (const kind of NAMESPACE_KINDS) {
    const choice = raw?.[kind];
    if (choice === 'host') result[kind] = { kind: 'host' };
    else if (choice !== undefined && choice !== 'private') {
      result[kind] = { kind: 'path', path: posix.normalize(choice) };
    }
  }
  return result;
}

/** Keys that need a namespace of the container's own. */
function checkNamespaceKeys(context: Context, raw: ContainerFile, namespaces: Spec['namespaces']): void {
  const conflicts = (kind: 'mount' | 'uts' | 'user', keys: readonly (keyof ContainerFile)[], why: string) => {
    if (namespaces[kind].kind === 'private') return;
    for (const key of keys) {
      if (raw[key] === undefined || raw[key] === false) continue;
      addProblem(
        context,
        key,
        'E_SPEC_CONFLICT',
        `\`${key}\` needs a ${kind} namespace of the container's own: ${why}`,
        {
          hint: `make \`namespaces.${kind}\` private, or leave \`${key}\` out`,
        },
      );
    }
  };
  conflicts('uts', ['hostname', 'domainname'], 'it would rename the host');
  conflicts('user', ['uid_map', 'gid_map', 'keep_id'], 'there is nothing to map');
  conflicts(
    'mount',
    [
      'image',
      'volumes',
      'tmpfs',
      'secrets',
      'configs',
      'devices',
      'shm_size',
      'read_only',
      'writable',
      'masked_paths',
      'readonly_paths',
      'dns',
      'dns_search',
      'dns_opt',
      'extra_hosts',
    ],
    "it would change the host's files",
  );
  if (namespaces.mount.kind === 'private' && raw.image === undefined && !context.bad.has('image')) {
    addProblem(context, '', 'E_SPEC_MISSING_KEY', 'the file lacks the key `image`', {
      hint: '`image: ./rootfs.tar.gz`, or `image: {host_tools: [sh, ls]}` for programs of this host',
    });
  }
}

function normaliseShmSize(
  context: Context,
  value: ContainerFile['shm_size'],
  volumes: Spec['volumes'],
): number | undefined {
  const size = tmpfsSize(context, value, 'shm_size');
  const other = volumes.find(({ target }) => target === '/dev/shm');
  if (size !== undefined && other !== undefined) {
    addProblem(
      context,
      'shm_size',
      'E_SPEC_CONFLICT',
      `\`shm_size\` is of /dev/shm, and \`${other.specPath}\` is there`,
    );
  }
  return size;
}

function normaliseWorkingDir(context: Context, text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  if (/^\/+$/.test(text)) return '/';
  return insidePath(context, text, 'working_dir');
}

function normaliseWords(
  context: Context,
  raw: ContainerFile['command'],
  key: 'command' | 'entrypoint',
): readonly string[] | undefined {
  if (raw === undefined) return undefined;
  let words: readonly string[] = [];
  if (typeof raw === 'string') {
    const split = splitWords(raw);
    if ('problem' in split) {
      addProblem(context, key, 'E_SPEC_WORDS', `\`${key}\` ${split.problem}`, {
        hint: 'a list needs no quoting: [sh, -c, …]',
      });
      return undefined;
    }
    words = split;
  } else words = raw;
  if (words[0] === '' || (typeof raw === 'string' && words.length === 0)) {
    addProblem(context, key, 'E_SPEC_VALUE', `\`${key}\` names no program`);
  }
  return words;
}

/** Reports a command that is systemd without `init: systemd`: it hangs at its start. A privileged container may work. */
function checkSystemd(context: Context, raw: ContainerFile, words: readonly string[]): void {
  if (raw.privileged !== undefined || raw.init === 'systemd') return;
  if (context.bad.has('command') || context.bad.has('entrypoint')) return;
  const key = raw.entrypoint === undefined ? 'command' : 'entrypoint';
  const found = startsSystemd(words);
  if (found === 'yes') {
    addProblem(context, key, 'E_SYSTEMD', `systemd cannot be the command: ${SYSTEMD_LACKS}`, { hint: SYSTEMD_HINT });
  } else if (found === 'maybe') {
    const message = `if ${clip(words[0] ?? '')} is systemd, it cannot be the command: ${SYSTEMD_LACKS}`;
    addProblem(context, key, 'E_SYSTEMD', message, { severity: 'warning', hint: SYSTEMD_HINT });
  }
}

/** hostname(7): labels of letters, digits, `-` and (as is common) `_`; the kernel keeps 64 bytes. */
function checkHostname(context: Context, text: string | undefined, key: 'hostname' | 'domainname'): void {
  if (text === undefined) return;
  const label = /^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;
  if (text.length <= 64 && text.split('.').every((part) => label.test(part))) return;
  addProblem(
    context,
    key,
    'E_SPEC_HOSTNAME',
    `"${clip(text)}" is not a ${key === 'hostname' ? 'host' : 'domain'} name`,
    {
      hint: 'letters, digits and `-`, in parts joined by dots, at most 64 in all',
    },
  );
}
