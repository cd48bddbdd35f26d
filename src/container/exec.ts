/** A command in a container that runs in the background: its plan, and its whole run. */
import { setTimeout as sleep } from 'node:timers/promises';
import { BoxctlError } from '../errors.ts';
import { cgroupsOf } from '../host/cgroup-mounts.ts';
import type { HostFacts } from '../host/facts.ts';
import { realHost } from '../host/read.ts';
import type { Because } from '../model/because.ts';
import { withEnvironment, withUser } from '../model/execs.ts';
import type { Model } from '../model/model.ts';
import { resolveUser, type ResolvedUser } from '../model/users.ts';
import { readInRoot } from '../native.ts';
import type { ConfigPath } from '../oci/config-path.ts';
import type { OciProcess } from '../oci/config.ts';
import { planExec, type ExecTarget } from '../plan/exec.ts';
import type { Plan } from '../plan/plan.ts';
import type { Ending } from '../run/ending.ts';
import { parseUser } from '../spec/user.ts';
import { readKeptModel, type KeptContainer } from '../state/containers.ts';
import { hasForegroundFolder } from '../state/foreground.ts';
import { isPaused } from '../state/paused.ts';
import { firstProcess, type FirstProcess } from '../state/running.ts';
import { assertOpen } from './closed.ts';
import type { Ended } from './ended.ts';
import { SILENT, type Reporter } from './reporter.ts';
import { endOf, follow } from './run.ts';

export interface ExecOptions {
  readonly command: readonly string[];
  /** As `user` of a file; by default the container's. */
  readonly user?: string;
  readonly workingDir?: string;
  /** Added to the container's environment. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly tty?: boolean;
  readonly interactive?: boolean;
}

export interface ExecRunOptions extends ExecOptions {
  readonly reporter?: Reporter;
  readonly takesSignals?: boolean;
  readonly showValues?: boolean;
  /** Is called when the plan is made: what is read from then on is for other things. */
  readonly onPlanned?: () => void;
  /** Is called when the command runs. */
  readonly onStarted?: (plan: Plan) => void;
  /** It was started from a kept plan, and has ended: nothing is started, and what happened is told. */
  readonly ended?: Ended;
}

/** The largest /etc/passwd that is read, bytes. */
const MAX_TEXT = 1 << 20;

function textOf(pid: number, path: string): string {
  try {
    return readInRoot(`/proc/${pid}/root`, path, MAX_TEXT)?.toString('utf8') ?? '';
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) return '';
    throw error;
  }
}

