/** Events as JSON lines, for programs that watch a run. */
import { formatCall, formatUndo } from './call-text.ts';
import type { WriteMessage } from './netlink-text.ts';
import type { Plan } from '../plan/plan.ts';
import { errnoName } from '../kernel/errno.ts';
import type { LaunchEvent } from '../launcher/events.ts';
import { syscallName } from '../kernel/machines.ts';
import type { Progress } from './progress-interface.ts';
import { safeJson } from '../text/safe.ts';

/** `errno` is a name. Times are microseconds; `start_us` counts from the launcher's start. `words`: of netlink messages. */
export function jsonEvents(plan: Plan, write: (text: string) => void, words: WriteMessage): Progress {
  const event = (happened: LaunchEvent): void => {
    const line = asJson(plan, happened, words);
    if (line !== undefined) write(`${safeJson(line)}\n`);
  };
  return { draws: true, event, finish: async () => undefined };
}

function asJson(plan: Plan, event: LaunchEvent, words: WriteMessage): unknown {
  switch (event.kind) {
    case 'step':
      return {
        event: 'step',
        ...stepOf(plan, event.index, words),
        outcome: event.outcome,
        start_us: event.startNs / 1000,
        duration_us: (event.endNs - event.startNs) / 1000,
      };
    case 'failed':
      return { event: 'failed', ...stepOf(plan, event.index, words), errno: errnoName(event.errno) };
    case 'undo':
      return {
        event: 'undo',
        ...stepOf(plan, event.index, words),
        call: undone(plan, event.index, event.call, words),
        ...(event.errno === 0 ? {} : { errno: errnoName(event.errno) }),
      };
    case 'started':
      return { event: 'started', pid: event.pid };
    case 'report':
      return { event: 'report', what: plan.reports[event.index]?.what, value: event.value };
    case 'port':
      return { event: 'port', ...published(plan, event.index), host_port: event.port };
    case 'refused': {
      const { to } = event;
      return { event: 'refused', packets: event.count, ...(to === undefined ? {} : { to }) };
    }
    case 'syscall':
      return { event: 'syscall', name: syscallName(event.number, machine()), count: event.count };
    case 'helper':
      return { event: 'helper', ...stepOf(plan, event.index, words), status: event.status, said: event.said };
    case 'hook': {
      const { status, failed, said } = event;
      const exec = plan.execs?.[event.index];
      return {
        event: 'hook',
        kind: exec?.kind,
        because: exec?.because,
        status,
        ...(failed === undefined ? {} : { errno: errnoName(failed.errno) }),
        said,
      };
    }
    case 'health':
      return { event: 'health', state: event.state };
    case 'gate':
    case 'ended':
    case 'run':
    case 'restarting':
      return undefined;
  }
}

function published(plan: Plan, index: number): object {
  const step = plan.steps[index];
  if (step?.publishes === undefined) return {};
  const { hostAddress, port, protocol } = step.publishes;
  return {
    id: step.id,
    container_port: port,
    protocol,
    ...(hostAddress === undefined ? {} : { host_address: hostAddress }),
  };
}

function undone(plan: Plan, index: number, call: number, words: WriteMessage): string {
  const step = plan.steps[index];
  return step === undefined ? '' : formatUndo(step, call, (message) => words(message, step.because));
}

const machine = (): 'aarch64' | 'x86_64' => (process.arch === 'arm64' ? 'aarch64' : 'x86_64');

function stepOf(plan: Plan, index: number, words: WriteMessage): object {
  const step = plan.steps[index];
  if (step === undefined) return { index };
  const call = formatCall(step.call, (message) => words(message, step.because));
  return { id: step.id, group: step.group, side: step.side, call };
}
