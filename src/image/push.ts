/** Puts images of the store into a registry. */
import { read } from 'node:fs';
import { promisify } from 'node:util';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { sha256 } from '../native.ts';
import type { Events, RegistryClient } from '../registry/protocol.ts';
import { writeReference, type Reference } from '../registry/reference.ts';
import { isRecord } from '../text/json.ts';
import { readDocument } from './documents.ts';
import { configFor, openImage, type ExportedImage, type ExportedLayer, type LayerFacts } from './export.ts';
import { compressionOf, json, MEDIA, newManifest } from './image-documents.ts';
import type { ImportProgress } from './import-job.ts';
import {
  knownBlobs,
  manifestLayers,
  noteBlob,
  originsOf,
  placesOf,
  type Blob,
  type KnownBlob,
  type Origins,
  type Place,
} from './known-blobs.ts';
import { layerBlob, type ExportHooks, type ExportJob, type LayerBlob, type Packing } from './layer-blobs.ts';
import { platformEntry, type SavedImage } from './save.ts';
import { prepareStore } from './store.ts';
import { openWorkspace } from './workspace.ts';

const reading = promisify(read);
const PIECE = 1 << 20;
const PLAIN: Packing = { compression: 'none', level: 0 };
const USUAL: Packing = { compression: 'gzip', level: 0 };

export interface PushOptions extends ExportHooks {
  /** As a person asked for it; undefined: whatever the registry has, and else gzip. */
  readonly packing?: Packing | undefined;
  readonly epoch?: string | undefined;
  readonly onRetry?: Events['onRetry'];
}

export interface Pushed {
  /** `sha256:…` of the manifest, or of the index. */
  readonly digest: string;
  /** Blobs, and bytes of them, that were sent; those that were already there, or were mounted, count as such. */
  readonly sent: number;
  readonly sentBytes: number;
  readonly present: number;
  readonly mounted: number;
}

export type PushedImage = Pick<SavedImage, 'digest' | 'name'>;

/**
 * Pushes an image to a reference with a tag; or several, with an index of them under the tag. An image that was pulled keeps
 * its manifest, byte for byte, where the registry has, or can mount, its blobs.
 */
export async function pushImages(
  images: readonly PushedImage[],
  to: Reference,
  client: RegistryClient,
  options: PushOptions,
  host: HostFacts,
): Promise<Pushed> {
  prepareStore(host.dirs.store);
  const workspace = await openWorkspace(undefined, host);
  try {
    const { onProgress, signal } = options;
    const job = { host, workspace, packing: options.packing ?? USUAL, onProgress, signal };
    const push = new Push(to, client, options, job);
    const [only, ...more] = images;
    if (only !== undefined && more.length === 0) {
      const { bytes, mediaType } = await push.image(only);
      return push.done(await push.manifest(to, bytes, mediaType));
    }
    return push.done(await push.index(images));
  } finally {
    await workspace.close();
  }
}

interface Manifest {
  readonly bytes: Buffer;
  readonly mediaType: string;
  readonly platform: ReturnType<typeof platformEntry>;
}

type Presence = 'present' | 'mounted' | 'missing';

class Push {
  readonly #to: Reference;
  readonly #client: RegistryClient;
  readonly #options: PushOptions;
  readonly #job: ExportJob;
  readonly #events: Events;
  readonly #origins: Origins;
  /** What is known of the target's blobs. */
  readonly #presence = new Map<string, Promise<Presence>>();
  readonly #sent = new Set<string>();
  #sentBytes = 0;

  constructor(to: Reference, client: RegistryClient, options: PushOptions, job: ExportJob) {
    this.#to = to;
    this.#client = client;
    this.#options = options;
    this.#job = job;
    const { signal, onRetry } = options;
    this.#events = { ...(signal === undefined ? {} : { signal }), ...(onRetry === undefined ? {} : { onRetry }) };
    this.#origins = originsOf(job.host.dirs.store);
  }

