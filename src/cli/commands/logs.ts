import { findContainer } from '../../container/existing.ts';
import { readLog } from '../../container/logs.ts';
import { BoxctlError } from '../../errors.ts';
import { parseMoment } from '../../text/moments.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { LogOutput } from '../log-output.ts';

function momentOf(option: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const moment = parseMoment(text, Date.now());
  if (moment !== undefined) return moment;
  throw new BoxctlError('E_USAGE', `--${option} ${text} is no time`, {
    hint: `10m (ago), 2026-01-31T12:00:00, or seconds since 1970: boxctl logs --${option} 10m NAME`,
  });
}

function countOf(text: string | undefined): number | undefined {
  if (text === undefined || text === 'all') return undefined;
  if (/^\d{1,15}$/u.test(text)) return Number(text);
  throw new BoxctlError('E_USAGE', `--tail ${text} is no number of lines`, { hint: 'boxctl logs --tail 100 NAME' });
}

export const logs: Run = async (invocation) => {
  const { args, env } = invocation;
  const [name = ''] = args.positionals;
  const since = momentOf('since', args.value('since'));
  const until = momentOf('until', args.value('until'));
  const tail = countOf(args.value('tail'));
  const output = new LogOutput({ timestamps: args.flag('timestamps'), raw: args.flag('raw'), env });
  const entries = readLog(findContainer(hostFacts(invocation), name), {
    follow: args.flag('follow'),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
    ...(tail === undefined ? {} : { tail }),
  });
  for await (const some of entries) output.write(some);
  return 0;
};
