/** What a file would do, without doing it: its plan, and whether it is right. Nothing is imported, claimed or started. */
import { environment } from '../inputs/environment.ts';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { usesNetwork, withNetworkFacts, withSockets } from './prepare.ts';
import { compile } from '../model/compile.ts';
import { planContainer } from '../plan/container.ts';
import type { Plan } from '../plan/plan.ts';
import type { Spec, SpecDocument } from '../spec/spec.ts';
import { checkCommand } from './check-command.ts';
import { lookAtImage, type SeenImage } from './image-of.ts';
import { withLock, type LockUse } from './lock.ts';

export interface PlanPreview {
  readonly plan: Plan;
  /** Whether the digest in the plan is made up, because the image is not in the store yet. */
  readonly isDigestMadeUp: boolean;
  /** Whether the command in the plan is made up: it is that of an image which is not in the store yet. */
  readonly isCommandMadeUp: boolean;
  /** Whether addresses in the plan are made up: a run claims its own, and looks names up. */
  readonly isNetworkMadeUp: boolean;
}

/** Stands for the command of an image whose configuration is not known yet. */
const MADE_UP_COMMAND = ['the-command-of-the-image'];

interface Looked extends SeenImage {
  readonly document: SpecDocument;
  readonly isCommandMadeUp: boolean;
}

/** Whether the container would run the command that an image of this kind may come with. */
function leavesCommandToImage({ image, command, entrypoint, systemd }: Spec): boolean {
  const hasConfiguration = image?.kind === 'reference' || image?.kind === 'tar';
  return hasConfiguration && command === undefined && entrypoint === undefined && !systemd;
}

/** The document as its lock has it, and its image as far as it is known. */
function look(given: SpecDocument, host: HostFacts, use: LockUse): Looked {
  const { document, checkImage } = withLock(given, host, use);
  const { image, isKnown } = lookAtImage(document, host);
  if (isKnown && image !== undefined) checkImage(image);
  if (isKnown || image === undefined || !leavesCommandToImage(document.spec)) {
    return { document, image, isKnown, isCommandMadeUp: false };
  }
  // Only the image can tell whether there is a command, so that none is missed before the image is there.
  const defaults = { ...image.defaults, command: MADE_UP_COMMAND };
  return { document, image: { ...image, defaults }, isKnown, isCommandMadeUp: true };
}

/** The plan that a run would have. */
export async function previewPlan(
  given: SpecDocument,
  facts: HostFacts,
  env: Readonly<Record<string, string | undefined>> = environment,
  use: LockUse = {},
): Promise<PlanPreview> {
  const host = withSockets(given, await withNetworkFacts(given, facts, env), { env });
  const { document, image, isKnown, isCommandMadeUp } = look(given, host, use);
  const plan = planContainer(compile(document, image, host), image, host);
  const isNetworkMadeUp = usesNetwork(document);
  return { plan, isDigestMadeUp: image !== undefined && !isKnown, isCommandMadeUp, isNetworkMadeUp };
}

/** Users and groups are the image's: as long as the image is not known, they are not missed. */
const ABOUT_THE_IMAGE: ReadonlySet<string> = new Set(['E_USER_UNKNOWN', 'E_GROUP_UNKNOWN']);

/** Throws a BoxctlError where the file would not start, as far as that can be known without an import. */
export async function checkDocument(
  given: SpecDocument,
  facts: HostFacts,
  env: Readonly<Record<string, string | undefined>> = environment,
  use: LockUse = {},
): Promise<void> {
  const host = await withNetworkFacts(given, facts, env);
  const { document, image, isKnown } = look(given, host, use);
  try {
    const model = compile(document, image, host);
    if (isKnown && image !== undefined) await checkCommand(model, image, host);
  } catch (error) {
    const unknown = !isKnown && error instanceof BoxctlError;
    if (unknown && error.diagnostics.every(({ code }) => ABOUT_THE_IMAGE.has(code))) return;
    throw error;
  }
}
