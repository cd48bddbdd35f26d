import { learnCalls, findAny, stateOf, whyLost } from '../../container/existing.ts';
import { BoxctlError } from '../../errors.ts';
import { EXIT_BOXCTL } from '../../error-codes.ts';
import { connect } from '../../state/control.ts';
import type { HostFacts } from '../../host/facts.ts';
import type { KeptContainer } from '../../state/containers.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { textMessages } from '../messages.ts';
import { wantsColor, writeOutput } from '../output.ts';

/** Of those of `up`: what kept the command from running, or how it ended. */
function tellEnd(container: KeptContainer, color: boolean): number {
  const messages = textMessages(color, false);
  const { status, ending, failure, exitStatus } = stateOf({ ...container, isAlive: false });
  if (failure !== undefined) return messages.failure(failure);
  if (ending !== undefined) messages.ended(ending);
  else if (status === 'lost') {
    messages.notice(`how the container ${container.name} ended is not known: ${whyLost(container)}`, undefined);
  }
  return ending?.status ?? exitStatus ?? EXIT_BOXCTL;
}

function find(host: HostFacts, word: string): KeptContainer {
  const container = findAny(host, word);
  if (container.isForeground !== true) return container;
  throw new BoxctlError(
    'E_CONTAINER_FOREGROUND',
    `the container ${container.name} (${container.id}) runs in the foreground: its own \`boxctl up\` has its exit status`,
    { hint: 'wait for that process; or start it in the background: boxctl up --detach' },
  );
}

export const wait: Run = async (invocation) => {
  const host = hostFacts(invocation);
  const found = invocation.args.positionals.map((word) => find(host, word));
  const ended = found.map(async (container) => {
    const control = container.isAlive ? connect(host, container.id) : undefined;
    await control?.gone;
    await learnCalls([container]);
  });
  for (const [index, container] of found.entries()) {
    await ended[index];
    writeOutput(`${tellEnd(container, wantsColor(2, invocation.env))}\n`);
  }
  return 0;
};
