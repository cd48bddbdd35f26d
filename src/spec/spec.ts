/**
 * The specification as the rest of boxctl sees it: every short form expanded, every unit parsed, every default of the
 * *language* filled in. Defaults that depend on the image or the host are the model's.
 */
import type { ContainerFile } from '../generated/container.ts';
import type { SpecPath } from './spec-path.ts';
import type { Diagnostic, Position } from '../errors.ts';
import type { LimitFields } from '../limits/table.ts';
import type { Borrowed } from '../text/borrowed.ts';
import type { Hidden } from '../text/hidden.ts';
import type { ExtraHost, SpecDns, SpecNetwork } from './network/network.ts';
import type { PublicKey } from './public-key.ts';
import type { SeccompProfile } from './seccomp-profile.ts';

export const NAMESPACE_KINDS = ['pid', 'mount', 'uts', 'ipc', 'net', 'user', 'cgroup', 'time'] as const;
export type NamespaceKind = (typeof NAMESPACE_KINDS)[number];

/** `private`: a new one; `host`: the caller's; otherwise an absolute path to join, such as `/proc/123/ns/net`. */
export type NamespaceChoice =
  | { readonly kind: 'private' }
  | { readonly kind: 'host' }
  /** `of`: it is joined only because the network of that container is. */
  | { readonly kind: 'path'; readonly path: string; readonly of?: string }
  /** The network namespace only: that of a running container of the caller, by the container's name. */
  | { readonly kind: 'container'; readonly name: string };

/** OCI `linux.uidMappings`: `size` ids from `container` inside are `host` and up outside. */
export interface IdMap {
  readonly container: number;
  readonly host: number;
  readonly size: number;
}

/** When a registry is asked for an image; a period: when the last time is longer ago than so many milliseconds. */
export type PullPolicy = 'always' | 'missing' | 'never' | { readonly every: number };

/** Who must have signed an image of a registry. */
export interface Verification {
  /** One of them is enough. A key that has to be allowed first is not among them: without any, nothing counts. */
  readonly keys: readonly PublicKey[];
  /** The repository that a signature has to name, in full: `docker.io/library/alpine`. Absent: the image's own. */
  readonly identity?: string;
}

export type ImageSource =
  /**
   * Absolute path of an archive, or of an OCI image layout's folder. It has no links. A link that was put there later is
   * not followed when the file is opened. `sha256` (64 hex digits) pins the file's content.
   */
  | {
      readonly kind: 'tar';
      readonly path: string;
      readonly sha256?: string;
      /** The most bytes, uncompressed, that the image's files may have together. */
      readonly maxSize?: number;
      readonly maxEntries?: number;
      /** The name of the image to use from an archive that holds several. */
      readonly wanted?: string;
    }
  /** Absolute path of a folder that is a root file system, used as it is. */
  | { readonly kind: 'folder'; readonly path: string }
  /** An image of the store, by its name or the first digits of its digest, or else one of a registry. */
  | {
      readonly kind: 'reference';
      /** As the file has it: `[REGISTRY/]NAME[:TAG][@sha256:DIGEST]`, or `sha256:DIGITS`. */
      readonly name: string;
      /** `linux/ARCHITECTURE[/VARIANT]`, as Go names them. Absent: what suits this machine best. */
      readonly platform?: string;
      /** Absent: `missing`. */
      readonly pullPolicy?: PullPolicy;
      readonly verify?: Verification;
      /** `sha256:…` of an index that has the manifest of the name's digest, as a lock knows it: its signature counts, too. */
      readonly index?: string;
      readonly maxSize?: number;
      readonly maxEntries?: number;
    }
  /** Programs of this host, as names looked up in PATH or absolute paths. */
  | { readonly kind: 'host_tools'; readonly tools: readonly string[] };

export interface UserChoice {
  /** A number (0 … 2^32-2), or a name from the image's own /etc/passwd. */
  readonly user: number | string;
  /** A number, or a name from the image's own /etc/group. Absent: the user's primary group. */
  readonly group?: number | string;
}

/** A field for each row of the table of limits, absent where the file sets no such limit. */
export interface Limits extends LimitFields {
  /** True: a limit that this host cannot apply is dropped with a warning instead of refused. */
  readonly optional: boolean;
}

/** The kernel's name in lower case, without `RLIMIT_`. */
export type UlimitName = keyof NonNullable<ContainerFile['ulimits']>;

/** A resource limit of single processes (getrlimit(2)). */
export interface Ulimit {
  readonly name: UlimitName;
  readonly soft: number | 'unlimited';
  readonly hard: number | 'unlimited';
  readonly specPath: `ulimits.${UlimitName}`;
}

