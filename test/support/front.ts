/** The program `boxctl` of native/front, which starts a container by a kept plan and else executes Node. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { INSTALLED, run, type Ended, type RunOptions } from './boxctl.ts';

export const FRONT = join(INSTALLED, 'dist/boxctl');

/** `boxctl ARGS…` by that program. */
export const front = (args: readonly string[], options: RunOptions = {}): Promise<Ended> =>
  run([FRONT, ...args], options);

/** The same where there is no Node: what a kept plan cannot do fails. */
export const frontAlone = (args: readonly string[], options: RunOptions = {}): Promise<Ended> =>
  run(['/bin/sh', '-c', 'PATH=/nowhere exec "$@"', 'sh', FRONT, ...args], options);

/** Whether an end of `frontAlone` is that of a program which needed Node. */
export const neededNode = ({ status, stderr }: Ended): boolean =>
  status === 125 && stderr.includes('PATH has no `node`');

/**
 * Starts it with Node until its plan is kept: the first start makes the image, the next keeps the plan. A file that was just
 * written, or a container of another test that is being swept, can ask for one more. Gives the last of the starts.
 */
export async function warm(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  for (let attempt = 0; ; attempt++) {
    await front(args, options);
    const ended = await frontAlone(args, options);
    if (!neededNode(ended) || attempt === 5) return ended;
    await sleep(50);
  }
}
