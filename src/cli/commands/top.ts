import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { findRunning } from '../../container/existing.ts';
import { containerProcesses } from '../../container/processes.ts';
import { safeJson } from '../../text/safe.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { writeOutput } from '../output.ts';
import { chooseColumns, drawProcesses } from '../process-columns.ts';

/** An id of the host as the process's user namespace numbers it (user_namespaces(7)); itself where it has no number. */
function insideBy(file: string): (id: number) => number {
  let rows: readonly (readonly number[])[] = [];
  try {
    rows = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/u).map(Number));
  } catch {
    // The container has just ended.
  }
  return (id) => {
    for (const [inside = 0, outside = 0, count = 0] of rows) {
      if (id >= outside && id < outside + count) return inside + id - outside;
    }
    return id;
  };
}

export const top: Run = (invocation) => {
  const { args } = invocation;
  const [name = '', ...words] = args.positionals;
  const chosen = chooseColumns(words, args.values('columns'));
  const { id, first } = findRunning(hostFacts(invocation), name);
  const processes = containerProcesses(first.pid, id);
  const numbers = {
    now: Date.now(),
    memory: totalmem(),
    uid: insideBy(`/proc/${first.pid}/uid_map`),
    gid: insideBy(`/proc/${first.pid}/gid_map`),
  };
  if (args.flag('json')) {
    const objects = processes.map(({ ownPid, cpuMs, uid, gid, ...rest }) => ({
      ...rest,
      container_pid: ownPid,
      uid: numbers.uid(uid),
      gid: numbers.gid(gid),
      cpu_ms: cpuMs,
    }));
    writeOutput(`${safeJson(objects, 2)}\n`);
  } else {
    writeOutput(drawProcesses(chosen, processes, numbers));
  }
  return 0;
};
