/** Whether a container file and its lock fit, by what was read when the file was loaded: nothing else is opened here. */
import type { HostFacts } from '../host/facts.ts';
import { hostPlatform, platformName, rankOf, type Arch } from '../image/platform.ts';
import { fullReferences } from '../image/short-name-rules.ts';
import { inRegistry, parseReference, writeReference, type Reference } from '../registry/reference.ts';
import type { SpecPath } from '../spec/spec-path.ts';
import type { ImageSource, SpecDocument } from '../spec/spec.ts';
import { isProblem, parseImageName } from '../text/image-name.ts';
import { fileEntries, lockedPath } from './entries.ts';
import type { LockPart, LockedImage, LockedPlatform, LockedReference, ReadLock } from './lock.ts';

export interface Misfit {
  /**
   * `changed`: it is locked, and is another now. `unlocked`: the lock does not have it. `extra`: the file does not name it any
   * more. `unlockable`: no lock can have it.
   */
  readonly kind: 'changed' | 'unlocked' | 'extra' | 'unlockable';
  readonly path: SpecPath;
  /** A sentence without a full stop. */
  readonly message: string;
}

export interface Fit {
  /** What the image is to be taken from: the source of the file, with what the lock says of it. */
  readonly image: ImageSource | undefined;
  /** The digest that the image must have in the store, in hexadecimal, where the source does not say so itself. */
  readonly digest: string | undefined;
  readonly misfits: readonly Misfit[];
}

const place = ({ file, where }: ReadLock, part: LockPart): string => `${file}:${where(part)?.line ?? 1}`;

const hex = (digest: string): string => digest.slice('sha256:'.length);

export const sortedTools = (tools: readonly string[]): readonly string[] => [...new Set(tools)].toSorted();

/** What the image of a file is called in messages. */
export function nameOfImage(image: ImageSource | LockedImage): string {
  switch (image.kind) {
    case 'tar':
      return 'tar' in image ? image.tar : image.path;
    case 'folder':
      return image.path;
    case 'host_tools':
      return `host_tools ${sortedTools(image.tools).join(', ')}`;
    case 'reference':
      return 'ref' in image ? image.ref : image.name;
    case 'stored':
      return image.ref;
  }
}

/** Whether the lock is about this image. Its content is not looked at. */
export function isAbout(locked: LockedImage, image: ImageSource, folder: string): boolean {
  switch (image.kind) {
    case 'tar':
      return locked.kind === 'tar' && locked.tar === lockedPath(image.path, folder);
    case 'reference':
      return (locked.kind === 'reference' || locked.kind === 'stored') && locked.ref === image.name;
    case 'host_tools':
      return locked.kind === 'host_tools' && locked.tools.join('\0') === sortedTools(image.tools).join('\0');
    case 'folder':
      return false;
  }
}

/** What a fit depends on of the host. */
type Host = Pick<HostFacts, 'arch' | 'dirs'>;

type ImageFit = Pick<Fit, 'image' | 'digest'> & { readonly misfit?: Omit<Misfit, 'path'> };

function fitImage({ spec, folder }: SpecDocument, read: ReadLock, host: Host): ImageFit {
  const { image } = spec;
  const locked = read.lock.image;
  const at = place(read, { kind: 'image' });
  if (image === undefined) {
    const message = `${at} has the image ${locked === undefined ? '' : nameOfImage(locked)}, and the file has none`;
    return { image, digest: undefined, ...(locked === undefined ? {} : { misfit: { kind: 'extra', message } }) };
  }
  if (image.kind === 'folder') {
    const message = 'a folder cannot be locked: the container gets whatever it holds by then';
    return { image, digest: undefined, misfit: { kind: 'unlockable', message } };
  }
  if (locked === undefined || !isAbout(locked, image, folder)) {
    const other = locked === undefined ? `${read.file} has no image` : `${at} has ${nameOfImage(locked)}`;
    const name = image.kind === 'tar' ? lockedPath(image.path, folder) : nameOfImage(image);
    return {
      image,
      digest: undefined,
      misfit: { kind: 'unlocked', message: `the image ${name} is not locked: ${other}` },
    };
  }
  switch (locked.kind) {
    case 'tar': {
      if (image.kind !== 'tar') break;
      const sha256 = hex(locked.digest);
      if (image.sha256 === undefined || image.sha256 === sha256)
        return { image: { ...image, sha256 }, digest: undefined };
      const message = `the file asks for another sha256 of the image than the lock has (${at})`;
      return { image, digest: undefined, misfit: { kind: 'changed', message } };
    }
    case 'stored':
      return { image, digest: hex(locked.digest) };
    case 'host_tools':
      return { image, digest: hex(locked.packed) };
    case 'reference':
      if (image.kind === 'reference') return fitReference(image, locked, read, host);
  }
  return { image, digest: undefined };
}

