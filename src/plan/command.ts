/** The command itself, and what its labels are written through. */
import { resolve } from 'node:path';
import { AT_FDCWD, type Fd, type Text } from '../kernel/calls.ts';
import { O } from '../kernel/constants.ts';
import type { GivenSockets } from '../host/facts.ts';
import { inside, onHost, type PlanContext } from './context.ts';
import type { Plan } from './plan.ts';
import { byDefault } from './steps.ts';
import { sysctlsOf } from './sysctls.ts';

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Where execvp(3) would look for a program without a slash in its name, in its order. */
export function foldersOfPath(env: readonly string[]): readonly string[] {
  const path = env.find((entry) => entry.startsWith('PATH='))?.slice('PATH='.length) ?? DEFAULT_PATH;
  return path.split(':').map((folder) => (folder === '' ? '.' : folder));
}

function candidates(program: string, env: readonly string[]): readonly string[] {
  return program.includes('/') ? [program] : foldersOfPath(env).map((folder) => `${folder}/${program}`);
}

/** Bytes: a shell, or the beginning of a larger program. */
const READ_AHEAD = 2 * 1024 * 1024;

/**
 * Has the kernel read the program from a layer that was mounted just now, of which nothing is in memory yet, while the first process
 * is busy with the root.
 */
export function readProgram(context: PlanContext, layer: Fd): void {
  const { steps, model } = context;
  const { args, cwd, env } = model.config.process;
  const place = onHost('sources', byDefault('the program is in memory when it is executed'));
  const pathname = candidates(args[0] ?? '', env).map((path) => resolve('/', cwd, path));
  // Another layer may have it, or a mount.
  const allow = [
    'EACCES',
    'EINVAL',
    'EIO',
    'EISDIR',
    'ELOOP',
    'ENAMETOOLONG',
    'ENOENT',
    'ENOTDIR',
    'ENXIO',
    'EPERM',
    'EXDEV',
  ];
  steps.add(place, 'program', 'readahead', { dirfd: layer, pathname, count: READ_AHEAD }, { allow });
}

/** The last step: execve(2). */
export function planCommand(context: PlanContext): void {
  const { steps, model } = context;
  const { args, env } = model.config.process;
  const place = inside('command', model.because('process.args.0'));
  const envp = withSockets(env, socketsOf(context));
  steps.add(place, 'execve', 'execve', { pathname: candidates(args[0] ?? '', env), argv: args, envp });
}

/** Undefined: the command gets none. */
export const socketsOf = ({ model, host }: PlanContext): GivenSockets | undefined =>
  model.takesSockets === true ? host.sockets : undefined;

/** sd_listen_fds(3). The process is known when it is executed. */
function withSockets(env: readonly string[], sockets: GivenSockets | undefined): readonly Text[] {
  if (sockets === undefined) return env;
  const { count, names } = sockets;
  return [
    ...env.filter((entry) => !/^LISTEN_(?:FDS|PID|FDNAMES)=/u.test(entry)),
    `LISTEN_FDS=${count}`,
    { template: 'LISTEN_PID=$SELF' },
    ...(names === undefined ? [] : [`LISTEN_FDNAMES=${names.join(':')}`]),
  ];
}

export interface OtherCommand {
  /** Default: those of the plan. */
  readonly args: readonly string[] | undefined;
  /** Added to the environment of the plan. */
  readonly environment: Readonly<Record<string, string>> | undefined;
}

function withVariables(env: readonly Text[], more: OtherCommand['environment']): readonly Text[] {
  if (more === undefined) return env;
  const nameOf = (entry: string): string => entry.slice(0, entry.indexOf('='));
  const kept = env.filter((entry) => !Object.hasOwn(more, nameOf(asString(entry))));
  return [...kept, ...Object.entries(more).map(([name, value]) => `${name}=${value}`)];
}

/** The plan with another command as its last step. Nothing else of a plan depends on its command but what is read ahead. */
export function withCommand(plan: Plan, { args, environment }: OtherCommand): Plan {
  const last = plan.steps.at(-1);
  if (last?.call.name !== 'execve') throw new Error('a plan without a command');
  const { argv, envp } = last.call.args;
  const env = withVariables(envp, environment);
  const words = args ?? argv.map(asString);
  const call = {
    ...last.call,
    args: { pathname: candidates(words[0] ?? '', env.map(asString)), argv: words, envp: env },
  };
  return { ...plan, steps: [...plan.steps.slice(0, -1), { ...last, call }] };
}

const asString = (text: Text): string => (typeof text === 'string' ? text : text.template);

/** Opens the host's /proc, where the container's own is not to be had, or not to be trusted. `side`: who opens it. */
export function openHostProc(side: typeof inside, context: PlanContext): Fd | undefined {
  const { process } = context.model.config;
  if (
    sysctlsOf(context.model).length === 0 &&
    process.apparmorProfile === undefined &&
    process.selinuxLabel === undefined
  ) {
    return undefined;
  }
  const args = {
    dirfd: AT_FDCWD,
    pathname: '/proc',
    flags: O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC,
    mode: 0,
    resolve: 0,
  };
  return context.steps.add(side('security', byDefault('/proc of the host')), 'proc', 'openat2', args);
}
