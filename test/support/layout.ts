/** Images in layers: OCI image layouts of given tars, and what comes of them under an overlay. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageFacts } from '../../src/model/image.ts';
import { inNamespace } from './erofs.ts';

export const sha256 = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex');

export interface LayoutOptions {
  /** In place of the layers' own digests. */
  readonly diffIds?: readonly string[];
  /** How each layer is stored. */
  readonly pack?: (layer: Buffer) => Buffer;
  readonly config?: Readonly<Record<string, unknown>>;
}

/** Writes a layout of one image, named `image`, whose layers are these tars, the lowest first. */
export function writeLayout(folder: string, layers: readonly Buffer[], options: LayoutOptions = {}): void {
  const { diffIds = layers.map(sha256), pack = (layer) => layer, config = {} } = options;
  mkdirSync(join(folder, 'blobs/sha256'), { recursive: true });
  const blob = (data: Buffer | string, mediaType: string) => {
    const digest = sha256(data);
    writeFileSync(join(folder, 'blobs/sha256', digest), data);
    return { mediaType, digest: `sha256:${digest}`, size: Buffer.from(data).length };
  };
  const type = (name: string): string => `application/vnd.oci.image.${name}`;
  const arch = process.arch === 'x64' ? 'amd64' : 'arm64';
  const described = {
    architecture: arch,
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: diffIds.map((hex) => `sha256:${hex}`) },
  };
  const stored = layers.map((layer) => {
    const data = pack(layer);
    return blob(data, type(data === layer ? 'layer.v1.tar' : 'layer.v1.tar+gzip'));
  });
  const manifest = {
    schemaVersion: 2,
    mediaType: type('manifest.v1+json'),
    config: blob(JSON.stringify(described), type('config.v1+json')),
    layers: stored,
  };
  const entry = {
    ...blob(JSON.stringify(manifest), manifest.mediaType),
    annotations: { 'org.opencontainers.image.ref.name': 'image' },
  };
  writeFileSync(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
  writeFileSync(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
}

/** A line for each file of an image under an overlay of its layers, as a container has it. */
export function mergedTree(image: Pick<ImageFacts, 'layers'>, base: string): readonly string[] {
  const at = mkdtempSync(join(base, 'merged-'));
  const mounts = image.layers.map((layer, number) =>
    layer.kind === 'erofs'
      ? `"$ERO" mount "${layer.index}" "${layer.data}" ${number}`
      : `mount --bind "${layer.path}" ${number}`,
  );
  const lower = image.layers.map((_, number) => number).toReversed();
  const script = `
    mount -t tmpfs none .
    cd "$PWD"
    mkdir ${lower.join(' ')} upper work root
    ${mounts.join('\n')}
    mount -t overlay -o userxattr,lowerdir=${lower.join(':')},upperdir=upper,workdir=work none root
    "$ERO" snapshot root`;
  try {
    return inNamespace(script, at).trimEnd().split('\n');
  } finally {
    rmSync(at, { recursive: true });
  }
}

/** A line for each file of a folder. */
export const treeOf = (folder: string): readonly string[] =>
  inNamespace('"$ERO" snapshot .', folder).trimEnd().split('\n');

/** What overlay itself makes of folders is not the image's: how many links they have, and how the root looks. */
export const comparable = (tree: readonly string[]): readonly string[] =>
  tree
    .filter((line) => !line.startsWith('. '))
    .map((line) => (/^\S+ 04/u.test(line) ? line.replace(/ links=\d+/u, '') : line))
    .toSorted();
