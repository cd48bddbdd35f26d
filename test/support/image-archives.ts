/** Images in layers, as `docker save` and as OCI tools write them. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { archive, type Fixture } from '../unit/image/archive-fixture.ts';

export interface TestImage {
  /** Tars, from the lowest to the highest. */
  readonly layers: readonly Buffer[];
  /** `Cmd`, `Env` and so on, in the configuration's own words. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly names?: readonly string[];
}

const digest = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

function configOf({ layers, config = {} }: TestImage): Buffer {
  const diffIds = layers.map((layer) => `sha256:${digest(layer)}`);
  return json({ architecture: 'amd64', os: 'linux', config, rootfs: { type: 'layers', diff_ids: diffIds } });
}

/** The image's id. */
export const idOf = (image: TestImage): string => digest(configOf(image));

/** What `docker save` of old writes: manifest.json, and a folder for each layer. */
export function dockerArchive(...images: readonly TestImage[]): Buffer {
  const files = new Map<string, Buffer>();
  const manifest = images.map((image) => {
    const config = configOf(image);
    files.set(`${digest(config)}.json`, config);
    const layers = image.layers.map((layer) => {
      const path = `${digest(layer).slice(0, 60)}/layer.tar`;
      files.set(path, layer);
      return path;
    });
    return { Config: `${digest(config)}.json`, RepoTags: image.names ?? null, Layers: layers };
  });
  files.set('manifest.json', json(manifest));
  return archive(...[...files].map(([name, data]): Fixture => ({ name, data })));
}

/** The files of an OCI image layout, by their paths. `pack` compresses layers. */
function layoutFiles(image: TestImage, pack: (layer: Buffer) => Buffer): ReadonlyMap<string, Buffer> {
  const files = new Map<string, Buffer>([['oci-layout', json({ imageLayoutVersion: '1.0.0' })]]);
  const blob = (data: Buffer, mediaType: string): object => {
    files.set(`blobs/sha256/${digest(data)}`, data);
    return { mediaType, digest: `sha256:${digest(data)}`, size: data.length };
  };
  const manifest = {
    schemaVersion: 2,
    config: blob(configOf(image), 'application/vnd.oci.image.config.v1+json'),
    layers: image.layers.map((layer) => blob(pack(layer), 'application/vnd.oci.image.layer.v1.tar+gzip')),
  };
  const [name] = image.names ?? [];
  const annotations = name === undefined ? {} : { annotations: { 'org.opencontainers.image.ref.name': name } };
  const entry = { ...blob(json(manifest), 'application/vnd.oci.image.manifest.v1+json'), ...annotations };
  files.set('index.json', json({ schemaVersion: 2, manifests: [entry] }));
  return files;
}

export function ociFolder(folder: string, image: TestImage, pack: (layer: Buffer) => Buffer): void {
  mkdirSync(join(folder, 'blobs/sha256'), { recursive: true });
  for (const [path, data] of layoutFiles(image, pack)) writeFileSync(join(folder, path), data);
}

export const ociArchive = (image: TestImage, pack: (layer: Buffer) => Buffer): Buffer =>
  archive(...[...layoutFiles(image, pack)].map(([name, data]): Fixture => ({ name, data })));
