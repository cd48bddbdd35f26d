/**
 * For a run of the tests with BOXCTL_TEST_TWICE=1 (`npm run test:twice`): every start in the foreground is made by Node, and then by
 * the program `boxctl` until it does not need Node any more. The last one must be like the first, and is what the test looks at.
 */
import { isDeepStrictEqual } from 'node:util';
import { FRONT } from './front.ts';
import { run, type Ended, type RunOptions } from './boxctl.ts';

/** Twice by Node: the first start may import the image, and the second keeps the plan. */
const STARTS = 3;

const seen = ({ status, signal, stdout, stderr }: Ended): unknown => ({ status, signal, stdout, stderr });

export const isTwice = (args: readonly string[], { stdin, onStart }: RunOptions): boolean =>
  process.env['BOXCTL_TEST_TWICE'] === '1' &&
  (args[0] === 'up' || args[0] === 'run') &&
  onStart === undefined &&
  !(stdin instanceof Promise);

/** @throws Error where a start from a kept plan differs from that by Node */
export async function twice(command: readonly string[], args: readonly string[], options: RunOptions): Promise<Ended> {
  const fresh = await run(command, options);
  let last = fresh;
  for (let start = 0; start < STARTS; start++) last = await run([FRONT, ...args], options);
  if (isDeepStrictEqual(seen(fresh), seen(last))) return last;
  throw new Error(
    `a start by boxctl differs: ${JSON.stringify({ by_node: seen(fresh), by_boxctl: seen(last) }, undefined, 2)}`,
  );
}