export type SeccompChoice =
  | { readonly kind: 'default' | 'socketcall' | 'unconfined' | 'log' }
  /** Absolute path of the profile that is written after the run. */
  | { readonly kind: 'learn'; readonly path: string }
  /** `profile` is undefined where it has not been read: it lies outside the spec's folder and was not allowed. */
  | { readonly kind: 'profile'; readonly path: string; readonly profile: SeccompProfile | undefined };

/** A kernel parameter of one of the container's namespaces; `path` is below /proc/sys. */
export interface Sysctl {
  readonly path: string;
  readonly value: string;
  readonly specPath: SpecPath;
}

/** Changes to a default list of paths. */
export interface PathChanges {
  readonly add: readonly { readonly path: string; readonly specPath: SpecPath }[];
  readonly remove: readonly { readonly path: string; readonly specPath: SpecPath }[];
}

/** Attributes of a mount that a file may add; `nosuid` and `nodev` are always on. */
export const MOUNT_FLAGS = ['noexec', 'nosymfollow', 'noatime', 'relatime', 'strictatime', 'nodiratime'] as const;
export type MountFlag = (typeof MOUNT_FLAGS)[number];

export const PROPAGATIONS = [
  'private',
  'rprivate',
  'slave',
  'rslave',
  'shared',
  'rshared',
  'unbindable',
  'runbindable',
] as const;
export type Propagation = (typeof PROPAGATIONS)[number];

interface Mounted {
  /** Absolute, normalised path inside. */
  readonly target: string;
  readonly readOnly: boolean;
  readonly flags: readonly MountFlag[];
}

/** A path below a bind that the container must not change, or must not rename or replace. */
export interface Guard {
  /** Relative to the source, without links; '' is the source itself. */
  readonly path: string;
  /** False: it is read-only. True: a folder that can be written to but not renamed, since a guarded path lies in it. */
  readonly writable: boolean;
  /**
   * The path was missing when the specification was loaded, or was a temporary one of another container. The launcher
   * creates it if it is still missing, and gives it the owner of the folder around it.
   */
  readonly make?: {
    readonly what: 'folder' | 'file';
    /** The content of the file; absent: it is empty. */
    readonly text?: string;
    /** It is removed when the last container that needs it has ended. */
    readonly temporary?: boolean;
    /** It is not removed while a file of this name is beside it: git would use that file without it. */
    readonly unless?: string;
    readonly uid: number;
    readonly gid: number;
  };
}

export interface BindVolume extends Mounted {
  readonly type: 'bind';
  /** Absolute host path with every link followed (relative ones count from the spec's folder, `~` is the home). */
  readonly source: string;
  /**
   * Missing folders that are made, from the outermost to the source itself (Compose's `bind.create_host_path`; by default a
   * missing source is an error).
   */
  readonly create: readonly string[];
  /** The source was a file, not a folder, when the specification was loaded. */
  readonly isFile: boolean;
  /**
   * Mounts below the source. `enabled` and `readonly`: they are mounted with the source's attributes. `writable`: they are
   * never read-only. `disabled`: they are not mounted.
   */
  readonly recursive: 'enabled' | 'disabled' | 'writable' | 'readonly';
  readonly propagation: Propagation;
  /** False: the bind has no guards. The container can write files that the host executes, such as git's hooks. */
  readonly protect?: boolean;
  /** Outer paths before inner ones. Always absent where the bind is read-only, or `protect` is false. */
  readonly guards?: readonly Guard[];
  /** Why some of these files cannot be guarded: sentences without full stop. */
  readonly exposed?: readonly string[];
  /** True: the caller's ids are those of the command's user. False: no owner is translated. Absent: as on the host. */
  readonly idmap?: boolean;
}

/** A folder that boxctl keeps on the host, which stays when the container ends. */
export interface NamedVolume extends Mounted {
  readonly type: 'volume';
  /** `[A-Za-z0-9][A-Za-z0-9_.-]*`, at most 63 characters. Two files' volumes of the same name are different volumes. */
  readonly source: string;
  /** A new one starts empty, not with a copy of the image's files at the target. */
  readonly nocopy: boolean;
  /** Relative, normalised, without `..`. */
  readonly subpath?: string;
  /** Owner, group (ids inside) and permission bits of a new volume. Absent: those of the image's folder at the target. */
  readonly uid?: number;
  readonly gid?: number;
  readonly mode?: number;
}

export interface TmpfsVolume extends Mounted {
  readonly type: 'tmpfs';
  /** Bytes; absent: the kernel's default, half of the memory. */
  readonly size?: number;
  /** Permission bits, for example 0o1777. */
  readonly mode?: number;
  readonly nrInodes?: number;
  /** Owner and group of its root, as ids inside. */
  readonly uid?: number;
  readonly gid?: number;
}

