import { execInContainer, type ExecOptions } from '../../container/exec.ts';
import { findAny } from '../../container/existing.ts';
import { BoxctlError } from '../../errors.ts';
import { environmentOptions, hostFacts, showsValues } from '../environment.ts';
import type { KeptContainer } from '../../state/containers.ts';
import type { Invocation, Run } from '../command.ts';
import { messagesFor, modeOf, terminalOptions } from '../start.ts';
import { reporterFor } from '../terminal-reporter.ts';

/** Runs a command in a container, and gives its status. */
export async function execute(
  invocation: Invocation,
  container: KeptContainer,
  { command, tty, interactive }: Pick<ExecOptions, 'command' | 'tty' | 'interactive'>,
): Promise<number> {
  const { args } = invocation;
  const mode = modeOf(invocation);
  const messages = messagesFor(invocation, mode);
  try {
    const user = args.value('user');
    const workingDir = args.value('workdir');
    const ending = await execInContainer(hostFacts(invocation), container, {
      command,
      environment: environmentOptions(invocation),
      tty: tty ?? false,
      interactive: interactive ?? false,
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
}

export const exec: Run = async (invocation) => {
  const { args } = invocation;
  const [name = ''] = args.positionals;
  if (args.rest.length === 0) {
    throw new BoxctlError('E_USAGE', 'boxctl exec needs a command', {
      hint: `boxctl exec ${name} COMMAND [ARGUMENT…]`,
    });
  }
  const messages = messagesFor(invocation, modeOf(invocation));
  try {
    const { tty = false, stdinOpen: interactive = false } = terminalOptions(invocation);
    const container = findAny(hostFacts(invocation), name);
    return await execute(invocation, container, { command: args.rest, tty, interactive });
  } catch (error) {
    return messages.failure(error);
  }
};
