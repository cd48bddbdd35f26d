/** The command line's reporter: messages on standard error, and steps drawn as `--progress` says. */
import type { Reporter } from '../container/reporter.ts';
import { createProgress } from '../show/progress.ts';
import type { ProgressMode } from '../show/progress-interface.ts';
import type { Invocation } from './command.ts';
import { showsValues } from './environment.ts';
import { importView } from './import-view.ts';
import type { Messages } from './messages.ts';
import { screen } from './output.ts';

export function reporterFor(invocation: Invocation, mode: ProgressMode, { warning, notice }: Messages): Reporter {
  const { env } = invocation;
  const showValues = showsValues(invocation);
  return {
    warning,
    notice,
    importing: (title) => importView(title, mode, env),
    launching: (plan) => createProgress({ mode, plan, showValues, screen: screen(env) }),
  };
}