/** Names are those of the container's own files, which are read through its root. */
function userOf(word: string, { pid }: FirstProcess): ResolvedUser {
  const choice = parseUser(word);
  if (choice === undefined) {
    throw new BoxctlError('E_USAGE', `--user ${word} is no user`, {
      hint: 'a name or a number, and a group: 1000:1000',
    });
  }
  const files = { passwd: textOf(pid, 'etc/passwd'), group: textOf(pid, 'etc/group') };
  return resolveUser(choice, files, {
    add: (code, _path, message, hint) => {
      throw new BoxctlError(
        code,
        message.replace(/^the image's/u, 'the container’s'),
        hint === undefined ? {} : { hint },
      );
    },
  });
}

function processOf(model: Model, first: FirstProcess, options: ExecOptions): OciProcess {
  const { process } = model.config;
  const user = options.user === undefined ? undefined : userOf(options.user, first);
  const own = user === undefined ? process : withUser(process, user);
  const hasTerm = process.env.some((entry) => entry.startsWith('TERM='));
  return {
    ...own,
    terminal: options.tty ?? false,
    args: [...options.command],
    env: withEnvironment(process.env, {
      ...(options.tty === true && !hasTerm ? { TERM: 'xterm' } : {}),
      ...(user === undefined ? {} : { HOME: user.home }),
      ...options.environment,
    }),
    cwd: options.workingDir ?? process.cwd,
  };
}

function targetOf(first: FirstProcess): ExecTarget {
  const { versionOne, unified } = cgroupsOf(realHost, first.pid);
  return {
    pid: String(first.pid),
    birth: first.birth,
    tasks: versionOne.map((folder) => `${folder}/tasks`),
    unified,
  };
}

const COMMAND_LINE: Because = { kind: 'default', name: 'command line' };

/** What the container's file does not answer for. */
function isOfCommand(path: ConfigPath, { user, workingDir }: ExecOptions): boolean {
  if (path === 'process.args' || path === 'process.args.0' || path === 'process.terminal') return true;
  return (path === 'process.user' && user !== undefined) || (path === 'process.cwd' && workingDir !== undefined);
}

interface Planned {
  readonly plan: Plan;
  readonly model: Model;
}

/**
 * The plan of a command in a container.
 *
 * @throws BoxctlError `E_CONTAINER_NOT_RUNNING`; `E_CONTAINER_CLOSED`; `E_USER_UNKNOWN` where the container does not know the user
 */
export function planExecIn(host: HostFacts, container: KeptContainer, options: ExecOptions): Planned {
  const { name, id } = container;
  const first = container.isAlive ? firstProcess(host, name, id) : undefined;
  if (first === undefined) {
    throw new BoxctlError('E_CONTAINER_NOT_RUNNING', `the container ${name} does not run`, {
      hint: 'boxctl ps -a tells how it ended',
    });
  }
  if (isPaused(container, first.pid)) {
    throw new BoxctlError('E_CONTAINER_PAUSED', `the container ${name} is paused: nothing runs in it`, {
      hint: `let it go on first: boxctl unpause ${name}`,
    });
  }
  const kept = readKeptModel(container);
  if (kept === undefined && container.isForeground === true) {
    throw new BoxctlError(
      'E_CONTAINER_RECORD',
      `the container ${name} has been started just now, or by another program`,
      {
        hint: 'try it again in a moment',
      },
    );
  }
  if (kept === undefined) throw ofOtherVersion(container);
  assertOpen(name, first.pid);
  return planExecFor(host, kept, first, options);
}

/** The plan of a command in a container of this model, by its first process. */
export function planExecFor(host: HostFacts, container: Model, first: FirstProcess, options: ExecOptions): Planned {
  const model: Model = {
    ...container,
    because: (path) => (isOfCommand(path, options) ? COMMAND_LINE : container.because(path)),
    config: { ...container.config, process: processOf(container, first, options) },
    stdinOpen: options.interactive ?? false,
  };
  return { plan: planExec(model, host, targetOf(first)), model };
}

const PATIENCE_MS = 1000;
const INTERVAL_MS = 20;

/** Of a container in the foreground, what it was made from is written down a moment after its start. */
async function isWrittenDown(container: KeptContainer): Promise<void> {
  if (container.isForeground !== true) return;
  for (let waited = 0; waited < PATIENCE_MS && !hasForegroundFolder(container); waited += INTERVAL_MS) {
    await sleep(INTERVAL_MS);
  }
}

/**
 * Runs a command in a container, with this process's standard input and outputs.
 *
 * @throws as `planExecIn` does; BoxctlError where the command cannot be started
 */
export async function execInContainer(
  host: HostFacts,
  container: KeptContainer,
  { reporter = SILENT, takesSignals = true, showValues = false, ended, ...options }: ExecRunOptions,
): Promise<Ending> {
  if (ended !== undefined) return endOfExec(host, container, ended, { ...options, reporter, showValues });
  await isWrittenDown(container);
  const { plan, model } = planExecIn(host, container, options);
  options.onPlanned?.();
  const outcome = await follow(plan, { reporter, takesSignals, onStarted: () => options.onStarted?.(plan) });
  return endOf({ plan, model, host, outcome }, { reporter, showValues });
}

/** Of no process: the plan is not made to be started. */
const NOBODY: FirstProcess = { pid: 0, birth: '' };

/** The container may have ended with the command, which says nothing of its own steps. */
async function endOfExec(
  host: HostFacts,
  container: KeptContainer,
  { records }: Ended,
  { reporter, showValues, ...options }: ExecOptions & { readonly reporter: Reporter; readonly showValues: boolean },
): Promise<Ending> {
  const kept = readKeptModel(container);
  if (kept === undefined) throw ofOtherVersion(container);
  const { plan, model } = planExecFor(host, kept, NOBODY, options);
  const { outcomeOfRecords } = await import('./ended.ts');
  return endOf({ plan, model, host, outcome: await outcomeOfRecords(plan, records) }, { reporter, showValues });
}

const ofOtherVersion = ({ name }: KeptContainer): BoxctlError =>
  new BoxctlError('E_CONTAINER_RECORD', `what is kept of the container ${name} is of another version of boxctl`, {
    hint: `start it again: boxctl stop ${name}, and boxctl up -d`,
  });
