/**
 * Imports the layers of an image. Each is kept under the digest of its tar, so images share the layers that they have in common.
 *
 * Several layers are read at once. What depends on the layers below is done in their order afterwards: hard links that lead to
 * files of lower layers, and folders without an entry of their own.
 */
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ErrorCode } from '../error-codes.ts';
import { BoxctlError } from '../errors.ts';
import { withLock } from '../files/locks.ts';
import { LIMIT_HINT, type Archived, type Contents, type Digests, type LayerKind } from '../worker/work.ts';
import type { LayeredImage, LayerSource } from './image-config.ts';
import { impliedFolders } from './implied-folders.ts';
import type { ImportProgress, Job } from './import-job.ts';
import { linkedAbort } from './linked-abort.ts';
import { emptyLayer, type LayerInput, type LayerReader } from './layer-reader.ts';
import { COUNTS, formOf, placeOf, publishLayer, readMade, type Counts, type Made } from './layer-record.ts';
import { checkDigests, checkStored, completeLayer, mountLayer, shortDigest, unpackLayerInto } from './make-layer.ts';
import type { Named } from './members.ts';
import { ownersOf, type RecordedLayer } from './records.ts';
import { Slots } from './slots.ts';
import { ownershipKey, shortHash } from './store.ts';

export interface ImportedLayers extends Counts {
  readonly recorded: readonly RecordedLayer[];
}

/** Stands for the layers of an image that has none: overlayfs needs one. Its digest is that of an empty file. */
const NO_LAYER: LayerSource = {
  path: '',
  diffId: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  digest: undefined,
};

export async function importLayers(from: LayerReader, image: LayeredImage, job: Job): Promise<ImportedLayers> {
  const sources = image.layers.length === 0 ? [NO_LAYER] : image.layers;
  const stop = linkedAbort(job.options.signal);
  const work = new LayerWork(from, sources, { ...job, options: { ...job.options, signal: stop.signal } });
  try {
    return await work.all();
  } catch (error) {
    stop.abort(error);
    throw error;
  } finally {
    await work.ended();
    stop.release();
  }
}

/**
 * overlayfs refuses the same lower folder twice. The upper one of two equal layers is enough: it adds and hides the same files
 * as the lower one.
 */
function stackOn(below: readonly RecordedLayer[], layer: RecordedLayer): readonly RecordedLayer[] {
  return [...below.filter(({ digest }) => digest !== layer.digest), layer];
}

function tooLarge({ name }: Named): BoxctlError {
  return new BoxctlError('E_IMAGE_TOO_LARGE', `The image ${name} has more data than an image may have`, {
    hint: LIMIT_HINT,
  });
}

/** Errors of a layer that the registry may not be to blame for. */
const DAMAGED: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'E_IMAGE_DIGEST',
  'E_IMAGE_BAD_ARCHIVE',
  'E_IMAGE_TOO_LARGE',
]);

interface Ensured {
  readonly layer: RecordedLayer;
  readonly made: Made;
}

/** A layer in the workspace, whose hard links lead to files of the layers below. */
interface Linked {
  readonly part: string;
  readonly first: Contents & Digests;
}

type Prepared = Ensured | Linked;

const isLinked = (prepared: Prepared): prepared is Linked => 'part' in prepared;

class LayerWork {
  readonly #from: LayerReader;
  readonly #sources: readonly LayerSource[];
  readonly #job: Job;
  readonly #slots: Slots;
  /** One for each layer: resolves when it is in the store, or waits for the layers below. */
  readonly #prepared: readonly Promise<Prepared>[];
  /** One for each layer: resolves with the layers below it. */
  readonly #below: readonly PromiseWithResolver<readonly RecordedLayer[]>[];
  /** Rejects with the first error of any layer. */
  readonly #failure = resolvable<never>();
  #bytes = 0;
  #entries = 0;