/** The platform of a lock that suits best: the one that the file names, or else this machine's. */
export function platformIn(
  platforms: ReadonlyMap<string, LockedPlatform>,
  wanted: string | undefined,
  arch: Arch,
): LockedPlatform | undefined {
  if (wanted !== undefined) {
    const same = [...platforms].find(([name]) => name === wanted || name === `${wanted}/v8`);
    return same?.[1];
  }
  const ranked = [...platforms].flatMap(([name, locked]) => {
    const [os = '', architecture = '', variant = ''] = name.split('/');
    const rank = rankOf({ os, architecture, variant }, arch);
    return rank === undefined ? [] : [{ rank, locked }];
  });
  return ranked.toSorted((a, b) => b.rank - a.rank)[0]?.locked;
}

/** Whether the file's reference can mean what the lock says: a short name means what the person's configuration makes of it. */
function isMeant(ref: string, name: Reference, store: string): boolean {
  const given = parseImageName(ref);
  if (isProblem(given)) return false;
  if (given.registry === undefined) return fullReferences(store, ref).includes(writeReference(name));
  return writeReference(inRegistry(given, given.registry)) === writeReference(name);
}

function fitReference(
  image: ImageSource & { readonly kind: 'reference' },
  locked: LockedReference,
  read: ReadLock,
  { arch, dirs }: Host,
): ImageFit {
  const at = place(read, { kind: 'image' });
  const name = parseReference(locked.name);
  const wrong = (kind: Misfit['kind'], message: string): ImageFit => ({
    image,
    digest: undefined,
    misfit: { kind, message },
  });
  if (isProblem(name) || !isMeant(image.name, name, dirs.store)) {
    return wrong('changed', `${image.name} cannot mean ${locked.name}, which the lock has for it (${at})`);
  }
  const found = platformIn(locked.platforms, image.platform, arch);
  if (found === undefined) {
    const platform = image.platform ?? platformName(hostPlatform(arch));
    return wrong('unlocked', `the image ${image.name} is not locked for ${platform} (${at})`);
  }
  const { pullPolicy, ...source } = image;
  const pinned = {
    ...source,
    name: writeReference({ ...name, digest: found.manifest }),
    // What a digest leads to never changes: there is nothing to ask a registry about.
    ...(pullPolicy === 'never' ? { pullPolicy } : {}),
    // Often it is the index that is signed.
    ...(locked.index === undefined ? {} : { index: locked.index }),
  };
  return { image: pinned, digest: hex(found.config) };
}

function fitFiles(document: SpecDocument, read: ReadLock): readonly Misfit[] {
  const { files } = read.lock;
  const entries = fileEntries(document);
  const misfits = entries.flatMap(({ path, digest, specPath }): readonly Misfit[] => {
    const locked = files.get(path);
    if (locked === digest) return [];
    if (locked === undefined) {
      return [{ kind: 'unlocked', path: specPath, message: `${path} is not locked: ${read.file} does not have it` }];
    }
    const at = place(read, { kind: 'file', path });
    const what = digest === undefined ? 'is not there any more, and is locked' : 'has changed since it was locked';
    return [{ kind: 'changed', path: specPath, message: `${path} ${what} (${at})` }];
  });
  const named = new Set(entries.map(({ path }) => path));
  // A file that must be allowed first is not read, and the run is refused for it.
  for (const { file } of document.files) named.add(lockedPath(file, document.folder));
  const extra = [...files.keys()].filter((path) => !named.has(path));
  return [
    ...misfits,
    ...extra.map((path): Misfit => {
      const at = place(read, { kind: 'file', path });
      return { kind: 'extra', path: 'env_file', message: `${at} has ${path}, which the file does not name` };
    }),
  ];
}

export function fitOf(document: SpecDocument, read: ReadLock, host: Host): Fit {
  const { image, digest, misfit } = fitImage(document, read, host);
  return {
    image,
    digest,
    misfits: [...(misfit === undefined ? [] : [{ ...misfit, path: 'image' } as const]), ...fitFiles(document, read)],
  };
}
