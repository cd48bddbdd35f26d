/**
 * What a container file names, as it is now: what a lock of it would say. Archives are read as a whole, and programs of the host
 * are collected as packing does it, which runs their loaders: the file's demands must have been judged.
 */
import { createHash } from 'node:crypto';
import { closeSync, createReadStream, fstatSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { BoxctlError } from '../errors.ts';
import { openUnlinkedFile, whyNot } from '../files/read.ts';
import type { HostFacts } from '../host/facts.ts';
import { collectTools } from '../image/collect.ts';
import { findDigest, findReference } from '../image/names.ts';
import { packCollection } from '../image/pack.ts';
import { noSuchImage } from '../image/resolve.ts';
import { isSecret } from '../model/secrets.ts';
import { pathOfFile, type SpecPath } from '../spec/spec-path.ts';
import type { ImageSource, SpecDocument } from '../spec/spec.ts';
import { isDigestStart } from '../text/image-name.ts';
import { fileEntries, lockedPath } from './entries.ts';
import { sortedTools } from './fit.ts';
import type { Lock, LockedImage } from './lock.ts';

export interface MeasureOptions {
  readonly host: HostFacts;
  /** A value of PATH, in which `host_tools` are looked up. */
  readonly path: string;
  /** What a reference that is no local name leads to. */
  readonly reference: (image: ReferenceSource) => Promise<LockedImage | undefined>;
}

export type ReferenceSource = ImageSource & { readonly kind: 'reference' };

/** The digest of a whole file, whose path was judged and has no links. */
export async function digestOfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    const fd = openUnlinkedFile(path);
    if (!fstatSync(fd).isFile()) {
      closeSync(fd);
      throw new BoxctlError('E_IMAGE_UNREADABLE', `${path} is no regular file`);
    }
    for await (const chunk of createReadStream('', { fd, highWaterMark: 1 << 20 })) {
      if (Buffer.isBuffer(chunk)) hash.update(chunk);
    }
  } catch (cause) {
    if (cause instanceof BoxctlError) throw cause;
    throw new BoxctlError('E_IMAGE_UNREADABLE', `${path} cannot be read: ${whyNot(cause).problem}`, { cause });
  }
  return `sha256:${hash.digest('hex')}`;
}

async function measureTools(tools: readonly string[], path: string): Promise<LockedImage> {
  const collection = collectTools(tools, path);
  const hash = createHash('sha256');
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done();
    },
  });
  await packCollection(collection, output);
  const files = new Map<string, string>();
  for (const [file, item] of collection.items) {
    if (item.type === 'copy') files.set(file, await digestOfFile(file));
  }
  return { kind: 'host_tools', tools: sortedTools(tools), packed: `sha256:${hash.digest('hex')}`, files };
}

async function measureImage(
  image: ImageSource,
  { folder }: SpecDocument,
  { host, path, reference }: MeasureOptions,
): Promise<LockedImage | undefined> {
  switch (image.kind) {
    case 'tar': {
      const isLayout = statSync(image.path, { throwIfNoEntry: false })?.isDirectory() === true;
      const digest = await digestOfFile(isLayout ? join(image.path, 'index.json') : image.path);
      return { kind: 'tar', tar: lockedPath(image.path, folder), digest };
    }
    case 'host_tools':
      return measureTools(image.tools, path);
    case 'reference': {
      const { store } = host.dirs;
      const named = findReference(store, image.name, image.platform);
      const digest =
        isDigestStart(image.name) || named?.pulled === undefined ? findDigest(store, image.name) : undefined;
      if (digest !== undefined) return { kind: 'stored', ref: image.name, digest: `sha256:${digest}` };
      if (isDigestStart(image.name)) throw noSuchImage(store, image.name);
      return reference(image);
    }
    case 'folder':
      return undefined;
  }
}

/** The values that a lock is made from, and that it writes down in part: names of files, and of the image. */
const WRITTEN = /^(?:image|env_file|seccomp)(?:\.|$)/u;

/** Throws E_LOCK_SECRET where the lock would have a value of the caller's environment that sounds secret. */
function refuseSecrets({ taken, where, written }: SpecDocument): void {
  // What the lines of an env_file take is of the same path, and is not written down.
  const found = taken.find(
    ({ name, path, value }) => WRITTEN.test(path) && isSecret(name, value) && written?.(path)?.includes(name) === true,
  );
  if (found === undefined) return;
  const path: SpecPath = pathOfFile(found.path);
  const at = where(path);
  throw new BoxctlError(
    'E_LOCK_SECRET',
    `a lock would have the value of your variable ${found.name}, which sounds secret`,
    {
      hint: 'a lock names images and files: take them from another variable, or write them into the file',
      ...(at === undefined ? {} : { at }),
    },
  );
}

/** @throws BoxctlError E_LOCK_SECRET, and where something cannot be read */
export async function measure(document: SpecDocument, options: MeasureOptions): Promise<Lock> {
  refuseSecrets(document);
  const { image } = document.spec;
  return {
    image: image === undefined ? undefined : await measureImage(image, document, options),
    files: new Map(
      fileEntries(document).flatMap(({ path, digest }) => (digest === undefined ? [] : [[path, digest] as const])),
    ),
  };
}
