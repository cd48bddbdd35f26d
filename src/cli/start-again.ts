/** What `start`, and `restart` of a container that has ended, have in common. */
import type { KeptContainer } from '../state/containers.ts';
import type { Invocation } from './command.ts';
import { hiding, loadDocument, showsValues } from './environment.ts';
import { messagesFor, modeOf } from './start.ts';
import { reporterFor } from './terminal-reporter.ts';
import { checkDemands, filesAllowedBy, permitsOf } from './trust.ts';

/** For findContainer: of one that has ended in the foreground nothing is kept. */
export const ENDED_IN_FOREGROUND =
  'boxctl ps -a lists all of them; nothing is kept of one that has ended in the foreground: boxctl up FILE';

/** Starts containers one after the other. Resolves to the exit status of the first that cannot be started, which is told. */
export async function startEach(
  invocation: Invocation,
  containers: readonly KeptContainer[],
  onStarted: (container: KeptContainer) => void,
): Promise<number> {
  const { env } = invocation;
  const mode = modeOf(invocation);
  const messages = messagesFor(invocation, mode);
  const permits = permitsOf(invocation);
  const { startAgain } = await import('../container/start-again.ts');
  let status = 0;
  for (const container of containers) {
    try {
      await startAgain(container, {
        env,
        reporter: reporterFor(invocation, mode, messages),
        showValues: showsValues(invocation),
        judge: (document) => {
          hiding(invocation, document);
          return (demands) => checkDemands(invocation, document, demands, permits);
        },
        allows: ({ file }) => filesAllowedBy(invocation, file),
        load: (file) => loadDocument(invocation, file),
      });
      onStarted(container);
    } catch (error) {
      status = messages.failure(error) || status;
    }
  }
  return status;
}
