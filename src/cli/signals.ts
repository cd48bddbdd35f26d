/** Signals that reach boxctl are meant for the command. */
import { constants } from 'node:os';
import { catchSignals, releaseSignals } from '../native.ts';

/** A first process without a handler of its own does not see these: a person must get away all the same. */
const IMPATIENT = ['SIGINT', 'SIGTERM'] as const;
const PATIENCE = 3;

/**
 * Catches signals until the returned function is called: the impatient ones here, where the third is a SIGKILL, and all
 * others for the launcher that takes them (`Launch.takeSignals`). `say` tells how it goes on.
 */
export function forwardSignals(send: (signal: number) => void, say: (message: string) => void): () => void {
  let asked = 0;
  const listeners = IMPATIENT.map((name) => {
    const listener = (): void => {
      if (++asked >= PATIENCE) {
        say('the command does not end: killed');
        send(constants.signals.SIGKILL);
        return;
      }
      send(constants.signals[name]);
      if (asked === PATIENCE - 1) say('the command goes on; once more kills it');
    };
    process.on(name, listener);
    return [name, listener] as const;
  });
  catchSignals(IMPATIENT.map((name) => constants.signals[name]));
  return () => {
    releaseSignals();
    for (const [name, listener] of listeners) process.off(name, listener);
  };
}
