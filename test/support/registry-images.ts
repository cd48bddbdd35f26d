/** Images in a registry of the tests: made in memory, and put there as builders would. */
import { gzipSync } from 'node:zlib';
import type { TestImage } from './image-archives.ts';
import { putBlob, putManifest, sha256, type TestRegistry } from './registry.ts';

export const OCI = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
} as const;

export interface Pushed {
  /** `sha256:…` of the manifest. */
  readonly digest: string;
  /** 64 hex digits: sha256 of the configuration. */
  readonly id: string;
  /** `sha256:…` of the layers as they are packed, from the lowest to the highest. */
  readonly layers: readonly string[];
  /** As an index names it. */
  readonly descriptor: { readonly mediaType: string; readonly digest: string; readonly size: number };
}

export interface PushOptions {
  readonly pack?: (layer: Buffer, index: number) => Buffer;
  /** The media type of a layer. */
  readonly typeOf?: (index: number) => string;
  readonly platform?: { readonly architecture: string; readonly variant?: string };
}

/** Puts an image there; without a tag it can be had by its digest alone. */
export async function pushImage(
  registry: Pick<TestRegistry, 'url'>,
  repository: string,
  tag: string | undefined,
  image: TestImage,
  options: PushOptions = {},
): Promise<Pushed> {
  const { pack = (layer) => gzipSync(layer, { level: 1 }), typeOf = () => `${OCI.layer}+gzip` } = options;
  const { platform = { architecture: process.arch === 'arm64' ? 'arm64' : 'amd64' } } = options;
  const config = Buffer.from(
    JSON.stringify({
      os: 'linux',
      ...platform,
      config: image.config ?? {},
      rootfs: { type: 'layers', diff_ids: image.layers.map(sha256) },
    }),
  );
  await putBlob(registry, repository, config);
  const layers = [];
  for (const [index, layer] of image.layers.entries()) {
    const packed = pack(layer, index);
    layers.push({ mediaType: typeOf(index), digest: sha256(packed), size: packed.length });
    await putBlob(registry, repository, packed);
  }
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI.manifest,
      config: { mediaType: OCI.config, digest: sha256(config), size: config.length },
      layers,
    }),
  );
  const digest = await putManifest(registry, repository, tag ?? sha256(bytes), bytes);
  return {
    digest,
    id: sha256(config).slice('sha256:'.length),
    layers: layers.map((layer) => layer.digest),
    descriptor: { mediaType: OCI.manifest, digest, size: bytes.length },
  };
}

/** Puts an index there. Returns its digest. */
export function pushIndex(
  registry: Pick<TestRegistry, 'url'>,
  repository: string,
  tag: string,
  manifests: readonly object[],
): Promise<string> {
  return putManifest(registry, repository, tag, { schemaVersion: 2, mediaType: OCI.index, manifests } as never);
}
