import { execInContainer } from '../../container/exec.ts';
import { findAny } from '../../container/existing.ts';
import { BoxctlError } from '../../errors.ts';
import { environmentOptions, hostFacts, showsValues } from '../environment.ts';
import type { Run } from '../command.ts';
import { messagesFor, modeOf, terminalOptions } from '../start.ts';
import { reporterFor } from '../terminal-reporter.ts';

export const exec: Run = async (invocation) => {
  const { args } = invocation;
  const [name = ''] = args.positionals;
  if (args.rest.length === 0) {
    throw new BoxctlError('E_USAGE', 'boxctl exec needs a command', {
      hint: `boxctl exec ${name} COMMAND [ARGUMENT…]`,
    });
  }
  const mode = modeOf(invocation);
  const messages = messagesFor(invocation, mode);
  try {
    const { tty = false, stdinOpen = false } = terminalOptions(invocation);
    const host = hostFacts(invocation);
    const user = args.value('user');
    const workingDir = args.value('workdir');
    const ending = await execInContainer(host, findAny(host, name), {
      command: args.rest,
      environment: environmentOptions(invocation),
      tty,
      interactive: stdinOpen,
      ...(user === undefined ? {} : { user }),
      ...(workingDir === undefined ? {} : { workingDir }),
      // The steps are shown when they are asked for.
      reporter: reporterFor(invocation, mode === 'auto' ? 'quiet' : mode, messages),
      showValues: showsValues(invocation),
    });
    messages.ended(ending);
    return ending.status;
  } catch (error) {
    return messages.failure(error);
  }
};
