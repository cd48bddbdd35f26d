import { allContainers, learnCalls, stateOf, whyLost } from '../../container/existing.ts';
import { BoxctlError } from '../../errors.ts';
import { SIGSYS } from '../../kernel/signals.ts';
import { placeOf } from '../../model/because.ts';
import type { BrokenContainer, KeptContainer } from '../../state/containers.ts';
import { columns } from '../../text/columns.ts';
import { inUnits } from '../../text/duration.ts';
import { safeJson } from '../../text/safe.ts';
import type { Arguments, Run } from '../command.ts';
import { filterOf } from '../container-filter.ts';
import { commandText, describeStatus, listed, PS_HEADINGS, reasonOf, rowOf, type Listed } from '../container-row.ts';
import { hostFacts } from '../environment.ts';
import { formatOf } from '../format.ts';
import { writeOutput, writeTabbed } from '../output.ts';

const COMMAND_LENGTH = 30;

const since = (at: number | undefined): string =>
  at === undefined ? '-' : inUnits(Math.max(0, Math.floor((Date.now() - at) / 1000)) * 1000);

/** How many of those that were made last, whatever has become of them. */
function lastOf(args: Arguments): number | undefined {
  const text = args.value('last');
  if (args.flag('latest')) return 1;
  if (text === undefined) return undefined;
  if (/^\d{1,6}$/u.test(text)) return Number(text);
  throw new BoxctlError('E_USAGE', `--last ${text} is no number of containers`, { hint: 'boxctl ps --last 3' });
}

function asJson({ container, state }: Listed): object {
  const { id, name, file, created, command, image, ports, mounts, networks, labels, isForeground } = container;
  const { status, restarts, started, ended, pid, exitStatus } = state;
  const { ending, failure } = stateOf(container);
  const at = failure?.at ?? (ending?.because === undefined ? undefined : placeOf(ending.because));
  return {
    id,
    name,
    status,
    restarts,
    mode: isForeground === true ? 'foreground' : 'background',
    pid,
    created,
    started,
    ended,
    exit_status: ending?.status ?? exitStatus,
    reason: ending?.reason,
    message: status === 'lost' ? whyLost(container) : (failure?.message ?? ending?.message),
    at,
    file: file === '' ? undefined : file,
    image,
    command,
    ports,
    mounts,
    networks,
    labels,
  };
}

const brokenJson = ({ id, problem }: BrokenContainer): object => ({ id, status: 'broken', message: problem });

function drawTable(rows: readonly Listed[], broken: readonly BrokenContainer[], args: Arguments): string {
  const isWhole = args.flag('no-trunc');
  const reasons = rows.map((one) => reasonOf(one));
  const hasReasons = broken.length > 0 || reasons.some((reason) => reason !== '');
  const lines = rows.map((one, index) => {
    const { container, state } = one;
    return [
      container.id,
      container.name,
      container.image ?? '-',
      commandText(container.command, isWhole, COMMAND_LENGTH),
      `${describeStatus(state)}${container.isForeground === true ? ' (foreground)' : ''}`,
      since(state.ended ?? state.started),
      ...(hasReasons ? [reasons[index] ?? ''] : []),
    ];
  });
  const others = broken.map(({ id, problem }) => [id, '-', '-', '-', 'broken', '-', problem]);
  const heading = ['ID', 'NAME', 'IMAGE', 'COMMAND', 'STATUS', 'SINCE', ...(hasReasons ? ['REASON'] : [])];
  return columns([heading, ...lines, ...others]);
}

function chosen(all: readonly KeptContainer[], args: Arguments): readonly Listed[] {
  const last = lastOf(args);
  const { test, wantsAll } = filterOf(args.values('filter'));
  const ended = args.flag('all') || wantsAll || last !== undefined;
  const found = all
    .filter(({ isAlive }) => isAlive || ended)
    .map(listed)
    .filter(test);
  if (last === undefined) return found;
  const byAge = found.toSorted((one, other) => one.container.created - other.container.created);
  return last === 0 ? [] : byAge.slice(-last);
}

export const ps: Run = async (invocation) => {
  const { args } = invocation;
  const host = hostFacts(invocation);
  const source = args.value('format');
  const format = source === undefined ? undefined : formatOf(source, PS_HEADINGS);
  if (source !== undefined && (args.flag('json') || args.flag('quiet') || args.flag('names'))) {
    throw new BoxctlError('E_USAGE', '--format excludes --json, --quiet and --names', { hint: 'choose one of them' });
  }
  const all = allContainers(host);
  const rows = chosen(all.containers, args);
  const endedBySignal = rows.filter(({ container, state }) => !container.isAlive && state.exitStatus === 128 + SIGSYS);
  await learnCalls(endedBySignal.map(({ container }) => container));
  // Nothing is known of them that could be asked for.
  const broken = args.values('filter').length > 0 || lastOf(args) !== undefined ? [] : all.broken;
  if (format !== undefined) {
    writeTabbed(format(rows.map((one) => rowOf(one, args.flag('no-trunc')))));
  } else if (args.flag('names')) {
    writeOutput(rows.map(({ container }) => `${container.name}\n`).join(''));
  } else if (args.flag('quiet')) {
    writeOutput(rows.map(({ container }) => `${container.id}\n`).join(''));
  } else if (args.flag('json')) {
    writeOutput(`${safeJson([...rows.map(asJson), ...broken.map(brokenJson)], 2)}\n`);
  } else {
    writeOutput(drawTable(rows, broken, args));
  }
  return 0;
};
