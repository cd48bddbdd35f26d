import { BoxctlError } from '../../errors.ts';
import type { Arguments, Run } from '../command.ts';
import { start } from '../start.ts';

const WAYS = [
  ['no-recreate', 'never'],
  ['force-recreate', 'always'],
  ['live', 'live'],
] as const;

/** What happens to a container of the file that runs in the background. */
function recreateOf(args: Arguments): (typeof WAYS)[number][1] | 'changed' {
  const given = WAYS.filter(([name]) => args.flag(name));
  const [first] = given;
  if (first === undefined) return 'changed';
  const names = given.map(([name]) => `--${name}`);
  if (names.length > 1)
    throw new BoxctlError('E_USAGE', `${names.join(' and ')} exclude each other`, { hint: 'choose one of them' });
  if (!args.flag('detach') && !args.flag('wait')) {
    throw new BoxctlError('E_USAGE', `${names.join('')} is for a container in the background`, {
      hint: `boxctl up --detach ${names.join('')}`,
    });
  }
  return first[1];
}

export const up: Run = (invocation) => start(invocation, () => ({}), recreateOf(invocation.args));
