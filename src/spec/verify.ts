/** `image.verify`: who must have signed an image of a registry. */
import type { ContainerFile } from '../generated/container.ts';
import { readBounded } from '../files/read.ts';
import { repositoryOf } from '../text/image-name.ts';
import { addProblem, clip, hostPath, listOf, noteFile, type Context } from './context.ts';
import { parsePublicKey, type PublicKey } from './public-key.ts';
import type { Verification } from './spec.ts';

type Raw = Exclude<NonNullable<ContainerFile['image']>, string>['verify'];

/** The path of a key in the file, as problems are told at. */
type KeyPath = 'image.verify.key' | `image.verify.key.${number}`;

export function normaliseVerify(context: Context, raw: Raw): Verification | undefined {
  if (raw === undefined) return undefined;
  const keys = listOf(context, raw.key, 'image.verify.key').flatMap(([text, path]) => keyAt(context, text, path) ?? []);
  if (raw.identity === undefined) return { keys };
  const identity = repositoryOf(raw.identity);
  if (identity !== undefined) return { keys, identity };
  addProblem(
    context,
    'image.verify.identity',
    'E_SPEC_IMAGE',
    `"${clip(raw.identity)}" is no repository in full, without a tag`,
    { hint: 'the one that the image was signed for: docker.io/library/alpine' },
  );
  return { keys };
}

/** Undefined where it is not read: it has a problem, or has to be allowed first. */
function keyAt(context: Context, text: string, path: KeyPath): PublicKey | undefined {
  const full = hostPath(context, text);
  const file = noteFile(context, 'public_key', full, path);
  if (file === undefined) return undefined;
  const read = readBounded(file, { judged: true });
  if (read.text === undefined) {
    if (read.missing && context.review) return undefined;
    const message = `the public key "${clip(text)}" cannot be used: ${read.problem}`;
    return addProblem(context, path, read.missing ? 'E_SPEC_MISSING_FILE' : 'E_SPEC_PUBLIC_KEY', message, {
      hint: `looked for ${clip(full)}`,
    });
  }
  const key = parsePublicKey(read.text, file);
  if (!('problem' in key)) return key;
  const message = `the public key "${clip(text)}" cannot be used: ${key.problem}`;
  return addProblem(context, path, 'E_SPEC_PUBLIC_KEY', message, { hint: key.hint });
}
