/** Pulls an image from a registry into the store. After a failure the store has no image of it. */
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { withLock } from '../files/locks.ts';
import type { HostFacts } from '../host/facts.ts';
import { treeOwnership, type ImageFacts, type Ownership } from '../model/image.ts';
import { openRegistries, type RegistryAccess } from '../registry/access.ts';
import type { Descriptor, Document, Events, RegistryReader } from '../registry/protocol.ts';
import { writeReference, type Reference } from '../registry/reference.ts';
import type { ImageSource } from '../spec/spec.ts';
import { LIMIT_HINT } from '../worker/work.ts';
import { writeDocument } from './documents.ts';
import { isCode, mayMount, publish } from './import.ts';
import type { ImportOptions, Job } from './import-job.ts';
import { describeLayered } from './import-layered.ts';
import { feedLayer } from './layer-feed.ts';
import { emptyLayer, type LayerReader } from './layer-reader.ts';
import { findReference, fullName, writeName, type Pulled } from './names.ts';
import { approval, demandsOn, isAccepted } from './signed.ts';
import { sweepPartials } from './partial-layer.ts';
import { parsePlatform } from './platform.ts';
import { readFacts } from './records.ts';
import { describeRegistryImage, type RegistryImage } from './registry-image.ts';
import { openWorkspace } from './workspace.ts';

export type PullSource = ImageSource & { readonly kind: 'reference' };

export interface PullOptions {
  /** As `importOptions` of resolve.ts has them. */
  readonly wants: ImportOptions;
  readonly ownership: Ownership | undefined;
  readonly host: HostFacts;
  /** Takes exactly what was pulled by this name before, for other ids. */
  readonly exactly?: Pulled;
  readonly onRetry?: (why: string, delay: number) => void;
  /** Something that a person should know of the configuration. */
  readonly onWarning?: (message: string) => void;
  /** By default what the person's configuration says. */
  readonly registries?: RegistryAccess;
}

export interface PulledImage {
  readonly image: ImageFacts;
  /** In full, with its tag. */
  readonly reference: string;
  /** `sha256:…` of what the reference leads to: an index, or the manifest. */
  readonly digest: string;
  /** Nothing of the image was fetched: the store had it. */
  readonly wasThere: boolean;
}

/** The caller has given it up. What was complete stays for the next pull. */
export class PullInterrupted extends BoxctlError {
  constructor(cause: unknown) {
    super('E_IMAGE_WORK', 'The work on the image was given up', { cause });
  }
}

/** As many layers at once. */
const AT_ONCE = 3;

/**
 * The caller holds the lock of the source, and has prepared the store.
 *
 * Throws BoxctlError: `E_REGISTRY_…`, `E_SIGNATURE_…`, `E_IMAGE_NOT_ACCEPTED`, `E_PULL_FORMAT`, `E_IMAGE_PLATFORM`, `E_IMAGE_BAD_ARCHIVE`, `E_IMAGE_DIGEST`,
 * `E_IMAGE_TOO_LARGE`, `E_IMAGE_STORE`, `E_IMAGE_WORK`.
 */
export async function pullImage(source: PullSource, options: PullOptions): Promise<PulledImage> {
  const registries = options.registries ?? openRegistries(options.onWarning);
  try {
    return await pullThrough(registries, source, options);
  } catch (cause) {
    if (options.wants.signal?.aborted === true) throw new PullInterrupted(cause);
    throw cause;
  } finally {
    await registries.close();
  }
}

async function pullThrough(registries: RegistryAccess, source: PullSource, options: PullOptions): Promise<PulledImage> {
  const { host, ownership, wants, exactly, onRetry } = options;
  const { store } = host.dirs;
  const { client } = registries;
  const { signal } = wants;
  const events = {
    ...(signal === undefined ? {} : { signal }),
    ...(onRetry === undefined ? {} : { onRetry }),
  };
  const { references } = registries.candidates(source.name);
  const named = findReference(store, source.name, source.platform, source.verify !== undefined);
  const isKnown = named?.pulled?.platform === source.platform && named?.pulled !== undefined;
  const known = isKnown && isAccepted(named, source.verify) ? named : undefined;
  const same = exactly === undefined ? await unchanged(client, references, known?.pulled, events) : undefined;
  if (same !== undefined && known?.pulled !== undefined) {
    const image = readFacts(known.digest, ownership, host, wants.limits);
    if (image !== undefined) {
      writeName(store, known.name, known.digest, { ...known.pulled, checked: Date.now() });
      return { image, reference: known.name, digest: same, wasThere: true };
    }
  }
  const { reference, top } = await findFirst(
    client,
    references.map((each) => pinned(each, exactly)),
    (each) => demandsOn(each, source.verify),
    events,
  );
  const signed: string[] = [];
  const platform = source.platform === undefined ? undefined : parsePlatform(source.platform);
  const approve = approval(client, reference, source, events, signed);
  const found = await describeRegistryImage(client, reference, top, { host, platform }, events, approve);
  checkSizes(writeReference(reference), found.layers, wants);
  const present = readFacts(found.image.id, ownership, host, wants.limits);
  const image = present ?? (await bringIn(client, reference, found, options));
  const asked =
    exactly === undefined ? reference : { ...reference, tag: references[0]?.tag, digest: references[0]?.digest };
  await nameImage(store, writeReference(asked), found, source.platform, signed);
  return { image, reference: writeReference(asked), digest: top.digest, wasThere: present !== undefined };
}

