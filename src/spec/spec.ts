/**
 * The specification as the rest of boxctl sees it: every short form expanded, every unit parsed, every default of the
 * *language* filled in. Defaults that depend on the image or the host are the model's.
 */
import type { ContainerFile } from '../generated/container.ts';
import type { SpecPath } from './spec-path.ts';
import type { Diagnostic, Position } from '../errors.ts';
import type { LimitFields } from '../limits/table.ts';
import type { Borrowed } from '../text/borrowed.ts';
import type { ExtraHost, SpecDns, SpecNetwork } from './network/network.ts';
import type { SeccompProfile } from './seccomp-profile.ts';

export const NAMESPACE_KINDS = ['pid', 'mount', 'uts', 'ipc', 'net', 'user', 'cgroup', 'time'] as const;
export type NamespaceKind = (typeof NAMESPACE_KINDS)[number];

/** `private`: a new one; `host`: the caller's; otherwise an absolute path to join, such as `/proc/123/ns/net`. */
export type NamespaceChoice =
  | { readonly kind: 'private' }
  | { readonly kind: 'host' }
  | { readonly kind: 'path'; readonly path: string }
  /** Of the network alone: that of a running container of the caller's, by its name. */
  | { readonly kind: 'container'; readonly name: string };

/** OCI `linux.uidMappings`: `size` ids from `container` inside are `host` and up outside. */
export interface IdMap {
  readonly container: number;
  readonly host: number;
  readonly size: number;
}

export type ImageSource =
  /**
   * Absolute path of an archive, or of an OCI image layout's folder, without links: one that is met when it is opened was put
   * there since, and is not followed. `sha256` (64 hex digits) pins the file's content.
   */
  | {
      readonly kind: 'tar';
      readonly path: string;
      readonly sha256?: string;
      /** Bytes of files, uncompressed, that the image may have at most. */
      readonly maxSize?: number;
      readonly maxEntries?: number;
      /** Of an archive that holds several images: the name of one. */
      readonly wanted?: string;
    }
  /** Absolute path of a folder that is a root file system, used as it is. */
  | { readonly kind: 'folder'; readonly path: string }
  /** An image of the store, by a name or the first digits of its digest. */
  | { readonly kind: 'stored'; readonly name: string }
  /** Programs of this host, as names looked up in PATH or absolute paths. */
  | { readonly kind: 'host_tools'; readonly tools: readonly string[] };

export interface UserChoice {
  /** A number (0 … 2^32-2), or a name from the image's own /etc/passwd. */
  readonly user: number | string;
  /** A number, or a name from the image's own /etc/group. Absent: the user's primary group. */
  readonly group?: number | string;
}

/** What the container may use: a field for each row of the table of limits, absent where the file does not limit it. */
export interface Limits extends LimitFields {
  /** True: a limit that this host cannot apply is dropped with a warning instead of refused. */
  readonly optional: boolean;
}

/** In lower case, without `RLIMIT_`. */
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
  /** `profile` undefined: it lies outside of the folder, was not allowed, and so has not been read. */
  | { readonly kind: 'profile'; readonly path: string; readonly profile: SeccompProfile | undefined };

/** A kernel parameter of one of the container's namespaces; `path` is below /proc/sys. */
export interface Sysctl {
  readonly path: string;
  readonly value: string;
  readonly specPath: SpecPath;
}

/** What is added to a list of usual paths, and what is taken from it. */
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

