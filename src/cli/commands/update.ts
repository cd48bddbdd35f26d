import { findAny } from '../../container/existing.ts';
import { limitsOf, updateLimits } from '../../container/update-limits.ts';
import { BoxctlError } from '../../errors.ts';
import { changedLimits, parseUpdateOption, UPDATE_OPTIONS } from '../../limits/options.ts';
import { withLock } from '../../files/locks.ts';
import type { Limits } from '../../spec/spec.ts';
import { nameLock } from '../../state/container-folders.ts';
import type { Arguments, Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { writeOutput } from '../output.ts';

/** The limits of a container with those of the command line in place of its own. */
function changed(limits: Limits, args: Arguments): Limits {
  const given = UPDATE_OPTIONS.filter(({ name }) => args.value(name) !== undefined);
  if (given.length === 0) {
    throw new BoxctlError('E_USAGE', 'boxctl update needs a limit', { hint: 'boxctl update --memory 1g NAME' });
  }
  const after = given.reduce((all, option) => {
    const text = args.value(option.name) ?? '';
    const value = parseUpdateOption(option, text);
    if (value !== undefined) return changedLimits(all, option, value);
    throw new BoxctlError('E_USAGE', `--${option.name} ${text} is no value for limits.${option.key}`, {
      hint: `for example --${option.name} ${option.row.option?.example ?? '1'}`,
    });
  }, limits);
  const { memory, swap, memoryLow } = after;
  if (swap !== undefined && (memory === undefined || swap < 0)) {
    throw new BoxctlError('E_USAGE', '--memory-swap is memory and swap together: at least as much as --memory', {
      hint: 'give both: --memory 1g --memory-swap 2g',
    });
  }
  if (memory !== undefined && memoryLow !== undefined && memoryLow > memory) {
    throw new BoxctlError('E_USAGE', '--memory-reservation is more than the memory', { hint: 'give both' });
  }
  return after;
}

function notInForeground(name: string): BoxctlError {
  return new BoxctlError(
    'E_CONTAINER_FOREGROUND',
    `${name} runs in the foreground, with the limits that its file says`,
    {
      hint: 'boxctl up --detach starts it in the background',
    },
  );
}

export const update: Run = async (invocation) => {
  const { args } = invocation;
  const host = hostFacts(invocation);
  const found = args.positionals.map((word) => findAny(host, word));
  for (const { id, name } of found) {
    // Another command may be starting it, or changing it, too.
    await withLock(nameLock(host, name), () => {
      const container = findAny(host, id);
      if (container.isForeground === true) throw notInForeground(name);
      updateLimits(host, container, changed(limitsOf(container).limits, args));
      return Promise.resolve();
    });
    writeOutput(`${name}\n`);
  }
  return 0;
};
