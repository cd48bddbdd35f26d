/** Answers to what a program writes, in place of a fixed time. */
import type { ChildProcess } from 'node:child_process';

/** For `RunOptions.onStart`: calls `then` once, when the standard output of the program has `mark` in it. */
export const whenSeen =
  (mark: string, then: (child: ChildProcess) => void) =>
  (child: ChildProcess): void => {
    let seen = '';
    const look = (text: unknown): void => {
      seen += String(text);
      if (!seen.includes(mark)) return;
      child.stdout?.off('data', look);
      then(child);
    };
    child.stdout?.on('data', look);
  };
