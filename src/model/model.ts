/** The container as the planner receives it: an OCI config, what OCI has no word for, and who asked for each part. */
import type { ConfigPath } from '../oci/config-path.ts';
import type { Logging } from '../spec/spec.ts';
import type { Borrowed } from '../text/borrowed.ts';
import type { Hidden } from '../text/hidden.ts';
import type { OciBase } from '../oci/config.ts';
import type { Because, ReasonMap } from './because.ts';
import type { Demand } from './demand.ts';
import type { ModelExec } from './execs.ts';
import type { DeviceNode } from './device.ts';
import type { Mount } from './mount.ts';
import type { Network } from './network.ts';
import type { Restart } from '../spec/spec.ts';

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

/** The system calls that the profile would log are counted: to say which, or to write the profile that allows them. */
export type Observes = { readonly kind: 'log' } | { readonly kind: 'learn'; readonly path: string };

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
  readonly config: OciBase;
  /** In the order in which they are attached: what lies in another one comes after it. */
  readonly mounts: readonly Mount[];
  readonly devices: readonly DeviceNode[];
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
  /** The command gets the sockets that boxctl was started with (`HostFacts.sockets`). */
  readonly takesSockets?: true;
  /**
   * Who asked for the value at a path of the config, for example `linux.resources.memory.limit`; the
   * nearest ancestor's answer where the path has none of its own.
   */
  because(path: ConfigPath): Because;
  /** All that `because` answers from. */
  readonly reasons: ReasonMap;
  /** Who asked for its parts: `stop.signal` and `stop.graceMs`. */
  readonly stop: Stop;
  /** Commands that the launcher runs in the container; absent where there are none. */
  readonly execs?: readonly ModelExec[];
  /** Absent: never. OCI has no word for it. */
  readonly restart?: Restart;
  /** Of a container in the background. OCI has no word for it. */
  readonly logging: Logging;
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
  readonly observes?: Observes;
  readonly ownFiles: readonly OwnFile[];
  /** Of its secrets and configs (GivenMount); undefined: not read, since nobody has allowed that. They are in no plan. */
  readonly contents: readonly (Hidden | undefined)[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly home?: Home;
  /** The caller's supplementary groups stay. */
  readonly keepGroups: boolean;
  /** The user namespace that it is in, or is made in, denies setgroups(2): for the commands that join it later. */
  readonly deniesGroups?: true;
}
