import { execInContainer, type ExecRunOptions } from '../../container/exec.ts';
import { findAny } from '../../container/existing.ts';
import { BoxctlError } from '../../errors.ts';
import type { Plan } from '../../plan/plan.ts';
import { environmentOptions, hostFacts, showsValues } from '../environment.ts';
import type { KeptContainer } from '../../state/containers.ts';
import type { Invocation, Run } from '../command.ts';
import { ExecKeeper, readEnded } from '../front.ts';
import { isPlainExec, isSilent, messagesFor, modeOf, terminalOptions } from '../start.ts';
import { reporterFor } from '../terminal-reporter.ts';

type Started = Pick<ExecRunOptions, 'command' | 'tty' | 'interactive' | 'onPlanned' | 'onStarted' | 'ended'>;

/** Runs a command in a container, and gives its status. */
export async function execute(
  invocation: Invocation,
  container: KeptContainer,
  { command, tty, interactive, ...how }: Started,
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
      ...how,
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
  const mode = modeOf(invocation);
  const messages = messagesFor(invocation, mode);
  const keeper = isPlainExec(invocation) && isSilent(mode) ? ExecKeeper.of(invocation) : undefined;
  try {
    const { tty = false, stdinOpen: interactive = false } = terminalOptions(invocation);
    const host = hostFacts(invocation);
    let container = findAny(host, name);
    if (keeper !== undefined) {
      keeper.note(container, host);
      // As it is now.
      container = findAny(host, name);
    }
    const started = { command: args.rest, tty, interactive };
    const kept = keeper && {
      onPlanned: keeper.stop,
      onStarted: (plan: Plan) => keeper.keep(container, plan, host),
    };
    const ended = invocation.front?.hasEnded === true ? { ended: readEnded() } : {};
    return await execute(invocation, container, { ...started, ...kept, ...ended });
  } catch (error) {
    return messages.failure(error);
  } finally {
    keeper?.stop();
  }
};
