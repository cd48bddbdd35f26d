/** The image of a container file. An error of the image has the line that names the image. */
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import type { ImageFacts } from '../model/image.ts';
import { checkRunnable } from '../image/platform.ts';
import { readFacts } from '../image/records.ts';
import { ensureImage, findImage, previewImage, unseenImage, type ResolveOptions } from '../image/resolve.ts';
import { imageOwnership, type Claims } from '../model/compile.ts';
import { redactor } from '../text/borrowed.ts';
import type { ImageSource, SpecDocument } from '../spec/spec.ts';

/** Whether a file that the document names was left unread, because it has not been allowed. */
export function isUnread({ files }: SpecDocument, kind?: 'image'): boolean {
  return files.some((file) => !file.readable && (kind === undefined || file.kind === kind));
}

const KEYS = ['tar', 'folder', 'ref', 'host_tools'] as const;

/** The error with the line that names the image, or the item of it that is meant; one of the store is not about the file. */
export function atImage(document: SpecDocument, error: unknown): unknown {
  if (!(error instanceof BoxctlError) || error.at !== undefined || error.diagnostics.length > 0) return error;
  const key = KEYS.map((one) => `image.${one}` as const).find((each) => document.where(each) !== undefined) ?? 'image';
  const { code, signal, item } = error;
  const path = item === undefined ? key : (`image.host_tools.${item}` as const);
  const at = document.where(path);
  if (at === undefined) return error;
  const redact = redactor(document.borrowed);
  const message = redact(error.message, 'image');
  const hint = error.hint === undefined ? {} : { hint: redact(error.hint, 'image') };
  if (code === 'E_IMAGE_STORE') return new BoxctlError(code, message, { ...hint, signal, cause: error });
  const diagnostics = [{ code, severity: 'error', message, path, at, ...hint } as const];
  return new BoxctlError(code, message, { ...hint, at, diagnostics, signal, cause: error });
}

/** What is pulled for another machine can be kept, and not started. */
function checkPlatform(source: ImageSource, { arch }: HostFacts): void {
  if (source.kind === 'reference' && source.platform !== undefined) checkRunnable(source.platform, arch);
}

/** The image if the store has it. Throws as `findImage` does, and `E_IMAGE_PLATFORM`. */
export function findImageOf(
  document: SpecDocument,
  source: ImageSource,
  host: HostFacts,
  claims: Claims,
): ImageFacts | undefined {
  try {
    checkPlatform(source, host);
    return findImage(source, imageOwnership(document, host, claims), host);
  } catch (error) {
    throw atImage(document, error);
  }
}

/** The image of a digest under the document's maps, if the store has it. */
export function findImageOfDigest(
  digest: string,
  document: SpecDocument,
  host: HostFacts,
  claims: Claims,
): ImageFacts | undefined {
  return readFacts(digest, imageOwnership(document, host, claims), host);
}

/** The image of a document, as far as it is known without an import. */
export interface SeenImage {
  /** Undefined where the document names none. */
  readonly image: ImageFacts | undefined;
  /** Whether the store has it; else users, groups and the shell of the image are not known, and its digest is made up. */
  readonly isKnown: boolean;
}

/** The image if the store has it, and else what is known of it without an import. Throws as `previewImage` does. */
export function lookAtImage(document: SpecDocument, host: HostFacts): SeenImage {
  const { image: source } = document.spec;
  if (source === undefined) return { image: undefined, isKnown: false };
  const ownership = imageOwnership(document, host);
  // A file that must be allowed first is not opened.
  if (isUnread(document, 'image')) return { image: unseenImage(source, ownership, host), isKnown: false };
  try {
    checkPlatform(source, host);
    const found = findImage(source, ownership, host);
    return found === undefined
      ? { image: previewImage(source, ownership, host), isKnown: false }
      : { image: found, isKnown: true };
  } catch (error) {
    throw atImage(document, error);
  }
}

/** The image, imported where that is needed. Throws as `ensureImage` does. */
export async function takeImage(
  document: SpecDocument,
  source: ImageSource,
  host: HostFacts,
  claims: Claims,
  options: ResolveOptions,
): Promise<ImageFacts> {
  try {
    return await ensureImage(source, imageOwnership(document, host, claims), host, options);
  } catch (error) {
    throw atImage(document, error);
  }
}
