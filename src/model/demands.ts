/**
 * What a container has of its host beyond the folder of its file, and beyond what every container has: a specification
 * may be hostile, so each of these needs the word of the person who runs it (`--allow`, src/trust). Pure.
 */
import { type Demand, type DemandKind } from './demand.ts';
import { dirname } from 'node:path';
import type { HostFacts } from '../host/facts.ts';
import { redactor } from '../text/borrowed.ts';
import { STANDARD_PATH } from '../files/programs.ts';
import { isWithin } from '../files/read.ts';
import { NAMESPACE_KINDS, type NamespaceKind, type SpecDocument } from '../spec/spec.ts';
import { outward, pathOfFile, type SpecPath } from '../spec/spec-path.ts';
import type { ConfigPath } from '../oci/config-path.ts';
import type { OciBase } from '../oci/config.ts';
import { DEFAULT_CAPABILITIES, MASKED_PATHS, READONLY_PATHS } from './defaults.ts';
import type { Model } from './model.ts';
import { namespacePath } from './namespaces.ts';
import { networkDemands } from './network-demands.ts';
import type { Because } from './because.ts';
import { isSecret } from './secrets.ts';

/** The demand as it is printed. */
export function shownDemand(demand: Demand): Demand {
  return { ...demand, ...demand.shown };
}

/** What `--allow` has to say to permit exactly this. */
export function allowance({ kind, value, readOnly }: Demand): string {
  return value === '' ? kind : `${kind}=${value}${readOnly === true ? ':ro' : ''}`;
}

/** Ids below belong to the system and to people (as systemd and shadow-utils give them out). */
export const FIRST_SPARE_ID = 65_536;

const NAMESPACE_GIVES: Readonly<Record<NamespaceKind, string>> = {
  pid: 'sees all processes of the host',
  mount: 'sees all files of the host',
  uts: 'has the host’s names',
  ipc: 'shares the host’s shared memory and message queues',
  net: 'uses the host’s network, with all that listens there',
  user: 'has the ids of the host: its root is the host’s root',
  cgroup: 'sees the names of the host’s control groups',
  time: 'shares the host’s time namespace',
};

/** What of a configuration the demands are told from. */
export interface Demanding extends Pick<Model, 'mounts' | 'devices'> {
  readonly config: Pick<OciBase, 'process' | 'linux'>;
  because(path: ConfigPath): Because;
}

/** All demands of a container, the gravest kinds first. */
export function demandsOf(document: SpecDocument, model: Demanding, host: HostFacts): readonly Demand[] {
  const redact = redactor(document.borrowed);
  const all = [
    ...ofNamespaces(document),
    ...(document.spec.network === undefined ? [] : networkDemands(document, (path) => ofSpec(document, path))),
    ...ofIds(model, host),
    ...ofGroups(document, host),
    ...ofSockets(document),
    ...(document.spec.privileged ? ofPrivileged(model) : ofPrivileges(model, document)),
    ...ofLabels(model),
    ...ofMounts(model, document.folder),
    ...ofUnprotected(document),
    ...ofDevices(model),
    ...ofFiles(document),
    ...ofEnvironment(document),
  ];
  return all.map((demand): Demand => {
    const path = demand.because.kind === 'spec' ? demand.because.path : undefined;
    const value = redact(demand.value, path);
    const named = demand.value === '' ? demand.message : demand.message.replaceAll(demand.value, () => value);
    const message = redact(named, path);
    return value === demand.value && message === demand.message ? demand : { ...demand, shown: { value, message } };
  });
}

/** The line of a value; if the file does not have it, the line of its parent. */
function ofSpec(document: SpecDocument, path: SpecPath): Because {
  const [own = path, parent = path] = outward(path);
  return { kind: 'spec', path, at: document.where(own) ?? document.where(parent) };
}

function ofNamespaces(document: SpecDocument): readonly Demand[] {
  return NAMESPACE_KINDS.flatMap((kind): readonly Demand[] => {
    const choice = document.spec.namespaces[kind];
    const because = ofSpec(document, namespacePath(document, kind));
    if (choice.kind === 'host') {
      return [{ kind: 'namespace', value: kind, message: `${NAMESPACE_GIVES[kind]} (namespace ${kind})`, because }];
    }
    // What comes with a container's network is demanded with that.
    if (choice.kind === 'private' || (choice.kind === 'path' && choice.of !== undefined)) return [];
    if (choice.kind === 'container') {
      const message = `joins the network of your container ${choice.name}, and reaches what it reaches`;
      return [{ kind: 'container', value: choice.name, message, because: because }];
    }
    return [
      { kind: 'join', value: choice.path, message: `joins the ${kind} namespace of others, ${choice.path}`, because },
    ];
  });
}

