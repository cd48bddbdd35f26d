/** A plan as data: specs/plan.schema.json. */
import { allowance, shownDemand } from '../model/demands.ts';
import type { Demand } from '../model/demand.ts';
import { rowOf, type ArgKind, type Call } from '../kernel/calls.ts';
import { NAME_SETS } from '../kernel/constants.ts';
import type { Message } from '../kernel/netlink/message.ts';
import { capabilityNames, flagNames } from './call-text.ts';
import { plainMessage } from './netlink-attributes.ts';
import type { Plan, Step, Tally } from '../plan/plan.ts';
import { shownPlan } from './redacted.ts';

function isNameSet(name: string): name is keyof typeof NAME_SETS {
  return name in NAME_SETS;
}

function valueToJson(kind: ArgKind, names: string | undefined, value: unknown): unknown {
  if (kind === 'flags' && names !== undefined && isNameSet(names) && typeof value === 'number') {
    return value === 0 && NAME_SETS[names].kind === 'bits' ? [] : flagNames(names, value);
  }
  if (kind === 'mode' && typeof value === 'number') return `0${value.toString(8)}`;
  if (kind === 'caps' && typeof value === 'bigint') return capabilityNames(value);
  if (kind === 'messages' && Array.isArray(value)) return (value as readonly Message[]).map(plainMessage);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  return value;
}

function callToJson(call: Call): unknown {
  const values: Readonly<Record<string, unknown>> = call.args;
  const args = rowOf(call.name).args.map(({ name, kind, names }) => [name, valueToJson(kind, names, values[name])]);
  return {
    name: call.name,
    args: Object.fromEntries(args),
    ...(call.returns === undefined ? {} : { returns: call.returns }),
    ...(call.allow === undefined ? {} : { allow: call.allow }),
  };
}

function stepToJson(step: Step): unknown {
  const { id, group, side, meanwhile, once, dependent, late, mends, call, because, messageReasons, undo } = step;
  const reversed = typeof undo === 'string' ? undo : undo.map(callToJson);
  const reasons = messageReasons === undefined ? {} : { message_reasons: messageReasons };
  const at = {
    side,
    ...(meanwhile === undefined ? {} : { meanwhile }),
    ...(once === undefined ? {} : { once }),
    ...(dependent === undefined ? {} : { dependent }),
    ...(late === undefined ? {} : { late }),
    ...(mends === undefined ? {} : { mends }),
  };
  return { id, group, ...at, call: callToJson(call), because, ...reasons, undo: reversed };
}

function tallyToJson({ of, socket, question, because }: Tally): unknown {
  return { of, socket, question: plainMessage(question), because };
}

export interface JsonOptions {
  /** Demands that policy files or `boxctl allow` have allowed. */
  readonly allowed?: ReadonlySet<Demand>;
  /** Print values of the caller's environment and of env_files, too. */
  readonly showValues?: boolean;
}

/** Everything of the plan, with names where the kernel has names; ready for JSON.stringify. */
export function planToJson(given: Plan, { allowed, showValues = false }: JsonOptions = {}): unknown {
  const plan = showValues ? given : shownPlan(given);
  return {
    version: plan.version,
    name: plan.name,
    steps: plan.steps.map(stepToJson),
    reports: plan.reports,
    ...(plan.tallies === undefined ? {} : { tallies: plan.tallies.map(tallyToJson) }),
    ...(plan.terminal === undefined ? {} : { terminal: plan.terminal }),
    stop: { signal: plan.stop.signal, grace_ms: plan.stop.graceMs },
    ...(plan.execs === undefined
      ? {}
      : {
          execs: plan.execs.map(({ kind, because, times, plan: { steps } }) => ({
            kind,
            because,
            ...(times === undefined ? {} : { times }),
            steps: steps.map(stepToJson),
          })),
        }),
    ...(plan.restart === undefined ? {} : { restart: plan.restart }),
    ...(plan.timeLimit === undefined ? {} : { time_limit: plan.timeLimit }),
    dropped: plan.dropped,
    demands: plan.demands.map((demand) => ({
      allow: allowance(showValues ? demand : shownDemand(demand)),
      message: (showValues ? demand : shownDemand(demand)).message,
      because: demand.because,
      ...(allowed?.has(demand) === true ? { allowed: true } : {}),
    })),
    warnings: plan.warnings,
  };
}