/** A path under a bind that the container must not change, or not put another in the place of. */
export interface Guard {
  /** Below the source, without links; '' is the source itself. */
  readonly path: string;
  /** True: it only stays in its place, since what is guarded lies in it. False: it is read-only. */
  readonly writable: boolean;
  /** It is missing, or another container's launcher has made it, and is made first, for the owner of the folder around it. */
  readonly make?: {
    readonly what: 'folder' | 'file';
    /** What the file says. */
    readonly text?: string;
    /** It is removed when the last container that needs it has ended. */
    readonly temporary?: boolean;
    /** It stays as long as there is this beside it, which would count without it. */
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
   * The folders to be made, from the outermost that is missing to the source itself, when the file wants that (Compose's
   * `bind.create_host_path`; default: a missing source is an error).
   */
  readonly create: readonly string[];
  /** The source is a file and not a folder, as it was when the specification was loaded. */
  readonly isFile: boolean;
  /** Mounts below the source: `enabled` and `readonly`: as the source; `writable`: never read-only; `disabled`: not shown. */
  readonly recursive: 'enabled' | 'disabled' | 'writable' | 'readonly';
  readonly propagation: Propagation;
  /** False: what programs of the host run or believe by themselves can be written, too. */
  readonly protect?: boolean;
  /** From the outermost to those in it; none where nothing can be written, or `protect` is false. */
  readonly guards?: readonly Guard[];
  /** Why that cannot be guarded: sentences without full stop. */
  readonly exposed?: readonly string[];
  /** True: the caller's ids are those of the command's user. False: no owner is translated. Absent: as on the host. */
  readonly idmap?: boolean;
}

/** A folder of boxctl's own, which stays when the container ends. */
export interface NamedVolume extends Mounted {
  readonly type: 'volume';
  /** `[A-Za-z0-9][A-Za-z0-9_.-]*`, at most 63 characters; other files' volumes of that name are others. */
  readonly source: string;
  /** It starts empty, not with what the image has at the target. */
  readonly nocopy: boolean;
  /** Relative, normalised, without `..`. */
  readonly subpath?: string;
  /** Owner, group and permission bits of a new one, as ids inside, whatever the image has at the target. */
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

/** Where a mount was written; what `init: systemd` mounts has that key. */
export type VolumePath = `volumes.${number}` | 'tmpfs' | `tmpfs.${number}` | 'init';
export type PlacedVolume =
  | ((BindVolume | NamedVolume) & { readonly specPath: `volumes.${number}` })
  | (TmpfsVolume & { readonly specPath: VolumePath });

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
  /** Whether nodes of it may be made. */
  readonly mknod: boolean;
  readonly specPath: SpecPath;
}

export interface Spec {
  /** `[A-Za-z0-9][A-Za-z0-9_.-]*`, at most 63 characters. */
  readonly name: string;
  /** Absent only where the mount namespace is not private: then there is no root of the container's own. */
  readonly image?: ImageSource;
  /** The machine that the image is made for, as `uname -m` names it. */
  readonly platform?: 'x86_64' | 'aarch64';
  readonly hostname?: string;
  readonly domainname?: string;
  /** All eight, always. */
  readonly namespaces: Readonly<Record<NamespaceKind, NamespaceChoice>>;
  /** Present where the container has an interface of its own; the network namespace is private then. */
  readonly network?: SpecNetwork;
  /** Absent: nothing of it was given. */
  readonly dns?: SpecDns;
  readonly extraHosts?: readonly ExtraHost[];
  readonly user?: UserChoice;
  readonly uidMap?: readonly IdMap[];
  readonly gidMap?: readonly IdMap[];
  /** How many ids the container is given of those that are free (`uid_map: auto`), the same for users and groups. */
  readonly autoIds?: number;
  /** The caller's own ids are the same inside, and the command's unless `user` says otherwise. */
  readonly keepId: boolean;
  /** The caller's supplementary groups stay, instead of those of `user` and of `groupAdd`. */
  readonly keepGroups: boolean;
  /** Groups beside the user's own. `specPath` is where each was written. */
  readonly groupAdd: readonly { readonly group: number | string; readonly specPath: SpecPath }[];
  /** The kernel's names, or ALL. */
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
  readonly devices: readonly Device[];
  /** Bytes of /dev/shm. */
  readonly shmSize?: number;
  readonly readOnly: boolean;
  /** Where what the container writes to its root lies until it ends; undefined: on the disk, where that can be. */
  readonly writable?: 'disk' | 'tmpfs';
  readonly init: boolean;
  /** The command is systemd, which is process 1 and manages a part of the control groups. */
  readonly systemd: boolean;
  readonly tty: boolean;
  readonly stdinOpen: boolean;
  /** Its number. */
  readonly stopSignal?: number;
  /** Milliseconds. */
  readonly stopGracePeriod?: number;
}

/** A variable of the caller's environment whose value the file takes, and the path of the value that takes it. */
export interface Taken {
  readonly name: string;
  readonly path: string;
  readonly value: string;
}

/** A file of the host that boxctl itself reads because the specification, at `path`, names it. */
export interface HostFile {
  readonly kind: 'image' | 'env_file' | 'seccomp';
  /** Absolute, with every link followed. */
  readonly file: string;
  readonly path: string;
  /** Every user of the host may read it. */
  readonly everyone: boolean;
  /** It lies in the folder, or was allowed before it was opened. Otherwise it has not been opened. */
  readonly readable: boolean;
}

/** A program of `host_tools`, at `path`, which packing reads, and whose loader it runs. */
export type HostTool = Omit<HostFile, 'kind' | 'readable'>;

/** A loaded file: the spec and where each of its values was written. */
export interface SpecDocument {
  /** As the person gave it; used in messages. */
  readonly file: string;
  /** Absolute folder, with every link followed, that relative paths count from. */
  readonly folder: string;
  readonly source: string;
  readonly spec: Spec;
  readonly taken: readonly Taken[];
  readonly files: readonly HostFile[];
  /** Programs of the host that it names, where they were found; those that are missing are not among them. */
  readonly tools?: readonly HostTool[];
  /** Values that came from the caller's environment or an env_file: not to be printed. */
  readonly borrowed: readonly Borrowed[];
  /** What is no error and yet worth saying, in the order of the file. */
  readonly warnings?: readonly Diagnostic[];
  /**
   * Where a value was written: `limits.memory`, `volumes.0`, `namespaces.net`. Undefined where the file does not say it
   * (a default). For a list of namespaces, `namespaces.pid` is the list's entry.
   */
  where(path: SpecPath): Position | undefined;
  /** What the file says at a path, or in a part of it, where a variable was put in; undefined where none was. */
  written?(path: string): string | undefined;
}
