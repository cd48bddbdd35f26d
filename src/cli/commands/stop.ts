import { stopContainer } from '../../container/end.ts';
import { findAny } from '../../container/existing.ts';
import { BoxctlError } from '../../errors.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { writeOutput } from '../output.ts';

/** Of `--time`, in milliseconds. */
export function graceOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,6}$/u.test(text)) return Number(text) * 1000;
  throw new BoxctlError('E_USAGE', `--time ${text} is no number of seconds`, { hint: 'boxctl stop --time 30 NAME' });
}

export const stop: Run = async (invocation) => {
  const { args } = invocation;
  const host = hostFacts(invocation);
  const grace = graceOf(args.value('time'));
  const found = args.positionals.map((word) => findAny(host, word));
  await Promise.all(
    found.map(async (container) => {
      await stopContainer(host, container, grace);
      writeOutput(`${container.name}\n`);
    }),
  );
  return 0;
};