export type Volume = BindVolume | NamedVolume | TmpfsVolume;

/** The key that asks for a mount. `init`: one of the mounts of `init: systemd`. */
export type VolumePath = `volumes.${number}` | 'tmpfs' | `tmpfs.${number}` | 'init';
export type PlacedVolume =
  | ((BindVolume | NamedVolume) & { readonly specPath: `volumes.${number}` })
  | (TmpfsVolume & { readonly specPath: VolumePath });

/** The key that asks for a file in memory. */
export type GivenPath = `${'secrets' | 'configs'}.${string}`;

/** A file that the container gets in memory, read-only. */
export interface GivenFile {
  readonly kind: 'secret' | 'config';
  /** `[A-Za-z0-9][A-Za-z0-9_.-]*`, at most 63 characters. */
  readonly name: string;
  /** Absolute, normalised path inside. */
  readonly target: string;
  /** Permission bits. */
  readonly mode: number;
  /** Ids inside; absent: those of the command's user. */
  readonly uid?: number;
  readonly gid?: number;
  /** Undefined: it has not been read, since nobody has allowed that. */
  readonly content: Hidden | undefined;
  readonly specPath: GivenPath;
}

export interface Device {
  /** Absolute host path with every link followed. */
  readonly source: string;
  /** In /dev, normalised. */
  readonly target: string;
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number;
  /** Permission bits of the host's node. */
  readonly mode: number;
  readonly read: boolean;
  readonly write: boolean;
  /** The container may make device nodes of it (mknod(2)). */
  readonly mknod: boolean;
  readonly specPath: SpecPath;
}

