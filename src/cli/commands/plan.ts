import { previewPlan } from '../../container/preview.ts';
import { planToJson } from '../../show/plan-json.ts';
import { printPlan } from '../../show/plan-text.ts';
import type { Run } from '../command.ts';
import { allowedForGood } from '../trust.ts';
import { hostFacts, loadDocument, showsValues } from '../environment.ts';
import { wantsColor, widthOf, writeOutput } from '../output.ts';
import { jsonMessages, textMessages } from '../messages.ts';
import { safeJson } from '../../text/safe.ts';

export const plan: Run = async (invocation) => {
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
  const showValues = showsValues(invocation);
  const allowed = allowedForGood(invocation, document, made.demands);
  if (invocation.args.flag('json')) {
    writeOutput(`${safeJson(planToJson(made, { allowed, showValues }), 2)}\n`);
  } else {
    const color = wantsColor(1, invocation.env);
    writeOutput(printPlan(made, { color, width: widthOf(invocation.env), file: document.file, allowed, showValues }));
  }
  return 0;
};
