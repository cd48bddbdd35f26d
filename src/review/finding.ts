/** What an audit finds. */
import type { HostFacts } from '../host/facts.ts';
import type { Because, Model } from '../oci/model.ts';
import type { SpecDocument } from '../spec/spec.ts';

/** From the least to the worst. */
export const SEVERITIES = ['low', 'medium', 'high', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

export interface Finding {
  /** Stable name of the rule, as in specs/audit.md. */
  readonly rule: string;
  readonly severity: Severity;
  /** A sentence about the container, without full stop. */
  readonly message: string;
  /** The change that closes it. */
  readonly fix: string;
  readonly because: Because;
}

/** What is looked at: the compiled model, so that what is said is what is done, and what it was compiled from. */
export interface Subject {
  readonly document: SpecDocument;
  readonly model: Model;
  readonly host: HostFacts;
}
