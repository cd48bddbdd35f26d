import { BoxctlError } from '../../errors.ts';
import type { Because } from '../../model/because.ts';
import { readLock } from '../../lock/read.ts';
import { locationsOf, readRegistries } from '../../registry/config.ts';
import { audit as findAll, reaches, type Beside, type Finding, type Severity } from '../../review/audit.ts';
import { RULES, SEVERITIES, type RuleName } from '../../review/finding.ts';
import type { SpecDocument } from '../../spec/spec.ts';
import { didYouMean } from '../../spec/suggest.ts';
import type { Invocation, Run } from '../command.ts';
import { hostFacts, loadForReview } from '../environment.ts';
import { homeOf } from '../home.ts';
import { wantsColor, writeOutput } from '../output.ts';
import { safe, safeJson } from '../../text/safe.ts';
import { painter } from '../../text/style.ts';

const COLORS: Readonly<Record<Severity, number>> = { critical: 35, high: 31, medium: 33, low: 36 };

function threshold({ args }: Invocation): Severity | undefined {
  const word = args.value('fail-on');
  const found = SEVERITIES.find((severity) => severity === word);
  if (word === undefined || found !== undefined) return found;
  throw new BoxctlError('E_USAGE', `"${word}" is no severity`, { hint: `--fail-on ${SEVERITIES.join('|')}` });
}

function placeOf(because: Because, file: string): string {
  const at = because.kind === 'spec' ? because.at : undefined;
  return at === undefined ? file : `${at.file}:${at.line}:${at.column}`;
}

function asText(findings: readonly Finding[], file: string, color: boolean): string {
  const paint = painter(color);
  const width = Math.max(0, ...findings.map(({ because }) => placeOf(because, file).length));
  const indent = ' '.repeat('critical'.length + 2);
  const lines = findings.flatMap(({ rule, severity, message, fix, because }) => [
    `${paint(COLORS[severity], severity.padEnd('critical'.length))}  ${safe(placeOf(because, file)).padEnd(width)}  ` +
      `${safe(message)}  ${paint(2, `[${rule}]`)}`,
    `${indent}${' '.repeat(width)}  ${paint(2, '→')} ${safe(fix)}`,
  ]);
  const counts = SEVERITIES.toReversed().flatMap((severity) => {
    const count = findings.filter((finding) => finding.severity === severity).length;
    return count === 0 ? [] : [`${count} ${severity}`];
  });
  return `${[...lines, counts.length === 0 ? 'nothing is left open' : counts.join(', ')].join('\n')}\n`;
}

/** An unknown rule is an error: a misspelt one would go on being reported. */
function ignoredRules({ args }: Invocation): ReadonlySet<RuleName> {
  const words = args.values('ignore').flatMap((word) => word.split(','));
  return new Set(
    words.map((word) => {
      const rule = RULES.find((name) => name === word);
      if (rule !== undefined) return rule;
      const meant = didYouMean(word, RULES);
      throw new BoxctlError('E_USAGE', `--ignore ${word}: there is no such rule`, {
        hint: meant === undefined ? `the rules are: ${RULES.join(', ')}` : `did you mean ${meant}?`,
      });
    }),
  );
}

/** The lock beside the file, and what this machine's configuration says of the registry that the file names. */
function beside({ env }: Invocation, { file, spec: { image } }: SpecDocument): Beside {
  const lock = readLock(file);
  if (image?.kind !== 'reference') return { lock };
  const config = readRegistries({ env, home: homeOf(env) });
  return {
    lock,
    isInsecure: (reference) => {
      try {
        return locationsOf(reference, config).some(({ insecure }) => insecure);
      } catch {
        // It is blocked, so nothing is asked of it.
        return false;
      }
    },
  };
}

export const audit: Run = (invocation) => {
  const least = threshold(invocation);
  const ignored = ignoredRules(invocation);
  const document = loadForReview(invocation);
  const findings = findAll(document, hostFacts(invocation), beside(invocation, document)).filter(
    ({ rule }) => !ignored.has(rule),
  );
  if (invocation.args.flag('json')) {
    const list = findings.map(({ because, ...finding }) => ({
      ...finding,
      path: because.kind === 'spec' ? because.path : '',
      at: because.kind === 'spec' ? because.at : undefined,
    }));
    writeOutput(`${safeJson({ file: document.file, findings: list }, 2)}\n`);
  } else {
    writeOutput(asText(findings, document.file, wantsColor(1, invocation.env)));
  }
  return least !== undefined && findings.some((finding) => reaches(finding, least)) ? 1 : 0;
};
