import { resolve } from 'node:path';
import { BoxctlError } from '../../errors.ts';
import { keysWithoutWords } from '../../container/bundle-lacks.ts';
import { writeBundle } from '../../container/bundle.ts';
import { checkCommand } from '../../container/check-command.ts';
import { prepare } from '../../container/prepare.ts';
import type { Run } from '../command.ts';
import { hostFacts, loadDocument } from '../environment.ts';
import { importView } from '../import-view.ts';
import { jsonMessages, textMessages } from '../messages.ts';
import { wantsColor } from '../output.ts';
import { checkDemands, permitsOf } from '../trust.ts';

const noImage = (): BoxctlError =>
  new BoxctlError('E_NO_IMAGE', 'a bundle needs an image', { hint: 'add `image:` to the file' });

export const bundle: Run = async (invocation) => {
  const { args, cwd, env } = invocation;
  const document = loadDocument(invocation);
  const host = hostFacts(invocation);
  if (document.spec.image === undefined) throw noImage();
  const permits = permitsOf(invocation);
  const isJson = args.flag('json');
  const messages = isJson ? jsonMessages : textMessages(wantsColor(2, env), false);
  const { image, model, claims } = await prepare(document, {
    host,
    reporter: { ...messages, importing: (title) => importView(title, isJson ? 'json' : 'auto', env) },
    judge: (demands) => checkDemands(invocation, document, demands, permits),
    takesSignals: true,
    env,
    alwaysWithImage: true,
    isStatic: true,
    locked: args.flag('locked'),
  });
  try {
    if (image === undefined) throw noImage();
    await checkCommand(model, image, host);
    const { devices, differs } = await writeBundle(model, image, host, resolve(cwd, args.positionals[1] ?? ''));
    if (devices > 0) messages.warning(`${devices} device nodes of the image are left out of its copy`, undefined);
    const { keepGroups, network } = document.spec;
    const silent = keysWithoutWords(document.spec, model).map((key) => `\`${key}\``);
    const all = [
      ...differs,
      ...(silent.length > 0 ? [`nothing is done for ${silent.join(', ')}`] : []),
      ...(keepGroups ? ['no supplementary group of yours is kept'] : []),
      ...(network === undefined ? [] : ['the container has `lo` alone, since the other runtime makes no network']),
    ];
    if (all.length > 0) messages.warning(`started by another runtime, this differs: ${all.join('; ')}`, undefined);
  } finally {
    claims.release();
  }
  return 0;
};
