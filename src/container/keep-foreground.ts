/**
 * Lets other commands find what a container in the foreground was made from. A start is not made slower by it: it is written
 * down a moment after the command was started, and not at all where the command has ended by then.
 */

import type { ForegroundRun } from './foreground-record.ts';

const DELAY_MS = 30;

/** `start` is called with the command's process once it runs, `end` when it has ended. */
export function keepWhileItRuns(run: ForegroundRun): {
  readonly start: (pid: number) => void;
  readonly end: () => Promise<void>;
} {
  let timer: NodeJS.Timeout | undefined;
  let kept: Promise<(() => void) | undefined> | undefined;
  return {
    start: (pid) => {
      timer = setTimeout(() => {
        kept = import('./foreground-record.ts').then(({ keepRun }) => keepRun(run, pid));
      }, DELAY_MS);
      timer.unref();
    },
    end: async () => {
      clearTimeout(timer);
      (await kept)?.();
    },
  };
}
