/** What a file leaves open, worst first. Pure, but for what the loader has read. */
import type { HostFacts } from '../host/facts.ts';
import { outline } from '../model/compile.ts';
import { redactor } from '../text/borrowed.ts';
import type { SpecDocument } from '../spec/spec.ts';
import { demandFindings } from './demand-rules.ts';
import { SEVERITIES, type Beside, type Finding, type Severity } from './finding.ts';
import { reviewHost } from './host.ts';
import { openFindings } from './open-rules.ts';

export type { Beside, Finding, Severity } from './finding.ts';

const rank = (severity: Severity): number => SEVERITIES.indexOf(severity);
const lineOf = ({ because }: Finding): number =>
  because.kind === 'spec' ? (because.at?.line ?? Number.MAX_SAFE_INTEGER) : Number.MAX_SAFE_INTEGER;

/** Whether a finding is as bad as `least`, or worse. */
export function reaches({ severity }: Finding, least: Severity): boolean {
  return rank(severity) >= rank(least);
}

/**
 * All findings for a file, worst first, then in its order; the same on every machine, but for what `beside` says.
 *
 * @throws BoxctlError as `compile` does, where the file contradicts itself
 */
export function audit(document: SpecDocument, host: HostFacts, beside: Beside = {}): readonly Finding[] {
  const reviewed = reviewHost(host, document);
  const model = outline(document, reviewed);
  const subject = { document, model, host: reviewed, ...beside };
  const redact = redactor(document.borrowed);
  const all = [...demandFindings(subject), ...openFindings(subject)].map((finding) => {
    const path = finding.because.kind === 'spec' ? finding.because.path : undefined;
    const because = path === undefined ? finding.because : { ...finding.because, path: redact(path, path) };
    return { ...finding, message: redact(finding.message, path), fix: redact(finding.fix, path), because };
  });
  return all.sort((a, b) => rank(b.severity) - rank(a.severity) || lineOf(a) - lineOf(b));
}
