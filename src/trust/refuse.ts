/** Refuses the demands that no permit covers, in one error: each with its line and the option that would allow it. */
import { BoxctlError, type Diagnostic } from '../errors.ts';
import { allowance, shownDemand } from '../model/demands.ts';
import type { Demand } from '../model/demand.ts';
import { unpermitted, type Permit } from './permits.ts';

/**
 * `advice` is a further sentence for the hint.
 *
 * @throws BoxctlError E_NOT_ALLOWED with one diagnostic for each demand that no permit covers
 */
export function refuseUnpermitted(
  demands: readonly Demand[],
  permits: readonly Permit[],
  advice: readonly string[] = [],
): void {
  const unread = demands.filter((demand) => demand.unread === true);
  const refused = [...new Set([...unpermitted(demands, permits), ...unread])].map(shownDemand);
  if (refused.length === 0) return;
  const diagnostics = refused.map((demand): Diagnostic => {
    const { because, message } = demand;
    const at = because.kind === 'spec' ? because.at : undefined;
    const path = because.kind === 'spec' ? because.path : '';
    const hint = `if you trust this file, say --allow ${quote(allowance(demand))}`;
    return {
      code: 'E_NOT_ALLOWED',
      severity: 'error',
      message: `not allowed: the container ${message}`,
      path,
      at,
      hint,
    };
  });
  const [first] = diagnostics;
  const words = refused.map((demand) => `--allow ${quote(allowance(demand))}`).join(' ');
  throw new BoxctlError('E_NOT_ALLOWED', 'the file asks for more of this host than was allowed', {
    diagnostics,
    hint: [...advice, `to allow all of it: ${words}`].join('\n'),
    ...(first?.at === undefined ? {} : { at: first.at }),
  });
}

/** As a shell takes it. `${NAME}` is printed for a value of the caller's: in double quotes, the shell puts that in. */
export function quote(word: string): string {
  const isBorrowed = /\$\{\w+\}/u;
  if (isBorrowed.test(word)) return `"${word.replaceAll(/["\\`]|\$(?!\{\w+\})/gu, String.raw`\$&`)}"`;
  return /^[\w@%+=:,./*-]+$/u.test(word) && !word.includes('*') ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