export interface Spec {
  /** `[A-Za-z0-9][A-Za-z0-9_.-]*`, at most 63 characters. */
  readonly name: string;
  /** Absent only where the mount namespace is not private: the container then has no root file system of its own. */
  readonly image?: ImageSource;
  /** What the image is made for: `linux/ARCHITECTURE[/VARIANT]`, as Go names them. */
  readonly platform?: string;
  readonly hostname?: string;
  readonly domainname?: string;
  /** All eight, always. */
  readonly namespaces: Readonly<Record<NamespaceKind, NamespaceChoice>>;
  /** Present where the container has an interface of its own; the network namespace is private then. */
  readonly network?: SpecNetwork;
  /** Absent where the file has no key of it. */
  readonly dns?: SpecDns;
  readonly extraHosts?: readonly ExtraHost[];
  readonly user?: UserChoice;
  readonly uidMap?: readonly IdMap[];
  readonly gidMap?: readonly IdMap[];
  /** The number of ids to choose from the free ones (`uid_map: auto`), for users and groups alike. */
  readonly autoIds?: number;
  /** The caller's uid and gid are the same inside and outside. The command has them, unless `user` is given. */
  readonly keepId: boolean;
  /** The command keeps the caller's supplementary groups, and gets neither those of `user` nor `groupAdd`. */
  readonly keepGroups: boolean;
  /** Supplementary groups. `specPath` is where each was written. */
  readonly groupAdd: readonly { readonly group: number | string; readonly specPath: SpecPath }[];
  /** The kernel's names (`CAP_CHOWN`), or ALL. */
  readonly capAdd: readonly string[];
  readonly capDrop: readonly string[];
  readonly privileged: boolean;
  readonly noNewPrivileges: boolean;
  readonly seccomp?: SeccompChoice;
  readonly landlock: boolean;
  readonly ulimits: readonly Ulimit[];
  readonly sysctls: readonly Sysctl[];
  readonly oomScoreAdj?: number;
  readonly maskedPaths: PathChanges;
  readonly readonlyPaths: PathChanges;
  readonly apparmor?: string;
  readonly selinux?: string;
  readonly limits: Limits;
  /** `env_file` first, then `environment`; insertion order kept. */
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDir?: string;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  /** Volumes and the `tmpfs` list together, in the order of the file. `specPath` is where each was written. */
  readonly volumes: readonly PlacedVolume[];
  /** `secrets` and `configs`. */
  readonly given?: readonly GivenFile[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly devices: readonly Device[];
  /** Bytes of /dev/shm. */
  readonly shmSize?: number;
  readonly readOnly: boolean;
  /** Where the container's writes to its root are kept until it ends; undefined: on the disk, if the host can do that. */
  readonly writable?: 'disk' | 'tmpfs';
  readonly init: boolean;
  /** The command is systemd: it is process 1, and manages the container's own cgroup. */
  readonly systemd: boolean;
  readonly tty: boolean;
  readonly stdinOpen: boolean;
  /** The command gets the sockets that boxctl was started with. */
  readonly socketActivation?: true;
  /** The number of the signal. */
  readonly stopSignal?: number;
  /** Milliseconds. */
  readonly stopGracePeriod?: number;
  /** Absent: never. */
  readonly restart?: Restart;
  readonly logging?: Logging;
  readonly healthcheck?: Healthcheck;
  /** Absent where there are none. */
  readonly postStart?: readonly Hook[];
  readonly preStop?: readonly Hook[];
}

/** When a health check is made. Milliseconds. */
export interface HealthTimes {
  readonly interval: number;
  readonly timeout: number;
  /** As long after the start, a failure does not count. */
  readonly startPeriod: number;
  /** Between two checks in the start period, until the first success. */
  readonly startInterval: number;
  /** Failures, one after the other, that make it unhealthy. */
  readonly retries: number;
}

/** What is absent is as the image has it, or the default. */
export interface Healthcheck extends Partial<HealthTimes> {
  /** There is no check, whatever the image has. */
  readonly isOff: boolean;
  readonly test?: readonly string[];
}

/** A command that is run in the container after its start, or before it is stopped. */
export interface Hook {
  readonly command: readonly string[];
  /** Absent: the container's. */
  readonly user?: UserChoice;
  readonly workingDir?: string;
  readonly privileged: boolean;
  /** Added to the container's. */
  readonly environment: Readonly<Record<string, string>>;
  readonly specPath: `${'post_start' | 'pre_stop'}.${number}`;
}

/**
 * When a container in the background is started again after its end. `always` is `unless-stopped`, too: boxctl has no daemon
 * whose own start would tell them apart.
 */
export interface Restart {
  /** `on-failure`: after an exit status other than 0, after the end by a signal, and where it cannot be started. */
  readonly when: 'on-failure' | 'always';
  /** Of `on-failure`: how often at most; undefined: there is no limit. */
  readonly most: number | undefined;
}

/** What becomes of the output of a container in the background. */
export interface Logging {
  readonly driver: 'json-file' | 'journald' | 'none';
  /** Bytes; 0: a file may grow without an end. */
  readonly maxSize: number;
  readonly maxFiles: number;
}

/** A variable of the caller's environment that the file uses. `path` is the value of the file that it is put into. */
export interface Taken {
  readonly name: string;
  readonly path: string;
  readonly value: string;
}

/** A file of the host that boxctl itself reads. The value at `path` of the specification names it. */
export interface HostFile {
  readonly kind: 'image' | 'env_file' | 'seccomp' | 'public_key' | GivenFile['kind'];
  /** Absolute, with every link followed. */
  readonly file: string;
  readonly path: string;
  /** Every user of the host may read it. */
  readonly everyone: boolean;
  /** False: it lies outside the spec's folder and was not allowed, so it has not been opened. */
  readonly readable: boolean;
  /** What was read of it. Absent where it was not, for images, secrets and configs. A function, so that no content is printed by accident. */
  readonly content?: () => FileContent;
}

/** Of a file that a specification names, as it was read when the specification was loaded. */
export interface FileContent {
  readonly text: string;
  /** A byte order mark was before the text. */
  readonly hasMark: boolean;
  /** Of an env_file with `format: raw`. */
  readonly isRaw: boolean;
}

/** A program that the value at `path` of `host_tools` names. Packing reads it and runs its dynamic loader. */
export type HostTool = Omit<HostFile, 'kind' | 'readable' | 'content'>;

/** A loaded file: the spec and where each of its values was written. */
export interface SpecDocument {
  /** The path as the user gave it; used in messages. */
  readonly file: string;
  /** Absolute folder, with every link followed, that relative paths count from. */
  readonly folder: string;
  readonly source: string;
  readonly spec: Spec;
  readonly taken: readonly Taken[];
  readonly files: readonly HostFile[];
  /** Programs of the host that the file names. Missing ones are left out. */
  readonly tools?: readonly HostTool[];
  /** Values that came from the caller's environment or an env_file: not to be printed. */
  readonly borrowed: readonly Borrowed[];
  /** In the order of the file. */
  readonly warnings?: readonly Diagnostic[];
  /**
   * Where a value was written: `limits.memory`, `volumes.0`, `namespaces.net`. Undefined where the file does not say it
   * (a default). For a list of namespaces, `namespaces.pid` is the list's entry.
   */
  where(path: SpecPath): Position | undefined;
  /** All that `where` knows. */
  places?(): ReadonlyMap<string, Position>;
  /** The file's text, such as `${TOKEN}`, of a value that a variable was put into. Undefined for other values. */
  written?(path: string): string | undefined;
}
