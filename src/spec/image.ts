/** `image`: an archive, a folder, a reference to an image, or programs of this host. */
import { environment } from '../inputs/environment.ts';
import { lstatSync, statSync } from '../inputs/outside.ts';
import type { ContainerFile } from '../generated/container.ts';
import { lookUp } from '../files/programs.ts';
import { readableByEveryone, realPath, whyNot } from '../files/read.ts';
import { clip, each, hostPath, noteFile, addProblem, type Context } from './context.ts';
import { isDigestStart, isProblem, parseImageName } from '../text/image-name.ts';
import { isImageName } from './image-name.ts';
import { normalisePlatform } from './platform.ts';
import type { ImageSource, PullPolicy } from './spec.ts';
import { sizeAt } from './values.ts';
import { normaliseVerify } from './verify.ts';

type Raw = NonNullable<ContainerFile['image']>;
type RawObject = Exclude<Raw, string>;

const KINDS = ['tar', 'folder', 'ref', 'host_tools'] as const;

/** Keys that only some kinds of images have, and what they are about. */
const KEYS_OF = [
  ['sha256', ['tar'], 'an archive'],
  ['max_size', ['tar', 'ref'], 'an archive or a reference'],
  ['max_entries', ['tar', 'ref'], 'an archive or a reference'],
  ['platform', ['ref'], 'a reference'],
  ['verify', ['ref'], 'a reference'],
] as const;

/** Which image of a registry is taken, and when: what the keys beside `image` say. */
export type Choice = Pick<ImageSource & { readonly kind: 'reference' }, 'platform' | 'pullPolicy'>;

export function normaliseImage(
  context: Context,
  raw: ContainerFile['image'],
  choice: Choice = {},
): ImageSource | undefined {
  if (raw === undefined) return undefined;
  const source = typeof raw === 'string' ? byText(context, raw) : byObject(context, raw);
  if (source?.kind === 'reference') return { ...source, ...choice, ...ownPlatform(context, raw, choice) };
  if (source !== undefined && choice.pullPolicy !== undefined && !FETCHES_NOTHING.has(choice.pullPolicy)) {
    addProblem(
      context,
      'pull_policy',
      'E_SPEC_CONFLICT',
      '`pull_policy` is about an image of a registry, and there is none',
      {
        hint: 'leave it out, or name the image by a reference',
      },
    );
  }
  return source;
}

const FETCHES_NOTHING: ReadonlySet<PullPolicy> = new Set<PullPolicy>(['missing', 'never']);

/** `image.platform`, which must not say something else than `platform`. */
function ownPlatform(context: Context, raw: Raw, { platform }: Choice): Pick<Choice, 'platform'> {
  const given = typeof raw === 'string' ? undefined : raw.platform;
  const own = normalisePlatform(context, given, 'image.platform');
  if (own === undefined) return {};
  if (platform !== undefined && platform !== own) {
    addProblem(context, 'image.platform', 'E_SPEC_CONFLICT', '`image.platform` and `platform` are not the same', {
      hint: 'keep one of them',
    });
  }
  return { platform: own };
}

function byObject(context: Context, raw: RawObject): ImageSource | undefined {
  const given = KINDS.filter((kind) => raw[kind] !== undefined);
  const [kind] = given;
  if (given.length > 1) {
    const names = given.map((name) => `\`${name}\``).join(' and ');
    addProblem(context, 'image', 'E_SPEC_CONFLICT', `\`image\` has both ${names}: it can be one of them`);
    return undefined;
  }
  if (kind === undefined) {
    if (!context.bad.has('image')) {
      addProblem(
        context,
        'image',
        'E_SPEC_MISSING_KEY',
        '`image` lacks the key `tar`, `folder`, `ref` or `host_tools`',
      );
    }
    return undefined;
  }
  for (const [key, kinds, about] of KEYS_OF) {
    if (raw[key] === undefined || kinds.some((one) => one === kind)) continue;
    addProblem(context, `image.${key}`, 'E_SPEC_CONFLICT', `\`${key}\` is about ${about}, and there is none`);
  }
  return byKey(context, raw);
}

function byKey(context: Context, raw: RawObject): ImageSource | undefined {
  if (raw.host_tools !== undefined) return hostTools(context, raw.host_tools);
  if (raw.folder !== undefined) return folder(context, raw.folder, 'image.folder');
  const maxSize = sizeAt(context, raw.max_size, 'image.max_size');
  const limits = {
    ...(maxSize === undefined ? {} : { maxSize }),
    ...(raw.max_entries === undefined ? {} : { maxEntries: raw.max_entries }),
  };
  if (raw.ref !== undefined) {
    const verify = normaliseVerify(context, raw.verify);
    if (verify !== undefined && isDigestStart(raw.ref)) {
      addProblem(context, 'image.verify', 'E_SPEC_CONFLICT', '`verify` is about an image of a registry', {
        hint: 'write its reference: `ref: ghcr.io/org/app`; a digest alone names an image of the store',
      });
    }
    return { ...reference(context, raw.ref, 'image.ref'), ...(verify === undefined ? {} : { verify }), ...limits };
  }
  if (raw.tar === undefined) return undefined;
  return {
    ...archive(context, raw.tar, 'image.tar'),
    ...(raw.sha256 === undefined ? {} : { sha256: raw.sha256.toLowerCase() }),
    ...limits,
  };
}

