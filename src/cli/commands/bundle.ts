import { resolve } from 'node:path';
import { BoxctlError } from '../../errors.ts';
import { writeBundle } from '../../container/bundle.ts';
import { compile, outline } from '../../model/compile.ts';
import { claimIds } from '../../state/id-ranges.ts';
import type { Run } from '../command.ts';
import { hostFacts, loadDocument } from '../environment.ts';
import { checkCommand } from '../find-command.ts';
import { takeImage } from '../image-of.ts';
import { showImport, titleOf } from '../importing.ts';
import { wantsColor } from '../output.ts';
import { checkDemands, permitsOf } from '../trust.ts';
import { textVoice } from '../voice.ts';

export const bundle: Run = async (invocation) => {
  const document = loadDocument(invocation);
  const host = hostFacts(invocation);
  const { image: source } = document.spec;
  if (source === undefined) {
    throw new BoxctlError('E_NO_IMAGE', 'a bundle needs an image', { hint: 'add `image:` to the file' });
  }
  // Before anything is read, given away or written for the file.
  const permits = permitsOf(invocation);
  checkDemands(invocation, document, outline(document, host).demands, permits);
  const claims = claimIds(document, host);
  const voice = textVoice(wantsColor(2, invocation.env), false);
  const image = await showImport(invocation, titleOf(source), 'auto', voice, (options) =>
    takeImage(document, source, host, claims, options),
  );
  const model = compile(document, image, host, {}, claims);
  checkDemands(invocation, document, model.demands, permits);
  await checkCommand(model, image, host);
  const dir = resolve(invocation.cwd, invocation.args.positionals[1] ?? '');
  const { devices } = await writeBundle(model, image, host, dir);
  if (devices > 0) voice.warning(`${devices} device nodes of the image are left out of its copy`, undefined);
  return 0;
};