/** Only root can map ids that are not the caller's. */
function ofIds({ config, because }: Demanding, host: HostFacts): readonly Demand[] {
  if (!host.privileged) return [];
  const maps = [
    ['user', 'linux.uidMappings', config.linux.uidMappings],
    ['group', 'linux.gidMappings', config.linux.gidMappings],
  ] as const;
  const found = maps.flatMap(([what, path, list]) =>
    (list ?? [])
      .filter(({ hostID }) => hostID < FIRST_SPARE_ID)
      .map(({ hostID, size }): Demand => {
        const last = hostID + size - 1;
        const value = size === 1 ? `${hostID}` : `${hostID}-${last}`;
        return { kind: 'ids', value, message: `acts as ${what} ${value} of the host`, because: because(path) };
      }),
  );
  return found.filter((one, index) => found.findIndex(({ value }) => value === one.value) === index);
}

function ofGroups(document: SpecDocument, host: HostFacts): readonly Demand[] {
  if (!document.spec.keepGroups) return [];
  const kept = host.groups.filter((gid) => gid !== host.egid);
  const which = kept.length === 0 ? '' : ` (${kept.join(', ')})`;
  const message = `may use what your supplementary groups may${which}`;
  return [{ kind: 'groups', value: '', message, because: ofSpec(document, 'keep_groups') }];
}

/** By a socket of the host's network, even one that listens, its holder reaches what the host reaches. */
function ofSockets(document: SpecDocument): readonly Demand[] {
  if (document.spec.socketActivation === undefined) return [];
  const message = 'gets the sockets that boxctl is started with, and by them the network that they are of';
  return [{ kind: 'sockets', value: '', message, because: ofSpec(document, 'socket_activation') }];
}

function ofPrivileges(model: Demanding, document: SpecDocument): readonly Demand[] {
  const { process, linux } = model.config;
  const demands: Demand[] = [];
  const add = (kind: DemandKind, value: string, message: string, path: ConfigPath): void =>
    void demands.push({ kind, value, message, because: model.because(path) });
  for (const name of process.capabilities.bounding.filter((held) => !DEFAULT_CAPABILITIES.includes(held))) {
    add('cap', name.replace(/^CAP_/u, ''), `may have the capability ${name}`, 'process.capabilities');
  }
  if (linux.seccomp === undefined) {
    add('seccomp', 'unconfined', 'runs without a system call filter', 'linux.seccomp');
  } else if (document.spec.seccomp?.kind === 'socketcall') {
    const message = 'makes sockets of every family, by the socketcall of 32-bit programs';
    add('seccomp', 'socketcall', message, 'linux.seccomp');
  } else if (model.because('linux.seccomp').kind === 'spec') {
    add('seccomp', 'custom', 'brings a system call filter of its own', 'linux.seccomp');
  }
  if (document.spec.namespaces.mount.kind === 'private') {
    const open = (all: readonly string[], kept: readonly string[] = []): readonly string[] =>
      all.filter((path) => !kept.includes(path));
    for (const path of open(MASKED_PATHS, linux.maskedPaths)) add('unmask', path, `sees ${path}`, 'linux.maskedPaths');
    for (const path of open(READONLY_PATHS, linux.readonlyPaths)) {
      add('unmask', path, `may write ${path}`, 'linux.readonlyPaths');
    }
  }
  return demands;
}

function ofPrivileged(model: Demanding): readonly Demand[] {
  const message = 'is privileged: it has every capability, no system call filter, and all of /proc and /sys';
  return [{ kind: 'privileged', value: '', message, because: model.because('privileged') }];
}

/** With no more than these, a process cannot raise its priority: no real-time scheduling, and a nice value of 0 (getrlimit(2)). */
const USUAL_PRIORITY: Readonly<Record<string, number>> = { RLIMIT_RTPRIO: 0, RLIMIT_NICE: 20 };

/** What is the same whether or not a container is privileged. */
function ofLabels({ config, because }: Demanding): readonly Demand[] {
  const { noNewPrivileges, oomScoreAdj = 0, apparmorProfile, selinuxLabel, rlimits = [] } = config.process;
  const demands: Demand[] = [];
  const add = (kind: DemandKind, value: string, message: string, path: ConfigPath): void =>
    void demands.push({ kind, value, message, because: because(path) });
  if (!noNewPrivileges) {
    add('new_privileges', '', 'can gain privileges by set-user-id programs', 'process.noNewPrivileges');
  }
  if (apparmorProfile === 'unconfined') {
    add('apparmor', 'unconfined', 'is outside of every AppArmor profile', 'process.apparmorProfile');
  }
  if (selinuxLabel !== undefined && !/^[^:]+:[^:]+:container_(?:\w+_)?t(?::|$)/u.test(selinuxLabel)) {
    const message = `has an SELinux label that is none of containers’, ${selinuxLabel}`;
    add('selinux', selinuxLabel, message, 'process.selinuxLabel');
  }
  if (oomScoreAdj < 0) {
    const message = `is killed later than others when the host runs out of memory (${oomScoreAdj})`;
    add('oom_score_adj', String(oomScoreAdj), message, 'process.oomScoreAdj');
  }
  for (const [index, { type, hard }] of rlimits.entries()) {
    const usual = USUAL_PRIORITY[type];
    if (usual === undefined || (hard !== 'unlimited' && hard <= usual)) continue;
    const name = type.slice('RLIMIT_'.length).toLowerCase();
    const message = `can have its processes run before those of the host (ulimit ${name})`;
    add('ulimit', name, message, `process.rlimits.${index}`);
  }
  return demands;
}

