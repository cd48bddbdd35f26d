/** Checks files as far as that is possible without starting anything: the image's own users and commands once it is known. */
import { BoxctlError, type Diagnostic } from '../../errors.ts';
import { compile } from '../../model/compile.ts';
import type { Invocation, Run } from '../command.ts';
import { hostFacts, loadDocument, specFile } from '../environment.ts';
import { checkCommand } from '../find-command.ts';
import { lookAtImage } from '../image-of.ts';
import { wantsColor, writeMessage, writeOutput } from '../output.ts';
import { describeError } from '../report.ts';
import { safeJson } from '../../text/safe.ts';

/** Of what the host can do, a file that is checked elsewhere says nothing. */
const ABOUT_THE_IMAGE: ReadonlySet<string> = new Set(['E_USER_UNKNOWN', 'E_GROUP_UNKNOWN']);

async function check(invocation: Invocation, file: string): Promise<void> {
  const document = loadDocument(invocation, file);
  const host = hostFacts(invocation);
  const { image: source } = document.spec;
  const { image, isKnown } =
    source === undefined ? { image: undefined, isKnown: false } : lookAtImage(document, source, host);
  try {
    const model = compile(document, image, host);
    if (isKnown && image !== undefined) await checkCommand(model, image, host);
  } catch (error) {
    const unknown = !isKnown && error instanceof BoxctlError;
    if (unknown && error.diagnostics.every(({ code }) => ABOUT_THE_IMAGE.has(code))) return;
    throw error;
  }
}

function asDiagnostics(error: BoxctlError): readonly Diagnostic[] {
  if (error.diagnostics.length > 0) return error.diagnostics;
  const hint = error.hint === undefined ? {} : { hint: error.hint };
  return [{ code: error.code, severity: 'error', message: error.message, path: '', at: error.at, ...hint }];
}

export const validate: Run = async (invocation) => {
  const { args, env } = invocation;
  const files = args.positionals.length > 0 ? args.positionals : [specFile(invocation)];
  const results: { file: string; problems: readonly Diagnostic[] }[] = [];
  for (const file of files) {
    try {
      await check(invocation, file);
      results.push({ file, problems: [] });
    } catch (error) {
      if (!(error instanceof BoxctlError)) throw error;
      if (!args.flag('json')) writeMessage(describeError(error, wantsColor(2, env)));
      results.push({ file, problems: asDiagnostics(error) });
    }
  }
  if (args.flag('json')) writeOutput(`${safeJson(results, 2)}\n`);
  return results.every(({ problems }) => problems.length === 0) ? 0 : 1;
};
