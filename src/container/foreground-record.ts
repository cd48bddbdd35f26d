/** Writes down what a container in the foreground was made from. Loaded for those that run for more than a moment. */
import type { HostFacts } from '../host/facts.ts';
import type { Claims } from '../model/claims.ts';
import type { ImageFacts } from '../model/image.ts';
import type { Model } from '../model/model.ts';
import type { Plan } from '../plan/plan.ts';
import type { SpecDocument } from '../spec/spec.ts';
import { keepForeground } from '../state/foreground.ts';
import type { BackgroundFiles } from '../state/kept-plans.ts';
import { runningRecords } from '../state/running.ts';
import { recordOf } from './kept-record.ts';

export interface ForegroundRun {
  readonly document: SpecDocument;
  readonly model: Model;
  readonly plan: Plan;
  readonly host: HostFacts;
}

/** With what it was made from besides; and of one in the background, with what is kept of it. */
export interface StartedRun extends ForegroundRun {
  readonly image: ImageFacts | undefined;
  readonly claims: Claims;
  readonly background?: BackgroundFiles;
}

/** Gives what takes it back; undefined where its record is not found, as where it has just ended. */
export function keepRun({ document, model, plan, host }: ForegroundRun, pid: number): (() => void) | undefined {
  try {
    const record = runningRecords(host, () => false).find(({ first }) => (first.outer ?? first).pid === pid);
    return record === undefined ? undefined : keepForeground(host, recordOf(document, model, record.id), plan, model);
  } catch {
    // The container runs without it: a full disk, say, keeps others from looking, and nothing else.
    return undefined;
  }
}