const pinned = (reference: Reference, exactly: Pulled | undefined): Reference =>
  exactly === undefined ? reference : { ...reference, digest: `sha256:${exactly.index ?? exactly.manifest}` };

/** The digest of what the reference leads to, where that is what was pulled before. */
async function unchanged(
  client: Pick<RegistryReader, 'resolve'>,
  references: readonly Reference[],
  pulled: Pulled | undefined,
  events: Events,
): Promise<string | undefined> {
  const [reference, ...more] = references;
  // Of several, one that comes first may have the image by now.
  if (pulled === undefined || reference === undefined || more.length > 0) return undefined;
  const now = reference.digest ?? (await client.resolve(reference, events))?.digest;
  return now === `sha256:${pulled.index ?? pulled.manifest}` ? now : undefined;
}

/**
 * The first of the references that its registry has. Every other answer than "there is none" ends the search. `judge` throws
 * for one that must not be asked for.
 */
export async function findFirst(
  client: Pick<RegistryReader, 'manifest'>,
  references: readonly Reference[],
  judge: (reference: Reference) => void,
  events: Events,
): Promise<{ readonly reference: Reference; readonly top: Document }> {
  const missing: BoxctlError[] = [];
  for (const reference of references) {
    judge(reference);
    try {
      return { reference, top: await client.manifest(reference, events) };
    } catch (error) {
      if (!(error instanceof BoxctlError) || error.code !== 'E_REGISTRY_NOT_FOUND') throw error;
      missing.push(error);
    }
  }
  const [first, ...more] = missing;
  if (first === undefined) throw new Error('a name that means nothing');
  if (more.length === 0) throw first;
  throw new BoxctlError('E_REGISTRY_NOT_FOUND', missing.map(({ message }) => message).join('; '), {
    hint: first.hint ?? 'write the reference in full',
    cause: first,
  });
}

/** The tars of layers have headers beside the files, and what cannot be compressed becomes a little larger. */
const MAX_OVERHEAD = 1 << 30;

/** Throws `E_IMAGE_TOO_LARGE` before anything is fetched of an image whose layers are too large even as they are packed. */
function checkSizes(name: string, layers: readonly Descriptor[], { limits }: ImportOptions): void {
  const sum = layers.reduce((total, { size }) => total + size, 0);
  if (sum <= 2 * limits.maxBytes + MAX_OVERHEAD) return;
  throw new BoxctlError(
    'E_IMAGE_TOO_LARGE',
    `The image ${name} has layers of ${sum} bytes, and it may have ${limits.maxBytes} bytes of files`,
    {
      hint: LIMIT_HINT,
    },
  );
}

async function bringIn(
  client: Pick<RegistryReader, 'blob'>,
  reference: Reference,
  { image, layers }: RegistryImage,
  { host, ownership, wants, onRetry }: PullOptions,
): Promise<ImageFacts> {
  const { store } = host.dirs;
  sweepPartials(store, false);
  const byDigest = new Map(layers.map((layer) => [layer.digest, layer]));
  const from: LayerReader = {
    name: writeReference(reference),
    atOnce: AT_ONCE,
    isChecked: false,
    open({ path }, signal) {
      const layer = byDigest.get(path);
      if (layer === undefined || layer.size === 0) return emptyLayer();
      return feedLayer({ client, of: reference, layer, store, onRetry }, signal);
    },
  };
  const workspace = await openWorkspace(treeOwnership(ownership), host);
  try {
    const job: Job = { host, options: wants, workspace, mounts: mayMount(host, wants) };
    const record = await describeEither(from, image, job);
    return publish(record, job);
  } finally {
    await workspace.close();
  }
}

/** Where the kernel cannot mount what is there, all of it is unpacked. */
async function describeEither(
  from: LayerReader,
  image: RegistryImage['image'],
  job: Job,
): ReturnType<typeof describeLayered> {
  try {
    return await describeLayered(from, image, from.name, job);
  } catch (error) {
    if (!job.mounts || !isCode(error, 'E_IMAGE_WORK')) throw error;
    job.options.signal?.throwIfAborted();
    return describeLayered(from, image, from.name, { ...job, mounts: false });
  }
}

/** Gives the image the name by which it was pulled, and keeps what describes it. */
function nameImage(
  store: string,
  reference: string,
  { image, manifest, index }: RegistryImage,
  platform: string | undefined,
  signed: readonly string[],
): Promise<void> {
  // Under the store's lock no document is removed before the name is there.
  return withLock(join(store, 'lock'), async () => {
    writeDocument(store, image.documents.config);
    const pulled: Pulled = {
      manifest: writeDocument(store, manifest.bytes),
      ...(index === undefined ? {} : { index: writeDocument(store, index.bytes) }),
      ...(platform === undefined ? {} : { platform }),
      checked: Date.now(),
      ...(signed.length === 0 ? {} : { signed }),
    };
    writeName(store, fullName(reference), image.id, pulled);
  });
}
