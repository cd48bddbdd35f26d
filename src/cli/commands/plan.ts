import { compile } from '../../oci/compile.ts';
import { planContainer } from '../../plan/container.ts';
import { planToJson } from '../../plan/json.ts';
import { printPlan } from '../../plan/print.ts';
import type { Run } from '../command.ts';
import { hostFacts, loadDocument } from '../environment.ts';
import { lookAtImage } from '../image-of.ts';
import { wantsColor, widthOf, writeMessage, writeOutput } from '../output.ts';
import { safeJson } from '../../text/safe.ts';

export const plan: Run = (invocation) => {
  const document = loadDocument(invocation);
  const host = hostFacts(invocation);
  const { image: source } = document.spec;
  const { image, isKnown } =
    source === undefined ? { image: undefined, isKnown: true } : lookAtImage(document, source, host);
  if (!isKnown) {
    writeMessage('boxctl: the image is not in the store yet: its digest in this plan is made up\n');
  }
  const model = compile(document, image, host);
  const made = planContainer(model, image, host);
  if (invocation.args.flag('json')) {
    writeOutput(`${safeJson(planToJson(made), 2)}\n`);
  } else {
    const color = wantsColor(1, invocation.env);
    writeOutput(printPlan(made, { color, width: widthOf(invocation.env), file: document.file }));
  }
  return 0;
};
