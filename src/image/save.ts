/** Writes images of the store as an archive: that of `docker save`, or an OCI image layout. */
import type { HostFacts } from '../host/facts.ts';
import { sha256 } from '../native.ts';
import { ArchiveWriter } from './archive-writer.ts';
import { configFor, openImage, type ExportedImage } from './export.ts';
import { json, MEDIA, newManifest } from './image-documents.ts';
import { layerBlob, type ExportHooks, type ExportJob, type LayerBlob, type Packing } from './layer-blobs.ts';
import { platformOf } from './platform.ts';
import { prepareStore } from './store.ts';
import { openWorkspace } from './workspace.ts';

export type SaveFormat = 'docker' | 'oci';

export interface SavedImage {
  /** Of the image's record. */
  readonly digest: string;
  /** For messages. */
  readonly name: string;
  /** Names that the archive gives to it, in full. */
  readonly tags: readonly string[];
}

export interface SaveOptions extends ExportHooks {
  readonly format: SaveFormat;
  readonly packing: Packing;
  /** SOURCE_DATE_EPOCH of the caller. */
  readonly epoch?: string | undefined;
}

/**
 * Writes the images to the descriptor `output`, called `name` in messages. The same images give the same bytes. Throws
 * `E_IMAGE_STORE`, `E_IMAGE_CHANGED`, `E_IMAGE_UNWRITABLE`, `E_IMAGE_WORK`.
 */
export async function saveImages(
  images: readonly SavedImage[],
  output: { readonly fd: number; readonly name: string },
  options: SaveOptions,
  host: HostFacts,
): Promise<void> {
  const { format, packing, epoch, onProgress, signal } = options;
  prepareStore(host.dirs.store);
  const workspace = await openWorkspace(undefined, host);
  try {
    const job: ExportJob = { host, workspace, packing, onProgress, signal };
    const archive = new ArchiveWriter(output.fd, output.name, signal);
    await (format === 'docker' ? saveDocker : saveLayout)(images, archive, epoch, job);
    await archive.end();
  } finally {
    await workspace.close();
  }
}

interface Written {
  readonly config: Buffer;
  readonly layers: readonly Omit<LayerBlob, 'fd' | 'offset' | 'close'>[];
}

/** Writes the layers of an image as members. Returns what there is to say of them. */
async function writeLayers(
  image: SavedImage,
  archive: ArchiveWriter,
  place: (blob: LayerBlob) => string,
  epoch: string | undefined,
  job: ExportJob,
): Promise<Written> {
  const exported: ExportedImage = openImage(image.digest, image.name, job.host);
  try {
    const layers: LayerBlob[] = [];
    for (const [index, layer] of exported.layers.entries()) {
      const number = { number: index + 1, of: exported.layers.length };
      const blob = await layerBlob(layer, image.name, number, job);
      try {
        await archive.file(place(blob), blob);
      } finally {
        blob.close();
      }
      layers.push(blob);
    }
    return { config: configFor(exported, layers, job.host, epoch).bytes, layers };
  } finally {
    exported.close();
  }
}

/** As `docker save` wrote it until version 24: what docker of any version, podman and skopeo read. */
async function saveDocker(
  images: readonly SavedImage[],
  archive: ArchiveWriter,
  epoch: string | undefined,
  job: ExportJob,
): Promise<void> {
  const suffix = { none: '', gzip: '.gz', zstd: '.zst' }[job.packing.compression];
  const place = ({ diffId }: { readonly diffId: string }): string => `${diffId}.tar${suffix}`;
  const manifest: object[] = [];
  for (const image of merged(images)) {
    const { config, layers } = await writeLayers(image, archive, place, epoch, job);
    const path = `${sha256(config)}.json`;
    await archive.text(path, config);
    const tags = image.tags.length === 0 ? null : image.tags;
    manifest.push({ Config: path, RepoTags: tags, Layers: layers.map(place) });
  }
  await archive.text('manifest.json', json(manifest));
}

async function saveLayout(
  images: readonly SavedImage[],
  archive: ArchiveWriter,
  epoch: string | undefined,
  job: ExportJob,
): Promise<void> {
  const blobPath = (digest: string): string => `blobs/sha256/${digest}`;
  await archive.text('oci-layout', json({ imageLayoutVersion: '1.0.0' }));
  const manifests: object[] = [];
  for (const image of merged(images)) {
    const { config, layers } = await writeLayers(image, archive, ({ digest }) => blobPath(digest), epoch, job);
    const described = { digest: `sha256:${sha256(config)}`, size: config.length };
    await archive.text(blobPath(sha256(config)), config);
    const manifest = newManifest(
      described,
      layers.map((layer) => ({ ...layer, digest: `sha256:${layer.digest}` })),
    );
    await archive.text(blobPath(sha256(manifest)), manifest);
    const entry = {
      mediaType: MEDIA.manifest,
      digest: `sha256:${sha256(manifest)}`,
      size: manifest.length,
      ...platformEntry(config),
    };
    const names = image.tags.length === 0 ? [undefined] : image.tags;
    for (const name of names) manifests.push({ ...entry, ...annotated(name) });
  }
  await archive.text('index.json', json({ schemaVersion: 2, mediaType: MEDIA.index, manifests }));
}

/** What an index says of an image's platform. */
export function platformEntry(config: Buffer): { readonly platform?: object } {
  const found = platformOf(JSON.parse(config.toString('utf8')) as Readonly<Record<string, unknown>>);
  if (found === undefined) return {};
  const { os, architecture, variant } = found;
  return { platform: { architecture, os, ...(variant === '' ? {} : { variant }) } };
}

/** The name as podman and skopeo look for it, and as containerd does. */
const annotated = (name: string | undefined): object =>
  name === undefined
    ? {}
    : { annotations: { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': name } };

/** One image under several names is one image. */
function merged(images: readonly SavedImage[]): readonly SavedImage[] {
  const byDigest = new Map<string, SavedImage>();
  for (const image of images) {
    const before = byDigest.get(image.digest);
    const tags = [...new Set([...(before?.tags ?? []), ...image.tags])];
    byDigest.set(image.digest, { ...(before ?? image), tags });
  }
  return [...byDigest.values()];
}