const PATH = /^(?:[~/]|\.{1,2}(?:\/|$))|\.(?:tar|tgz|tbz2|txz|tzst|tar\.[a-z0-9]+)$/u;

/** A text is a path when it looks like one or leads to something; otherwise it is a reference. */
function byText(context: Context, text: string): ImageSource | undefined {
  const full = hostPath(context, text);
  const exists = lstatSync(full, { throwIfNoEntry: false }) !== undefined;
  if (!PATH.test(text) && isImageName(text) && !exists) return { kind: 'reference', name: text };
  if (!PATH.test(text) && !exists) return neither(context, text, full);
  const isFolder = statSync(full, { throwIfNoEntry: false })?.isDirectory() === true;
  return isFolder && !isLayout(full) ? folder(context, text, 'image') : archive(context, text, 'image');
}

/** Neither a file nor a name: most often a reference with a mistake, so that both are told. */
function neither(context: Context, text: string, full: string): ImageSource {
  const name = parseImageName(text);
  if (!context.review && isProblem(name)) {
    addProblem(
      context,
      'image',
      'E_SPEC_IMAGE',
      `the image "${clip(text)}" is neither a file nor a reference to an image of a registry: ${name.problem}`,
      { hint: `${name.hint}; a file would be ${clip(full)}` },
    );
  }
  return { kind: 'tar', path: full };
}

/** An OCI image layout is an archive that was not packed. A root file system may have a file of either name. */
function isLayout(full: string): boolean {
  return ['oci-layout', 'index.json'].every(
    (name) => lstatSync(`${full}/${name}`, { throwIfNoEntry: false })?.isFile() === true,
  );
}

function archive(context: Context, text: string, path: string): ImageSource & { readonly kind: 'tar' } {
  const full = hostPath(context, text);
  let real = full;
  try {
    const stat = statSync(full);
    real = noteFile(context, 'image', full, path) ?? realPath(full);
    if (!stat.isFile() && !(stat.isDirectory() && isLayout(full))) {
      addProblem(context, path, 'E_SPEC_IMAGE', `the image "${clip(text)}" is not a file`, {
        hint: stat.isDirectory()
          ? '`image: {folder: …}` for a root file system that is a folder'
          : 'an archive is a file',
      });
    }
  } catch (error) {
    reportMissing(context, text, path, full, error);
  }
  return { kind: 'tar', path: real };
}

function reportMissing(context: Context, text: string, path: string, full: string, error: unknown): void {
  if (context.review) return;
  const { problem } = whyNot(error);
  addProblem(context, path, 'E_SPEC_MISSING_FILE', `the image "${clip(text)}" cannot be used: ${problem}`, {
    hint: `looked for ${clip(full)}`,
  });
}

function folder(context: Context, text: string, path: string): ImageSource {
  const full = hostPath(context, text);
  try {
    const isFolder = statSync(full).isDirectory();
    const real = noteFile(context, 'image', full, path) ?? realPath(full);
    if (isFolder) return { kind: 'folder', path: real };
    addProblem(context, path, 'E_SPEC_IMAGE', `the image "${clip(text)}" is not a folder`, {
      hint: '`image: {tar: …}` for an archive',
    });
  } catch (error) {
    reportMissing(context, text, path, full, error);
  }
  return { kind: 'folder', path: full };
}

function reference(context: Context, text: string, path: string): ImageSource {
  const name = parseImageName(text);
  if (!isDigestStart(text) && isProblem(name)) {
    addProblem(context, path, 'E_SPEC_IMAGE', `"${clip(text)}" is no name of an image: ${name.problem}`, {
      hint: name.hint,
    });
  }
  return { kind: 'reference', name: text };
}

function hostTools(context: Context, tools: readonly string[]): ImageSource {
  for (const [tool, path] of each(context, tools, 'image.host_tools')) {
    if (tool.includes('/') && !tool.startsWith('/')) {
      addProblem(context, path, 'E_SPEC_PATH', `a program is a name or an absolute path; found "${clip(tool)}"`);
      continue;
    }
    // Packing reads it and runs its loader. One that is not there is told when it is packed.
    const { found } = context.review ? { found: undefined } : lookUp(tool, environment['PATH'] ?? '');
    if (found === undefined) continue;
    const file = realPath(found);
    context.tools.push({ file, path, everyone: readableByEveryone(file) });
  }
  return { kind: 'host_tools', tools };
}
