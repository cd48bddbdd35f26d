/** The container as the planner receives it: an OCI config, what OCI has no word for, and who asked for each part. */
import type { Guard } from '../spec/spec.ts';
import type { ConfigPath } from '../oci/config-path.ts';
import type { Borrowed } from '../text/borrowed.ts';
import type { OciConfig } from '../oci/config.ts';
import type { Because } from './because.ts';
import type { Demand } from './demand.ts';
import type { Network } from './network.ts';

/** A limit that was asked for with `optional: true` and that this host cannot apply. */
export interface Dropped {
  readonly what: string;
  readonly reason: string;
  readonly because: Because;
}

/** What a person should know before the container starts, and who asked for it. */
export interface Warning {
  readonly message: string;
  readonly because: Because;
}

/** What OCI has no word for of a mount that the specification asks for. */
export interface MountNote {
  /** The source is a file and not a folder, as it was when the specification was loaded. */
  readonly isFile: boolean;
  /** Folders of the host to be made for it first, the outermost before those in it. */
  readonly create: readonly string[];
  /** False: files show the owners that the kernel gives them, which in a user namespace is nobody. */
  readonly translated: boolean;
  /** What in the source the container must not change. */
  readonly guards?: readonly Guard[];
  /** The file asks for everything in it to be writable. */
  readonly unprotected?: true;
  /** The source is a volume of boxctl's own. */
  readonly volume?: VolumeNote;
}

export interface VolumeNote {
  /** As the file names it. */
  readonly name: string;
  /** The volume's name in the store. */
  readonly id: string;
  /** The folder of the specification that it belongs to. */
  readonly folder: string;
  /** A new one starts with what the image has at the target. */
  readonly copy: boolean;
  readonly subpath?: string;
  /** Whose a new one is where the image has nothing at the target: the command's user. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /** What the file says of a new one, whatever the image has there. */
  readonly given: { readonly uid?: number; readonly gid?: number; readonly mode?: number };
}
/** The system calls that the profile would log are counted: to say which, or to write the profile that allows them. */
export type Observes = { readonly kind: 'log' } | { readonly kind: 'learn'; readonly path: string };

/** What OCI has no word for of a device that the specification asks for. */
export interface DeviceNote {
  /** Path on the host. */
  readonly source: string;
  /** It can be read or written, not both: the container's root must not own it. */
  readonly restricted: boolean;
}

/** How a command that should end is told so: a signal, and SIGKILL when it has had its time. OCI has no word for it. */
export interface Stop {
  /** Its number. */
  readonly signal: number;
  readonly graceMs: number;
}

/** Docker's and Compose's. */
export const DEFAULT_STOP: Stop = { signal: 15, graceMs: 10_000 };

/** A small file of the container's own, whatever the image has. */
export interface OwnFile {
  /** In /etc. */
  readonly path: string;
  readonly content: string;
  /** True: the content is added to the image's file. False: the file covers it. */
  readonly adds: boolean;
}

/** The home of a user whom the image does not know. */
export interface Home {
  readonly path: string;
  readonly uid: number;
  readonly gid: number;
  /** It lies in a volume or a tmpfs, which has to be mounted first. */
  readonly inMount: boolean;
}

export interface Model {
  readonly name: string;
  readonly config: OciConfig;
  /** Where what the container writes lies until it ends. */
  readonly writable: 'disk' | 'tmpfs';
  /** PID 1 is boxctl's own reaper, the command its child. */
  readonly init: boolean;
  /** The command is systemd: it gets a control group to write to. */
  readonly systemd?: boolean;
  /** The greatest process id; OCI's runtimes take no such parameter of the kernel. */
  readonly pidMax?: number;
  /** With a terminal: whether the caller's input goes to it. */
  readonly stdinOpen: boolean;
  /**
   * Who asked for the value at a path of the config, for example `linux.resources.memory.limit` or `mounts.3`; the
   * nearest ancestor's answer where the path has none of its own.
   */
  because(path: ConfigPath): Because;
  /** Who asked for its parts: `stop.signal` and `stop.graceMs`. */
  readonly stop: Stop;
  /** How long the command may run; OCI has no word for it. */
  readonly timeLimitMs: number | undefined;
  /** Present where the container has an interface of its own beside `lo`. */
  readonly network?: Network;
  readonly dropped: readonly Dropped[];
  /** What it has of the host that the person who runs it must have allowed. */
  readonly demands: readonly Demand[];
  readonly warnings: readonly Warning[];
  /** Values of the caller's environment and of an env_file: not to be printed. */
  readonly borrowed: readonly Borrowed[];
  /** Whether Landlock stands in where a namespace is the host's. */
  readonly landlock: boolean;
  /** By the index in `config.mounts`, for each mount that the specification asks for; the others are boxctl's defaults. */
  readonly mountNotes: ReadonlyMap<number, MountNote>;
  /** By the path inside, for each of `config.linux.devices` that the specification asks for. */
  readonly deviceNotes: ReadonlyMap<string, DeviceNote>;
  readonly observes?: Observes;
  readonly ownFiles: readonly OwnFile[];
  readonly home?: Home;
  /** The caller's supplementary groups stay. */
  readonly keepGroups: boolean;
}