  async done(digest: string): Promise<Pushed> {
    const all = await Promise.all(this.#presence.values());
    const count = (what: Presence): number => all.filter((one) => one === what).length;
    const counts = { present: count('present'), mounted: count('mounted') };
    return { digest, sent: this.#sent.size, sentBytes: this.#sentBytes, ...counts };
  }

  manifest(to: Reference, bytes: Buffer, mediaType: string): Promise<string> {
    return this.#client.putManifest(to, { bytes, mediaType }, this.#events);
  }

  /** Everything of an image but its manifest, which is returned. */
  async image(image: PushedImage): Promise<Manifest> {
    const exported = openImage(image.digest, image.name, this.#job.host);
    try {
      return (await this.#asItCame(exported, image.name)) ?? (await this.#anew(exported, image.name));
    } finally {
      exported.close();
    }
  }

  async index(images: readonly PushedImage[]): Promise<string> {
    const entries: object[] = [];
    const platforms = new Set<string>();
    for (const image of images) {
      const { bytes, mediaType, platform } = await this.image(image);
      const key = JSON.stringify(platform);
      if (platforms.has(key)) {
        throw new BoxctlError('E_USAGE', `${image.name} is for the same platform as another one of the index`, {
          hint: 'an index has one image for each platform',
        });
      }
      platforms.add(key);
      const { registry, repository } = this.#to;
      const digest = `sha256:${sha256(bytes)}`;
      await this.manifest({ registry, repository, tag: undefined, digest }, bytes, mediaType);
      entries.push({ mediaType, digest, size: bytes.length, ...platform });
    }
    const index = json({ schemaVersion: 2, mediaType: MEDIA.index, manifests: entries });
    return this.manifest(this.#to, index, MEDIA.index);
  }

  /** The image with the manifest that it came with, if its blobs can be had. */
  async #asItCame(exported: ExportedImage, name: string): Promise<Manifest | undefined> {
    const { record, config } = exported;
    if (this.#options.packing !== undefined || record.manifest === undefined || config === undefined) return undefined;
    const bytes = readDocument(this.#job.host.dirs.store, record.manifest);
    const layers = bytes === undefined ? undefined : manifestLayers(bytes, record.digest);
    if (bytes === undefined || layers === undefined) return undefined;
    const found = await Promise.all(layers.map(({ digest }) => this.#find(digest, placesOf(digest, this.#origins))));
    for (const [index, blob] of layers.entries()) {
      const layer = exported.layers[index];
      const isSame = layers.length === exported.layers.length;
      const number = { number: index + 1, of: layers.length };
      if (found[index] === 'missing' && !(isSame && layer && (await this.#again(layer, blob, name, number)))) {
        return undefined;
      }
    }
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    const mediaType = isRecord(value) && typeof value['mediaType'] === 'string' ? value['mediaType'] : MEDIA.manifest;
    await this.#document(config);
    return { bytes, mediaType, platform: platformEntry(config) };
  }

  /** Sends the very blob that a layer came as, where the store can make it: a plain tar, or what boxctl has compressed. */
  async #again(
    layer: ExportedLayer,
    wanted: Blob,
    name: string,
    number: NonNullable<ImportProgress['layer']>,
  ): Promise<boolean> {
    const { digest } = wanted;
    if (layer.stored.kind === 'tree') return false;
    const noted = knownBlobs(layer.stored, layer.diffId, this.#origins, undefined);
    const isPlain = digest === `sha256:${layer.diffId}`;
    const packing = isPlain ? PLAIN : noted.find((blob) => blob.digest === digest)?.packing;
    if (packing === undefined) return false;
    const blob = await layerBlob(layer, name, number, { ...this.#job, packing });
    if (`sha256:${blob.digest}` === digest) {
      await this.#layer(layer, blob, number, packing);
      return true;
    }
    blob.close();
    return false;
  }

  /** The image with a manifest of our own. A layer is compressed while the one before is sent. */
  async #anew(exported: ExportedImage, name: string): Promise<Manifest> {
    const facts: LayerFacts[] = [];
    const blobs: Blob[] = [];
    let sending: Promise<void> = Promise.resolve();
    try {
      for (const [index, layer] of exported.layers.entries()) {
        const number = { number: index + 1, of: exported.layers.length };
        const known = await this.#findKnown(layer);
        if (known !== undefined) {
          facts.push(known.facts);
          blobs.push(asOci(known));
          continue;
        }
        const blob = await layerBlob(layer, name, number, this.#job);
        facts.push(blob);
        blobs.push({ mediaType: blob.mediaType, digest: `sha256:${blob.digest}`, size: blob.size });
        await sending;
        sending = this.#layer(layer, blob, number, this.#job.packing);
        // It is waited for later. Without this, a failure before that would be one that nobody has looked at.
        sending.catch(() => undefined);
      }
      await sending;
    } catch (error) {
      await sending.catch(() => undefined);
      throw error;
    }
    const { bytes, digest } = configFor(exported, facts, this.#job.host, this.#options.epoch);
    await this.#document(bytes);
    const manifest = newManifest({ digest: `sha256:${digest}`, size: bytes.length }, blobs);
    return { bytes: manifest, mediaType: MEDIA.manifest, platform: platformEntry(bytes) };
  }

  async #findKnown({ stored, diffId }: ExportedLayer): Promise<KnownBlob | undefined> {
    const all = knownBlobs(stored, diffId, this.#origins, this.#options.packing);
    // An earlier push by another compression has no part in what comes out now.
    const usual = all.filter(({ packing }) => packing === undefined || isSame(packing, this.#job.packing));
    for (const blob of usual) {
      if ((await this.#find(blob.digest, blob.places)) !== 'missing') return blob;
    }
    return undefined;
  }

  /** Whether the target has a blob, or can mount it from one of the places. */
  #find(digest: string, places: readonly Place[]): Promise<Presence> {
    const known = this.#presence.get(digest);
    if (known !== undefined) return known;
    const finding = this.#look(digest, places);
    this.#presence.set(digest, finding);
    return finding;
  }

  async #isMissing(digest: string): Promise<boolean> {
    return !this.#sent.has(digest) && (await this.#find(digest, [])) === 'missing';
  }

  async #look(digest: string, places: readonly Place[]): Promise<Presence> {
    if (await this.#client.hasBlob(this.#to, digest, this.#events)) return 'present';
    const { registry, repository } = this.#to;
    const near = places.filter((place) => place.registry === registry && place.repository !== repository);
    for (const from of new Set(near.map((place) => place.repository))) {
      if (await this.#client.mountBlob(this.#to, digest, from, this.#events)) return 'mounted';
    }
    return 'missing';
  }

  /** Sends the blob of a layer, unless it is there, and lets go of it. */
  async #layer(
    layer: ExportedLayer,
    blob: LayerBlob,
    number: NonNullable<ImportProgress['layer']>,
    packing: Packing,
  ): Promise<void> {
    const digest = `sha256:${blob.digest}`;
    const { registry, repository } = this.#to;
    try {
      if (await this.#isMissing(digest)) {
        const open = (offset: number): AsyncIterable<Uint8Array> =>
          contentOf(blob, offset, (done) =>
            this.#options.onProgress?.({ read: done, total: blob.size, layer: number }),
          );
        await this.#client.putBlob(this.#to, { digest, size: blob.size }, open, this.#events);
        this.#isSent(digest, blob.size);
      }
    } finally {
      blob.close();
    }
    const { mediaType, size } = blob;
    noteBlob(layer.stored, { mediaType, digest, size, facts: blob, packing, places: [{ registry, repository }] });
  }

  /** Sends a configuration, unless it is there. */
  async #document(bytes: Buffer): Promise<void> {
    const digest = `sha256:${sha256(bytes)}`;
    if (!(await this.#isMissing(digest))) return;
    const open = async function* (offset: number): AsyncGenerator<Uint8Array, void> {
      yield await Promise.resolve(bytes.subarray(offset));
    };
    await this.#client.putBlob(this.#to, { digest, size: bytes.length }, open, this.#events);
    this.#isSent(digest, bytes.length);
  }

  #isSent(digest: string, size: number): void {
    this.#sent.add(digest);
    this.#sentBytes += size;
  }
}

const isSame = (a: Packing, b: Packing): boolean => a.compression === b.compression && a.level === b.level;

/** A layer of docker's manifest in OCI's words. */
function asOci({ mediaType, digest, size }: Blob): Blob {
  const compression = compressionOf(mediaType);
  return { mediaType: compression === undefined ? mediaType : MEDIA.layer[compression], digest, size };
}

async function* contentOf(
  { fd, offset: start, size }: Pick<LayerBlob, 'fd' | 'offset' | 'size'>,
  from: number,
  onSent: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void> {
  for (let at = from; at < size;) {
    const buffer = Buffer.allocUnsafe(Math.min(PIECE, size - at));
    const { bytesRead } = await reading(fd, buffer, 0, buffer.length, start + at);
    if (bytesRead === 0) throw new BoxctlError('E_IMAGE_CHANGED', 'A layer became shorter while it was sent');
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
    onSent(at);
  }
}

export const describePushed = (to: Reference, { digest }: Pushed): string =>
  `${writeReference({ ...to, tag: to.tag, digest: undefined })}@${digest}`;
