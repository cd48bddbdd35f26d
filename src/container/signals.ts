/** Signals to this process are passed on to the container's command. */
import { constants } from 'node:os';
import { catchSignals, releaseSignals } from '../native.ts';

/**
 * A first process of a PID namespace that has no handler for these does not get them (pid_namespaces(7)). A person at a
 * terminal must be able to end it all the same.
 */
const FROM_A_PERSON = ['SIGINT', 'SIGTERM'] as const;
/** Which of them is sent as SIGKILL. */
const KILLS_AT = 3;

/**
 * Catches signals until the returned function is called: SIGINT and SIGTERM here, the third of which is sent as SIGKILL,
 * and all others for the launcher (`Launch.takeSignals`). `say` is told what the next one does.
 */
export function forwardSignals(send: (signal: number) => void, say: (message: string) => void): () => void {
  let asked = 0;
  const listeners = FROM_A_PERSON.map((name) => {
    const listener = (): void => {
      if (++asked >= KILLS_AT) {
        say('the command does not end: killed');
        send(constants.signals.SIGKILL);
        return;
      }
      send(constants.signals[name]);
      if (asked === KILLS_AT - 1) say('the command goes on; once more kills it');
    };
    process.on(name, listener);
    return [name, listener] as const;
  });
  catchSignals(FROM_A_PERSON.map((name) => constants.signals[name]));
  return () => {
    releaseSignals();
    for (const [name, listener] of listeners) process.off(name, listener);
  };
}
