/** A start is planned once more, with marks in place of values of the environment (src/state/marks.ts). */
import { createRequire } from 'node:module';
import type { StartedRun } from '../container/foreground-record.ts';
import { recordOf } from '../container/kept-record.ts';
import type { Prepared } from '../container/prepare.ts';
import { startedFrom } from '../container/started-from.ts';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import type { Environment } from '../inputs/environment.ts';
import { startRecording } from '../inputs/record.ts';
import type { Claims } from '../model/claims.ts';
import { planContainer } from '../plan/container.ts';
import type { SpecDocument } from '../spec/spec.ts';
import { isForeign } from '../state/kept-bytes.ts';
import type { MarkedRun } from '../state/kept-plans.ts';
import { Marks } from '../state/marks.ts';

/** Loads the file with the variables of `env`, and prepares its container with these claims. Throws BoxctlError where it is refused. */
export type Remake = (
  env: Environment,
  host: HostFacts,
  claimed: Claims,
) => Promise<{ readonly document: SpecDocument; readonly prepared: Prepared }>;

/** Undefined where the start cannot be made with the marks: it depends on what the values are. */
export async function markedRun(
  variables: ReadonlyMap<string, string>,
  run: StartedRun,
  remake: Remake,
): Promise<MarkedRun | undefined> {
  // First as secrets. If these are not allowed, only values that do not look like secrets may take their places.
  return (await attempt(variables, run, remake, true)) ?? attempt(variables, run, remake, false);
}

async function attempt(
  variables: ReadonlyMap<string, string>,
  { host, claims, background }: StartedRun,
  remake: Remake,
  asSecrets: boolean,
): Promise<MarkedRun | undefined> {
  // Loaded here: a start that has no such values does not need it.
  const { randomBytes } = createRequire('/')('node:crypto') as typeof import('node:crypto');
  const marks = new Marks(randomBytes(16).toString('hex'), variables, asSecrets);
  const recording = startRecording();
  try {
    const { document, prepared } = await remake(marks.env, host, claims);
    const { model, image } = prepared;
    const isBackground = background !== undefined;
    const plan = planContainer(model, image, prepared.host, { kept: isBackground });
    // Whoever looks into the environment by himself sees the value, and not the mark.
    if (recording.inputs.some(isForeign)) return undefined;
    const files = isBackground && {
      background: { image, from: startedFrom(document, image, background.from.overrides) },
    };
    return { record: recordOf(document, model, ''), plan, model, ...files, marks, mustBePlain: !asSecrets };
  } catch (error) {
    if (error instanceof BoxctlError) return undefined;
    throw error;
  } finally {
    recording.stop();
  }
}