/** No file can name a volume of another folder's. */
function ofMounts({ mounts }: Demanding, folder: string): readonly Demand[] {
  return mounts.flatMap((mount): readonly Demand[] => {
    if (mount.kind !== 'bind' || !mount.asked || isWithin(mount.source, folder)) return [];
    const { source, target, options, recursive, because } = mount;
    if (isWithin(source, '/dev')) {
      return [{ kind: 'device', value: source, message: `has ${source} of the host, as ${target}`, because }];
    }
    // With `ro` alone, mounts below a recursive bind stay writable.
    const readOnly = options.includes('rro') || (options.includes('ro') && !recursive);
    const verb = readOnly ? 'reads' : 'reads and writes';
    const message = `${verb} ${source} of the host, as ${target}`;
    return [{ kind: 'bind', value: source, ...(readOnly ? { readOnly } : {}), message, because }];
  });
}

function ofUnprotected(document: SpecDocument): readonly Demand[] {
  return document.spec.volumes.flatMap((volume): readonly Demand[] => {
    if (volume.type !== 'bind' || volume.readOnly) return [];
    const { source, protect = true, exposed = [], specPath } = volume;
    if (protect && exposed.length === 0) return [];
    const why = exposed.length === 0 ? '' : `: ${exposed.join('; ')}`;
    const message = `writes what git and boxctl run or believe by themselves in ${source} of the host${why}`;
    return [{ kind: 'unprotect', value: source, message, because: ofSpec(document, specPath) }];
  });
}

function ofDevices({ devices }: Demanding): readonly Demand[] {
  return devices
    .filter(({ asked }) => asked)
    .map(({ source: value, type, major, minor, because }): Demand => {
      const message = `has the device ${value} (${type} ${major}:${minor}) of the host`;
      return { kind: 'device', value, message, because };
    });
}

const FILES = {
  image: ['image', 'is made from'],
  env_file: ['env_file', 'gets the variables of'],
  seccomp: ['profile', 'is filtered by'],
  public_key: ['key', 'has its image checked by'],
  secret: ['secret', 'is given as a secret'],
  config: ['config', 'is given as a file'],
} as const;

function ofFiles(document: SpecDocument): readonly Demand[] {
  const files = document.files.flatMap(({ kind, file, path, everyone, readable }): readonly Demand[] => {
    // What everybody may read is no secret of the host. An image is unpacked where it can do no harm.
    const isFree = everyone && (kind === 'image' || kind === 'public_key');
    if (isWithin(file, document.folder) || isFree) return [];
    const because = ofSpec(document, pathOfFile(path));
    const [name, gives] = FILES[kind];
    const unread = readable ? {} : ({ unread: true } as const);
    return [{ kind: name, value: file, message: `${gives} ${file} of the host`, because, ...unread }];
  });
  const { image } = document.spec;
  const tools = image?.kind === 'host_tools' ? image.tools : [];
  // Packing asks a program's own loader for its libraries: a program that came with the file would be run on the host.
  const foreign = tools.flatMap((tool, index): readonly Demand[] => {
    if (!tool.includes('/') || STANDARD_PATH.some((folder) => folder === dirname(tool))) return [];
    const because = ofSpec(document, `image.host_tools.${index}`);
    return [{ kind: 'tool', value: tool, message: `holds ${tool}, whose own loader is run here to pack it`, because }];
  });
  return [...files, ...foreign, ...ofTools(document, foreign)];
}

/** Programs by where they lie: a link of a standard folder, or a name that PATH knows, may lead anywhere. */
function ofTools(document: SpecDocument, named: readonly Demand[]): readonly Demand[] {
  return (document.tools ?? []).flatMap(({ file, path, everyone }): readonly Demand[] => {
    const because = ofSpec(document, pathOfFile(path));
    const told = named.some((demand) => demand.because.kind === 'spec' && demand.because.path === path);
    if (told || (everyone && !isWithin(file, document.folder))) return [];
    const why = everyone ? 'whose own loader is run here to pack it' : 'which not every user of the host may read';
    return [{ kind: 'tool', value: file, message: `holds ${file}, ${why}`, because }];
  });
}

function ofEnvironment(document: SpecDocument): readonly Demand[] {
  const seen = new Set<string>();
  return document.taken.flatMap(({ name, path, value }): readonly Demand[] => {
    if (!isSecret(name, value) || seen.has(name)) return [];
    seen.add(name);
    const because = ofSpec(document, pathOfFile(path));
    return [{ kind: 'env', value: name, message: `gets the value of your variable ${name}`, because }];
  });
}
