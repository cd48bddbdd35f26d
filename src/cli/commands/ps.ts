import { stateOf, type ContainerState } from '../../container/existing.ts';
import { keptContainers } from '../../state/containers.ts';
import { columns } from '../../text/columns.ts';
import { inUnits } from '../../text/duration.ts';
import { safeJson } from '../../text/safe.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { writeOutput } from '../output.ts';

const since = (at: number | undefined): string =>
  at === undefined ? '-' : inUnits(Math.max(0, Math.floor((Date.now() - at) / 1000)) * 1000);

function describeStatus({ status, restarts, ending }: ContainerState): string {
  const end = (status === 'exited' || status === 'restarting') && ending !== undefined ? ` (${ending.status})` : '';
  return `${status}${end}${restarts === 0 ? '' : `, restarts: ${restarts}`}`;
}

export const ps: Run = (invocation) => {
  const { args } = invocation;
  const shown = keptContainers(hostFacts(invocation)).filter(({ isAlive }) => args.flag('all') || isAlive);
  const rows = shown.map((container) => ({ container, state: stateOf(container) }));
  if (args.flag('quiet')) {
    writeOutput(rows.map(({ container }) => `${container.id}\n`).join(''));
  } else if (args.flag('json')) {
    const objects = rows.map(({ container: { id, name, file, created, command, image }, state }) => {
      const { status, restarts, started, ended, pid, ending } = state;
      return {
        id,
        name,
        status,
        restarts,
        pid,
        created,
        started,
        ended,
        exit_status: ending?.status,
        file,
        image,
        command,
      };
    });
    writeOutput(`${safeJson(objects, 2)}\n`);
  } else {
    const lines = rows.map(({ container, state }) => [
      container.id,
      container.name,
      container.image ?? '-',
      container.command.join(' '),
      describeStatus(state),
      since(state.ended ?? state.started),
    ]);
    writeOutput(columns([['ID', 'NAME', 'IMAGE', 'COMMAND', 'STATUS', 'SINCE'], ...lines]));
  }
  return 0;
};
