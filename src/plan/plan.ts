/** A plan: what is done, in which order, by which side, at whose word, and how it is undone. */
import type { Demand } from '../model/demand.ts';
import type { Dropped, Stop, Warning } from '../model/model.ts';
import type { HealthTimes, Restart } from '../spec/spec.ts';
import type { Because } from '../model/because.ts';
import type { CounterName } from '../limits/table.ts';
import type { Borrowed } from '../text/borrowed.ts';
import type { Call, Fd } from '../kernel/calls.ts';
import type { Message } from '../kernel/netlink/message.ts';
import type { Hints } from './hints.ts';

export const PLAN_VERSION = 1;

/** The headings under which a person reads the steps; also the tasks that are drawn while they run. */
export type Group =
  | 'record'
  | 'cgroup'
  | 'sources'
  | 'namespaces'
  | 'users'
  | 'root'
  | 'mounts'
  | 'dev'
  | 'hide'
  | 'identity'
  | 'network'
  | 'terminal'
  | 'security'
  | 'command';

export interface Step {
  /** Unique in the plan, readable, stable: `mount.proc`, `cgroup.memory.limit`. */
  readonly id: string;
  readonly group: Group;
  /** Which process makes the call: the launcher on the host, or the container's first process. */
  readonly side: 'host' | 'container';
  /**
   * Of a step on the host that needs nothing of the container's steps before it, back to the host's last one: the launcher
   * makes it while the container's first process makes those.
   */
  readonly meanwhile?: true;
  /**
   * Of the launcher: it is made before the first run alone, and undone after the last; its descriptor stays open meanwhile. Of
   * the container's first process: it is made where the container has not run before.
   */
  readonly once?: true;
  /** Left out where the step before it on the same side was left out: it makes what would only be used together with that. */
  readonly dependent?: true;
  /**
   * Of the launcher: it is undone after the end was told. Nobody waits for it then. A launcher that is killed before has left
   * its record, from which the next command sweeps.
   */
  readonly late?: true;
  /** Of the launcher: it is made again while the command runs, where what `watch_tables` asks for is gone. */
  readonly mends?: true;
  readonly call: Call;
  readonly because: Because;
  /**
   * The calls that take the step back, made by the launcher after the container has ended; `kernel`: the kernel does it
   * when the last process dies; `none`: there is nothing to take back.
   */
  readonly undo: readonly Call[] | 'kernel' | 'none';
  /** Who asked for each of the call's netlink messages, where that is not for all of them who asked for the step. */
  readonly messageReasons?: readonly Because[];
  /** Of the step that binds a published port to a free one of the host: what the user is told of it. */
  readonly publishes?: PublishedStep;
  /** What to do where this step fails, beyond what holds for every such call (hints.ts). */
  readonly hints?: Hints;
}

/** A number that the launcher reads after the end, to tell why it ended. `key` is the line's first word in the file. */
export interface Report {
  readonly what: CounterName;
  readonly dirfd: Fd;
  readonly file: string;
  /** Empty: the file is the number. */
  readonly key: string;
  readonly because: Because;
  /** The limit that it is about, in bytes or processes. */
  readonly limit?: number;
}

export interface PublishedStep {
  /** Of the host; undefined: all. */
  readonly hostAddress: string | undefined;
  /** Of the container. */
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
}

/**
 * A question to nf_tables that the launcher asks after the end. The answer is a counter object (NFT_MSG_GETOBJ), all
 * elements of a set (NFT_MSG_GETSETELEM with NLM_F_DUMP), or one of them. A rule adds elements to the set, with a counter of
 * each. Each key is an address, or the destination's address, the destination's port and the protocol, in this order.
 */
export interface Tally {
  /**
   * What is counted: refused packets; of these, datagrams that the shared table refused (`datagrams`); or packets that begin a connection, as boxctl's rules let them through (`begun`), and
   * those of them that no other program dropped (`passed`).
   */
  readonly of: 'refused' | 'datagrams' | 'begun' | 'passed';
  /** The descriptor of the netlink socket. */
  readonly socket: Fd;
  readonly question: Message;
  readonly because: Because;
}

/** A health check, which is made again and again, or a hook. `$TARGET` in its plan is the container's first process. */
export interface PlannedExec {
  readonly kind: 'health' | 'post_start' | 'pre_stop';
  readonly plan: Plan;
  readonly because: Because;
  /** Of a health check. */
  readonly times?: HealthTimes;
}

export interface Plan {
  /** How many sockets of its own descriptors boxctl hands over, for the command. */
  readonly sockets?: number;
  readonly version: typeof PLAN_VERSION;
  readonly name: string;
  readonly steps: readonly Step[];
  /**
   * The id of the first step that changes anything outside of the container and of the launcher itself, or that looks at what a
   * path of the file leads to. Until then a plan may turn out not to be valid any more (native/front). Undefined: the first step.
   */
  readonly outside?: string | undefined;
  readonly reports: readonly Report[];
  readonly tallies?: readonly Tally[];
  /** The name of the pseudo-terminal's master on the host's side; the launcher relays it to descriptors 0 and 1. */
  readonly terminal: { readonly master: Fd; readonly stdin: boolean } | undefined;
  /** What a SIGTERM to the launcher, and the end of the time, become for the command. */
  readonly stop: Stop;
  /** Commands that the launcher runs in the container, each by a plan of its own; absent where there are none. */
  readonly execs?: readonly PlannedExec[];
  /** When the launcher runs the plan again after the command's end; absent: never. */
  readonly restart?: Restart;
  /** How long the command may run from its start. */
  readonly timeLimit: { readonly ms: number; readonly because: Because } | undefined;
  readonly dropped: readonly Dropped[];
  /** What the person who runs it must have allowed; the planner plans it all the same. */
  readonly demands: readonly Demand[];
  readonly warnings: readonly Warning[];
  /**
   * The user ids of the host that the container's processes can have. Undefined: any, since it has no user namespace that was made
   * for it. The launcher's program has to be protected from them (native/shared/out_of_reach.h).
   */
  readonly userIds?: readonly { readonly first: number; readonly size: number }[];
  /** Values of the caller's environment and of an env_file, which are not printed (shown.ts). Empty: all is printed. */
  readonly borrowed: readonly Borrowed[];
}
