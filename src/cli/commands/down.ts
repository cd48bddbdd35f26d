import { bringDown } from '../../container/bring-down.ts';
import { BoxctlError } from '../../errors.ts';
import type { SpecDocument } from '../../spec/spec.ts';
import type { Invocation, Run } from '../command.ts';
import { hostFacts, loadForReview, specFile } from '../environment.ts';
import { graceOf } from '../grace.ts';
import { writeMessage, writeOutput } from '../output.ts';
import { safe } from '../../text/safe.ts';

/** A file that is wrong, or gone, keeps nobody from ending its container. */
function documentOf(invocation: Invocation, file: string): SpecDocument | undefined {
  try {
    return loadForReview(invocation, file);
  } catch (error) {
    if (error instanceof BoxctlError) return undefined;
    throw error;
  }
}

export const down: Run = async (invocation) => {
  const { args } = invocation;
  const file = specFile(invocation);
  const graceMs = graceOf(args.value('time'), 'boxctl down --time 30');
  const document = documentOf(invocation, file);
  const { containers, volumes } = await bringDown(hostFacts(invocation), file, {
    volumes: args.flag('volumes'),
    ...(graceMs === undefined ? {} : { graceMs }),
    ...(document === undefined ? {} : { document }),
  });
  writeOutput([...containers, ...volumes].map((name) => `${name}\n`).join(''));
  if (containers.length + volumes.length === 0) writeMessage(`boxctl: there is nothing of ${safe(file)} to end\n`);
  return 0;
};
