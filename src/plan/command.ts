/** The command itself, and what its labels are written through. */
import { AT_FDCWD, type Fd } from '../kernel/calls.ts';
import { O } from '../kernel/constants.ts';
import { inside, type PlanContext } from './context.ts';
import { byDefault } from './steps.ts';
import { sysctlsOf } from './sysctls.ts';

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Where execvp(3) would look, in its order. */
function candidates(program: string, env: readonly string[]): readonly string[] {
  if (program.includes('/')) return [program];
  const path = env.find((entry) => entry.startsWith('PATH='))?.slice('PATH='.length) ?? DEFAULT_PATH;
  return path.split(':').map((folder) => `${folder === '' ? '.' : folder}/${program}`);
}

/** The last step: execve(2). */
export function planCommand(context: PlanContext): void {
  const { steps, model } = context;
  const { args, env } = model.config.process;
  const place = inside('command', model.because('process.args'));
  steps.add(place, 'execve', 'execve', { pathname: candidates(args[0] ?? '', env), argv: args, envp: env });
}

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
