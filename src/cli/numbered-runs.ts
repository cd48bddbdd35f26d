/** A start with a network is planned once more for each number of addresses that the next one may have (src/state/numbers.ts). */
import type { StartedRun } from '../container/foreground-record.ts';
import { recordOf } from '../container/kept-record.ts';
import { compile, type Overrides } from '../model/compile.ts';
import type { ImageFacts } from '../model/image.ts';
import { planContainer } from '../plan/container.ts';
import type { NumberedRun } from '../state/kept-plans.ts';
import { furtherNumbers } from '../state/numbers.ts';

/** The same start with other numbers. */
export function numberedRuns(
  { document, image, host, claims, background }: StartedRun,
  overrides: (image: ImageFacts | undefined) => Overrides,
): readonly NumberedRun[] {
  const { network } = claims;
  if (network?.file === undefined) return [];
  return furtherNumbers(network.index).map((number) => {
    const model = compile(document, image, host, overrides(image), {
      ...claims,
      network: { ...network, index: number },
    });
    const plan = planContainer(model, image, host, { kept: background !== undefined });
    return { number, run: { record: recordOf(document, model, ''), plan, model, background } };
  });
}
