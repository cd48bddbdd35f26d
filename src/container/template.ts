/** A container file that is compiled once and started many times. */
import { BoxctlError } from '../errors.ts';
import { environment } from '../inputs/environment.ts';
import type { HostFacts } from '../host/facts.ts';
import { gatherHostFacts } from '../host/gather.ts';
import { LAUNCHER_FDS } from '../kernel/wire.ts';
import { LaunchTemplate } from '../launcher/start-launcher.ts';
import type { Model } from '../model/model.ts';
import { withCommand } from '../plan/command.ts';
import { planContainer } from '../plan/container.ts';
import type { Plan } from '../plan/plan.ts';
import type { SpecDocument } from '../spec/spec.ts';
import { sweepState } from '../state/sweep.ts';
import { refuseUnpermitted } from '../trust/refuse.ts';
import { Box, type BoxOptions } from './box.ts';
import { readDigestInBackground } from './digest-in-background.ts';
import { holdLayers } from './held-layers.ts';
import { explainHostFailure } from './host-failure.ts';
import { prepare, usesNetwork, type Prepared } from './prepare.ts';
import { SILENT, type Reporter } from './reporter.ts';
import { tellAboutModel, type RunOptions } from './run.ts';

export interface TemplateOptions extends Omit<RunOptions, 'takesSignals' | 'reporter'> {
  /** Receives warnings and the progress of an import, as much of it as it has methods for. */
  readonly reporter?: Partial<Reporter>;
}

const reporterOf = ({ reporter }: TemplateOptions): Reporter => ({ ...SILENT, ...reporter });

export interface TemplateStartOptions extends BoxOptions {
  /** In place of the file's command, entrypoint and all. */
  readonly args?: readonly string[];
  /** Added to the container's environment. */
  readonly environment?: Readonly<Record<string, string>>;
}

interface Compiled {
  readonly prepared: Prepared;
  readonly plan: Plan;
  /** Descriptors that the plan's launcher is to be given. */
  readonly kept: readonly number[];
}

/** Whether each run has something of its own (ids, addresses) that its plan names. */
function claimsForEachRun(document: SpecDocument): boolean {
  return document.spec.autoIds !== undefined || usesNetwork(document);
}

/**
 * A container file that is read, judged and compiled once, and started many times, at the same time too. A file with a network
 * or with `uid_map: auto` is compiled for each start, since each has an address or ids of its own.
 */
export class ContainerTemplate {
  /** As of the first compilation. */
  readonly plan: Plan;
  readonly model: Model;
  readonly host: HostFacts;
  readonly #document: SpecDocument;
  readonly #options: TemplateOptions;
  readonly #first: Compiled;
  readonly #template: LaunchTemplate | undefined;
  readonly #stopReading: () => void;
  #isClosed = false;

  private constructor(document: SpecDocument, options: TemplateOptions, first: Compiled) {
    const { prepared, plan } = first;
    this.plan = plan;
    this.model = prepared.model;
    this.host = prepared.host;
    this.#document = document;
    this.#options = options;
    this.#first = first;
    this.#template = claimsForEachRun(document) ? undefined : new LaunchTemplate(plan, first.kept);
    this.#stopReading = readDigestInBackground(prepared.image, prepared.host);
    // The next start makes claims of its own.
    if (this.#template === undefined) prepared.claims.release();
  }

  /** @internal */
  static async make(document: SpecDocument, options: TemplateOptions): Promise<ContainerTemplate> {
    const reporter = reporterOf(options);
    try {
      for (const { message, at } of document.warnings ?? []) reporter.warning(message, at);
      const first = await compileOnce(document, options);
      tellAboutModel(first.prepared.model, reporter);
      await sweepState(first.prepared.host);
      return new ContainerTemplate(document, options, claimsForEachRun(document) ? first : mountOnce(first));
    } catch (error) {
      throw explainHostFailure(error);
    }
  }

  /**
   * Starts a container, and resolves when its command runs.
   *
   * @throws BoxctlError where it cannot be started: the error says which line of the file, and what to do
   */
  async start(options: TemplateStartOptions = {}): Promise<Box> {
    if (this.#isClosed) {
      throw new BoxctlError('E_USAGE', 'the template is closed: nothing can be started from it any more');
    }
    try {
      if (this.#template !== undefined) return await this.#startFrom(this.#first, options);
      const compiled = await compileOnce(this.#document, this.#options);
      const { release } = compiled.prepared.claims;
      const box = await this.#startFrom(compiled, options).catch((error: unknown) => {
        release();
        throw error;
      });
      void box.ended.then(release, release);
      return box;
    } catch (error) {
      throw explainHostFailure(error);
    }
  }

  async #startFrom({ prepared, plan }: Compiled, options: TemplateStartOptions): Promise<Box> {
    const { args, environment: more } = options;
    const { model, host } = prepared;
    const changed = args === undefined && more === undefined ? plan : withCommand(plan, { args, environment: more });
    const template = this.#template;
    return Box.start(
      {
        plan: changed,
        model,
        host,
        showValues: this.#options.showValues ?? false,
        ...(template === undefined ? {} : { template }),
      },
      options,
    );
  }

  /** Boxes that run go on. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#stopReading();
    this.#template?.close();
    if (this.#template !== undefined) this.#first.prepared.claims.release();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

async function compileOnce(document: SpecDocument, options: TemplateOptions): Promise<Compiled> {
  const { env = environment, judge = (demands) => refuseUnpermitted(demands, []) } = options;
  const host = gatherHostFacts(env);
  const prepared = await prepare(document, {
    ...options,
    env,
    host,
    reporter: reporterOf(options),
    judge,
    takesSignals: false,
  });
  return { prepared, plan: planContainer(prepared.model, prepared.image, prepared.host), kept: [] };
}

/** The same, with a mount of the image that all containers have in common. */
function mountOnce(compiled: Compiled): Compiled {
  const { prepared, plan } = compiled;
  const { model, image, host } = prepared;
  // The launcher gives other numbers to what it is given beside sockets of the command.
  const mounts = image === undefined || plan.sockets !== undefined ? undefined : holdLayers(image, host);
  if (mounts === undefined) return compiled;
  const mounted = LAUNCHER_FDS + (model.contents.length > 0 ? 1 : 0);
  return { prepared, plan: planContainer(model, image, host, { mounted }), kept: mounts };
}

/**
 * Reads, judges and compiles a container file for many starts. Its image is imported if it has to be.
 *
 * @throws BoxctlError as `runContainer` does
 */
export function openTemplate(document: SpecDocument, options: TemplateOptions = {}): Promise<ContainerTemplate> {
  return ContainerTemplate.make(document, options);
}

/**
 * Starts a container from a file, and resolves when its command runs. To start many of the same file, see `openTemplate`.
 *
 * @throws BoxctlError as `runContainer` does
 */
export async function startContainer(
  document: SpecDocument,
  options: TemplateOptions & TemplateStartOptions = {},
): Promise<Box> {
  const template = await openTemplate(document, options);
  try {
    return await template.start(options);
  } finally {
    template.close();
  }
}
