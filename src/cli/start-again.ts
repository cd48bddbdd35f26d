/** `start` and `restart`: containers that have ended are started again, and waited for or attached to where that is asked for. */
import { attachTo, type Attached } from '../container/attach.ts';
import { findContainer } from '../container/existing.ts';
import type { StartedAgain } from '../container/start-again.ts';
import { BoxctlError } from '../errors.ts';
import type { KeptContainer } from '../state/containers.ts';
import { attachOptions, tellAttached } from './attach.ts';
import type { Invocation } from './command.ts';
import { hiding, hostFacts, loadDocument, showsValues } from './environment.ts';
import type { Messages } from './messages.ts';
import { writeOutput } from './output.ts';
import { messagesFor, modeOf, waitTimeoutOf } from './start.ts';
import { reporterFor } from './terminal-reporter.ts';
import { checkDemands, filesAllowedBy, permitsOf } from './trust.ts';

/** For findSettled: of one that has ended in the foreground nothing is kept. */
export const ENDED_IN_FOREGROUND =
  'boxctl ps -a lists all of them; nothing is kept of one that has ended in the foreground: boxctl up FILE';

/** What a command does with a container that has a launcher. False: it has to be started again. */
export type Restart = (container: KeptContainer) => Promise<boolean>;

interface Asked {
  readonly verb: 'start' | 'restart';
  readonly restart?: Restart;
}

/** Starts the containers. Resolves to the exit status: of the command with `--attach`, else that of the last failure, which is told. */
export async function startAll(
  invocation: Invocation,
  containers: readonly KeptContainer[],
  { verb, restart }: Asked,
): Promise<number> {
  const { args } = invocation;
  const timeoutMs = waitTimeoutOf(args, `boxctl ${verb} --wait --wait-timeout 60 NAME`);
  const messages = messagesFor(invocation, modeOf(invocation));
  if (args.flag('attach') || args.flag('interactive')) {
    return startAttached(invocation, onlyOne(invocation, containers, verb), messages, restart);
  }
  const started: string[] = [];
  const note = ({ id, name }: Pick<KeptContainer, 'id' | 'name'>): void => {
    writeOutput(`${name}\n`);
    started.push(id);
  };
  const ended: KeptContainer[] = [];
  await Promise.all(
    containers.map(async (container) => {
      if (restart !== undefined && (await restart(container))) note(container);
      else ended.push(container);
    }),
  );
  let status = 0;
  const fail = (error: unknown): void => {
    status = messages.failure(error) || status;
  };
  for (const container of ended) await again(invocation, container, messages).then(note, fail);
  if (!args.flag('wait')) return status;
  const { awaitHealth } = await import('../container/await-health.ts');
  const host = hostFacts(invocation);
  await Promise.all(started.map((id) => awaitHealth(host, id, { timeoutMs }).catch(fail)));
  return status;
}

function onlyOne({ args }: Invocation, containers: readonly KeptContainer[], verb: string): KeptContainer {
  const [container] = containers;
  if (args.flag('wait')) {
    throw new BoxctlError('E_USAGE', '--attach and --wait exclude each other', { hint: 'choose one of them' });
  }
  if (container !== undefined && containers.length === 1) return container;
  throw new BoxctlError('E_USAGE', '--attach is for one container', { hint: `boxctl ${verb} --attach NAME` });
}

/** The way of one container from here to the end of its command, seen from its first byte. */
async function startAttached(
  invocation: Invocation,
  container: KeptContainer,
  messages: Messages,
  restart: Restart | undefined,
): Promise<number> {
  const host = hostFacts(invocation);
  const options = attachOptions(invocation);
  const attached: Promise<Attached>[] = [];
  const attach = (to: KeptContainer, fromStart: boolean): void => {
    attached.push(attachTo(host, to, { ...options, fromStart }));
  };
  try {
    if (restart !== undefined && container.isAlive) attach(container, true);
    if (restart === undefined || !(await restart(container))) {
      await Promise.allSettled(attached.splice(0));
      const { id } = await again(invocation, container, messages, (to) => attach(to, true));
      if (attached.length === 0) attach(findContainer(host, id), false);
    }
    const [end] = await Promise.all(attached);
    return end === undefined ? 0 : tellAttached(container, end, messages);
  } catch (error) {
    // Where its start has failed, that is told, and not how one was attached until then.
    await Promise.allSettled(attached);
    return messages.failure(error);
  }
}

/** Throws as `startAgain` does. */
async function again(
  invocation: Invocation,
  container: KeptContainer,
  messages: Messages,
  beforeCommand?: (container: KeptContainer) => void,
): Promise<StartedAgain> {
  const permits = permitsOf(invocation);
  const { startAgain } = await import('../container/start-again.ts');
  return startAgain(container, {
    env: invocation.env,
    reporter: reporterFor(invocation, modeOf(invocation), messages),
    showValues: showsValues(invocation),
    judge: (document) => {
      hiding(invocation, document);
      return (demands) => checkDemands(invocation, document, demands, permits);
    },
    allows: ({ file }) => filesAllowedBy(invocation, file),
    load: (file) => loadDocument(invocation, file),
    ...(beforeCommand === undefined ? {} : { beforeCommand }),
  });
}
