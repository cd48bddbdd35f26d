import { compile } from '../../model/compile.ts';
import { planContainer } from '../../plan/container.ts';
import { planToJson } from '../../show/plan-json.ts';
import { printPlan } from '../../show/plan-text.ts';
import type { Run } from '../command.ts';
import { allowedForGood } from '../trust.ts';
import { hostFacts, loadDocument, showsValues } from '../environment.ts';
import { lookAtImage } from '../image-of.ts';
import { wantsColor, widthOf, writeOutput } from '../output.ts';
import { jsonVoice, textVoice } from '../voice.ts';
import { safeJson } from '../../text/safe.ts';

export const plan: Run = (invocation) => {
  const document = loadDocument(invocation);
  const host = hostFacts(invocation);
  const { image: source } = document.spec;
  const { image, isKnown } =
    source === undefined ? { image: undefined, isKnown: true } : lookAtImage(document, source, host);
  if (!isKnown) {
    const voice = invocation.args.flag('json') ? jsonVoice : textVoice(wantsColor(2, invocation.env), false);
    voice.notice('the image is not in the store yet: its digest in this plan is made up', undefined);
  }
  const model = compile(document, image, host);
  const made = planContainer(model, image, host);
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