  constructor(from: LayerReader, sources: readonly LayerSource[], job: Job) {
    this.#from = from;
    this.#sources = sources;
    this.#job = job;
    this.#slots = new Slots(from.atOnce);
    this.#below = sources.map(() => resolvable());
    this.#failure.promise.catch(() => undefined);
    this.#prepared = sources.map((source, index) => {
      const prepared = this.#prepare(source, index);
      prepared.catch((error: unknown) => this.#failure.reject(error));
      return prepared;
    });
  }

  async all(): Promise<ImportedLayers> {
    const sum = { entries: 0, bytes: 0, squashed: 0, skipped: 0 };
    let stack: readonly RecordedLayer[] = [];
    for (const [index, prepared] of this.#prepared.entries()) {
      this.#below[index]?.resolve(stack);
      const ready = await Promise.race([prepared, this.#failure.promise]);
      const { layer, made } = isLinked(ready) ? await this.#complete(ready, index, stack) : ready;
      const below = made.opaqueRoot ? [] : stack;
      const above = await impliedFolders(this.#from, made, layer, below, this.#job);
      stack = [layer, ...above].reduce(stackOn, below);
      for (const key of COUNTS) sum[key] += made[key];
      this.#checkSize(sum.bytes, sum.entries);
    }
    return { recorded: stack, ...sum };
  }

  /** Resolves when nothing is at work any more. */
  async ended(): Promise<void> {
    for (const { resolve } of this.#below) resolve([]);
    await Promise.allSettled(this.#prepared);
  }

  #checkSize(bytes: number, entries: number): void {
    const { maxBytes, maxEntries } = this.#job.options.limits;
    if (bytes > maxBytes || entries > maxEntries) throw tooLarge(this.#from);
  }

  /**
   * The lowest layer is kept under another name than the same layer above others: its whiteouts are dropped. A layer whose
   * hard links lead to files of the layers below is kept once for each list of layers below it.
   */
  #names(index: number, below: readonly RecordedLayer[]): { alone: RecordedLayer; over: RecordedLayer } {
    const form = formOf(this.#job);
    const diffId = this.#sources[index]?.diffId ?? '';
    const alone: RecordedLayer = { digest: index === 0 ? diffId : `${diffId}.upper`, form };
    return { alone, over: { digest: `${diffId}.over-${shortDigest(below)}`, form } };
  }

  async #prepare(source: LayerSource, index: number): Promise<Prepared> {
    const { alone } = this.#names(index, []);
    // Whether the store has the layer over these very layers is known when those are.
    if (index > 0 && findLayer(alone, this.#job) === undefined && isKeptOverOthers(source, this.#job)) {
      const { over } = this.#names(index, (await this.#below[index]?.promise) ?? []);
      const stored = findLayer(over, this.#job);
      if (stored !== undefined) return this.#stored(source, index, stored);
    }
    return this.#slots.run(() => this.#make(source, index, alone));
  }

  #make(source: LayerSource, index: number, alone: RecordedLayer): Promise<Prepared> {
    const { host, options } = this.#job;
    options.signal?.throwIfAborted();
    const key = `layer ${alone.digest} ${alone.form} ${ownershipKey(options.ownership)}`;
    const lock = join(host.dirs.store, 'locks', shortHash(key));
    const work = async (): Promise<Prepared> => {
      const stored = findLayer(alone, this.#job);
      return stored === undefined ? this.#read(source, index, alone) : this.#stored(source, index, stored);
    };
    return withLock(lock, work, () => {
      options.signal?.throwIfAborted();
      options.onWait?.();
    });
  }

  /** The store has the layer already. An archive's own copy must still have the digests that the image states. */
  async #stored(source: LayerSource, index: number, stored: Ensured): Promise<Ensured> {
    if (this.#from.isChecked) {
      await this.#withInput(source, index, (archive) => checkStored(archive, source, stored.made, this.#job));
    } else {
      this.#tell(index, source.size ?? 0, source.size ?? 0, 'there');
    }
    return stored;
  }

  /** What was received before an interruption may be damaged. Then all of it is fetched once more. */
  async #read(source: LayerSource, index: number, alone: RecordedLayer): Promise<Prepared> {
    const seen = { hadPartial: false };
    try {
      return await this.#readOnce(source, index, alone, seen);
    } catch (error) {
      const isDamaged = error instanceof BoxctlError && DAMAGED.has(error.code);
      if (!seen.hadPartial || !isDamaged) throw error;
      return this.#readOnce(source, index, alone, seen);
    }
  }

  async #readOnce(
    source: LayerSource,
    index: number,
    alone: RecordedLayer,
    seen: { hadPartial: boolean },
  ): Promise<Prepared> {
    const kind: LayerKind = index === 0 ? 'lowest' : 'layer';
    const part = `layer-${index + 1}`;
    const job = this.#job;
    job.workspace.makePart(part);
    try {
      const first = await this.#withInput(
        source,
        index,
        (archive) => (alone.form === 'erofs' ? mountLayer : unpackLayerInto)(archive, part, kind, job),
        seen,
      );
      // Other images will find the layer under this digest, so it must be true.
      checkDigests(this.#nameOf(index), source, first);
      this.#bytes += first.bytes;
      this.#entries += first.entries;
      this.#checkSize(this.#bytes, this.#entries);
      this.#tell(index, source.size ?? 0, source.size ?? 0, 'done');
      if (first.wanted.length > 0) return { part, first };
      return this.#publish(part, alone, first, first.sha256);
    } catch (error) {
      await job.workspace.removePart(part);
      throw error;
    }
  }

  async #complete({ part, first }: Linked, index: number, below: readonly RecordedLayer[]): Promise<Ensured> {
    const source = this.#sources[index] ?? NO_LAYER;
    const reread = (work: (archive: Archived) => Promise<void>): Promise<void> => this.#withInput(source, index, work);
    try {
      const contents = await completeLayer({ name: this.#nameOf(index), first, part, below, reread }, this.#job);
      return this.#publish(part, this.#names(index, below).over, contents, first.sha256);
    } finally {
      await this.#job.workspace.removePart(part);
    }
  }

  #publish(part: string, as: RecordedLayer, contents: Contents & Pick<Made, 'ownAt'>, packed: string): Ensured {
    const layer = { ...as, ...ownersOf(contents, this.#job.options.limits.owners) };
    const made = { ...contents, packed };
    publishLayer(part, layer, made, this.#job);
    return { layer, made };
  }

  #tell(index: number, read: number, total: number, state: 'there' | 'done'): void {
    const layer = { number: index + 1, of: this.#sources.length, state };
    this.#job.options.onProgress?.({ read, total, layer });
  }

  #nameOf(index: number): string {
    return `${this.#from.name} (layer ${index + 1})`;
  }

  /** Opens the layer for `work`. What went wrong on its way here is told rather than what came of that. */
  async #withInput<T>(
    source: LayerSource,
    index: number,
    work: (archive: Archived) => Promise<T>,
    seen: { hadPartial: boolean } = { hadPartial: false },
  ): Promise<T> {
    const outer = this.#job.options.signal;
    const stop = linkedAbort(outer);
    const input = source === NO_LAYER ? emptyLayer() : this.#from.open(source, stop.signal);
    seen.hadPartial = input.hadPartial === true;
    const trouble: { error?: unknown } = {};
    const arrived = input.arrived?.catch((error: unknown) => {
      trouble.error = error;
      stop.abort(error);
    });
    try {
      const done = await work(this.#archived(input, index, stop.signal));
      await arrived;
      if ('error' in trouble) throw trouble.error;
      return done;
    } catch (error) {
      throw 'error' in trouble && outer?.aborted !== true ? trouble.error : error;
    } finally {
      input.close();
      await arrived;
      stop.release();
    }
  }

  #archived({ fd, part, size: total }: LayerInput, index: number, signal: AbortSignal): Archived {
    const { onProgress } = this.#job.options;
    const layer = { number: index + 1, of: this.#sources.length };
    const tell = (done: Pick<ImportProgress, 'read' | 'entries'>): void => onProgress?.({ ...done, total, layer });
    return { fd, name: this.#nameOf(index), part, signal, ...(onProgress === undefined ? {} : { onRead: tell }) };
  }
}

/** The layer, if the store has it. If files of it were changed to root's, it must be the one for the same owners. */
function findLayer(layer: RecordedLayer, job: Job): Ensured | undefined {
  const squashed = { ...layer, ...ownersOf({ squashed: 1 }, job.options.limits.owners) };
  for (const each of [layer, squashed]) {
    const made = readMade(placeOf(each, job));
    if (made !== undefined) return { layer: each, made };
  }
  return undefined;
}

/** Whether the store has the layer over some list of other layers. */
function isKeptOverOthers({ diffId }: LayerSource, job: Job): boolean {
  try {
    const folder = dirname(dirname(placeOf({ digest: diffId, form: formOf(job) }, job)));
    return readdirSync(folder).some((name) => name.startsWith(`${diffId}.over-`));
  } catch {
    return false;
  }
}

interface PromiseWithResolver<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

function resolvable<T>(): PromiseWithResolver<T> {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const promise = new Promise<T>((take, refuse) => {
    resolve = take;
    reject = refuse;
  });
  return { promise, resolve, reject };
}
