/** `boxctl shell NAME`: a shell in a container that runs. */
import { allContainers, findRunning } from '../../container/existing.ts';
import { SHELLS } from '../../image/shells.ts';
import { statInRoot } from '../../native.ts';
import type { Invocation } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { execute } from './exec.ts';

/** Its best shell; `sh` where none is found, so that the error says what is missing. */
const shellOf = (pid: number): string =>
  SHELLS.find((path) => statInRoot(`/proc/${pid}/root`, path.slice(1)) !== undefined) ?? 'sh';

/** The shell's exit status. Undefined: no container is called so. */
export async function shellIn(invocation: Invocation, terminal: boolean): Promise<number | undefined> {
  const [word = ''] = invocation.args.positionals;
  const host = hostFacts(invocation);
  if (!allContainers(host).containers.some(({ name, id }) => name === word || id.startsWith(word))) return undefined;
  const running = findRunning(host, word);
  return execute(invocation, running, { command: [shellOf(running.first.pid)], tty: terminal, interactive: true });
}
