/** Checks files as far as that is possible without starting anything: the image's own users and commands once it is known. */
import { BoxctlError, type Diagnostic } from '../../errors.ts';
import { checkDocument } from '../../container/preview.ts';
import type { Run } from '../command.ts';
import { hostFacts, loadDocument, specFile } from '../environment.ts';
import { wantsColor, writeMessage, writeOutput } from '../output.ts';
import { describeError } from '../describe-error.ts';
import { safeJson } from '../../text/safe.ts';

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
      await checkDocument(loadDocument(invocation, file), hostFacts(invocation), invocation.env, {
        locked: args.flag('locked'),
      });
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
