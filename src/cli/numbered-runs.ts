/** A start with a network is planned once more for each number of addresses that the next one may have (src/state/numbers.ts). */
import type { StartedRun } from '../container/foreground-record.ts';
import { recordOf } from '../container/kept-record.ts';
import { BoxctlError } from '../errors.ts';
import { planContainer } from '../plan/container.ts';
import type { NumberedRun } from '../state/kept-plans.ts';
import { furtherNumbers } from '../state/numbers.ts';
import type { Remake } from './marked-run.ts';

/** The same start with other numbers. */
export async function numberedRuns(run: StartedRun, remake: Remake): Promise<readonly NumberedRun[]> {
  const { host, claims, background } = run;
  const { network } = claims;
  if (network?.file === undefined) return [];
  const runs: NumberedRun[] = [];
  try {
    for (const number of furtherNumbers(network.index)) {
      const claimed = { ...claims, network: { ...network, index: number } };
      const { document, prepared } = await remake(undefined, host, claimed);
      const { model, image } = prepared;
      const plan = planContainer(model, image, prepared.host, { kept: background !== undefined });
      const record = recordOf(document, model, '');
      runs.push({ number, run: { record, plan, model, ...(background === undefined ? {} : { background }) } });
    }
  } catch (error) {
    if (!(error instanceof BoxctlError)) throw error;
  }
  return runs;
}
