/** Signals that reach boxctl are meant for the command. */
import { constants } from 'node:os';
import { writeMessage } from './output.ts';

const FORWARDED = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGALRM'] as const;
/** A first process without a handler of its own does not see these: a person must get away all the same. */
const IMPATIENT: ReadonlySet<string> = new Set(['SIGINT', 'SIGTERM']);
const PATIENCE = 3;

/** Passes signals on until the returned function is called. The third SIGINT or SIGTERM is a SIGKILL. */
export function forwardSignals(send: (signal: number) => void): () => void {
  let asked = 0;
  const listeners = FORWARDED.map((name) => {
    const listener = (): void => {
      if (IMPATIENT.has(name) && ++asked >= PATIENCE) {
        writeMessage('boxctl: the command does not end: killed\n');
        send(constants.signals.SIGKILL);
        return;
      }
      send(constants.signals[name]);
      if (asked === PATIENCE - 1) writeMessage(`boxctl: the command goes on; once more kills it\n`);
    };
    process.on(name, listener);
    return [name, listener] as const;
  });
  return () => {
    for (const [name, listener] of listeners) process.off(name, listener);
  };
}
