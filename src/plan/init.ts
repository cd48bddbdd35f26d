/**
 * `init`: the first process stays, reaps and passes on signals, and its child becomes the command. What it does so with is a
 * program of its own, executed in the user namespace of the container: the kernel lets nobody join a process that has the
 * memory of the launcher, which was executed outside, but root (PTRACE_MODE_READ, ptrace(2)).
 */
import { NO_FD, type Fd } from '../kernel/calls.ts';
import { PR } from '../kernel/constants.ts';
import { inside, onHost, type PlanContext } from './context.ts';
import { dieWithParent } from './namespaces.ts';
import { filterCalls } from './security.ts';
import { kills } from './seccomp/filter.ts';

/** Where a filter of the file's would kill it for its execution, it stays what it is. */
export function makeInit({ steps, model }: PlanContext): Fd {
  const { seccomp } = model.config.linux;
  if (seccomp !== undefined && kills(seccomp, 'execveat')) return NO_FD;
  return steps.add(onHost('command', model.because('init')), 'init.program', 'make_init', {});
}

export function becomeInit(context: PlanContext, program: Fd): void {
  const { steps, model } = context;
  // It gets the same filter as the command: processes of the container can ptrace it or send it signals.
  filterCalls(context);
  dieWithParent(context, 'init.pdeathsig');
  const place = inside('command', model.because('init'));
  if (context.namespace('pid').kind !== 'private') {
    const args = { option: PR.PR_SET_CHILD_SUBREAPER, arg2: 1, arg3: 0, arg4: 0, arg5: 0 };
    steps.add(place, 'init.subreaper', 'prctl', args);
  }
  steps.add(place, 'init', 'become_init', { program }, { undo: 'kernel' });
}
