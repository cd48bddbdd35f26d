import { planExecIn } from '../../container/exec.ts';
import { findAny } from '../../container/existing.ts';
import { previewPlan } from '../../container/preview.ts';
import { BoxctlError } from '../../errors.ts';
import { noteProcess } from '../../inputs/outside.ts';
import { startRecording } from '../../inputs/record.ts';
import type { Demand } from '../../model/demand.ts';
import { ownFiles } from '../../native.ts';
import type { Plan } from '../../plan/plan.ts';
import { inputsToJson, printInputs } from '../../show/inputs.ts';
import { planToJson } from '../../show/plan-json.ts';
import { printPlan } from '../../show/plan-text.ts';
import type { Invocation, Run } from '../command.ts';
import { allowedForGood } from '../trust.ts';
import { hostFacts, loadDocument, showsValues } from '../environment.ts';
import { wantsColor, widthOf, writeOutput } from '../output.ts';
import { jsonMessages, textMessages } from '../messages.ts';
import { safeJson } from '../../text/safe.ts';

export const plan: Run = async (invocation) => {
  const name = invocation.args.value('exec');
  if (name !== undefined) return printExec(invocation, name);
  if (invocation.args.rest.length > 0) {
    throw new BoxctlError('E_USAGE', 'boxctl plan takes a command only with --exec', {
      hint: 'boxctl plan --exec NAME -- COMMAND',
    });
  }
  if (!invocation.args.flag('inputs')) return printed(invocation, writePlan);
  const recording = startRecording();
  try {
    noteProcess(ownFiles());
    return await printed(invocation, () => {
      const inputs = { inputs: recording.inputs, gaps: recording.gaps };
      if (!invocation.args.flag('json')) return printInputs(inputs);
      return `${safeJson(inputsToJson(inputs), 2)}\n`;
    });
  } finally {
    recording.stop();
  }
};

type Print = (invocation: Invocation, plan: Plan, allowed: ReadonlySet<Demand>, file: string) => string;

const writePlan: Print = (invocation, made, allowed, file) => {
  const showValues = showsValues(invocation);
  if (invocation.args.flag('json')) return `${safeJson(planToJson(made, { allowed, showValues }), 2)}\n`;
  const color = wantsColor(1, invocation.env);
  return printPlan(made, { color, width: widthOf(invocation.env), file, allowed, showValues });
};

/** The plan of a command in a container that runs. */
function printExec(invocation: Invocation, name: string): number {
  const { args } = invocation;
  const command = [...args.positionals, ...args.rest];
  if (command.length === 0) {
    throw new BoxctlError('E_USAGE', 'boxctl plan --exec needs a command', {
      hint: `boxctl plan --exec ${name} -- COMMAND`,
    });
  }
  const host = hostFacts(invocation);
  const container = findAny(host, name);
  const { plan: made } = planExecIn(host, container, { command });
  writeOutput(writePlan(invocation, made, new Set(), container.file));
  return 0;
}

async function printed(invocation: Invocation, print: Print): Promise<number> {
  const document = loadDocument(invocation);
  const messages = invocation.args.flag('json') ? jsonMessages : textMessages(wantsColor(2, invocation.env), false);
  const {
    plan: made,
    isDigestMadeUp,
    isCommandMadeUp,
    isNetworkMadeUp,
  } = await previewPlan(document, hostFacts(invocation), invocation.env, {
    locked: invocation.args.flag('locked'),
    onWarning: (message, at) => messages.warning(message, at),
  });
  if (isDigestMadeUp) {
    const what = isCommandMadeUp ? 'its digest and its command in this plan are' : 'its digest in this plan is';
    messages.notice(`the image is not in the store yet: ${what} made up`, undefined);
  }
  if (isNetworkMadeUp) {
    messages.notice('addresses in this plan are made up: a run claims its own, and looks names up', undefined);
  }
  const allowed = allowedForGood(invocation, document, made.demands);
  writeOutput(print(invocation, made, allowed, document.file));
  return 0;
}
