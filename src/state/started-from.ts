/**
 * What a container in the background was started from: `document.json` in its folder. It is compared with what its file says now.
 * The contents of secrets and configs are not in it, nor a digest of them.
 */
import { join } from 'node:path';
import type { Position } from '../errors.ts';
import { writeWhole } from '../files/atomic-write.ts';
import { isOwn, readOwn } from '../files/own.ts';
import type { Overrides } from '../model/compile.ts';
import { isSecret, isSecretName } from '../model/secrets.ts';
import type { SpecDocument, Taken } from '../spec/spec.ts';
import { isRecord } from '../text/json.ts';
import { packed, unpacked } from './kept-files.ts';

const VERSION = 1;

export interface StartedFrom {
  readonly document: SpecDocument;
  /** The digest of its image. */
  readonly image: string | undefined;
  /** The archive that the file names as its image, as stat(2) tells it from others. */
  readonly archive: string | undefined;
  /** What the command line wanted in place of what the file says. */
  readonly overrides: Overrides;
}

const isOfGiven = ({ path }: { readonly path: string }): boolean => /^(?:secrets|configs)\./u.test(path);
/** A value that is a secret by what it looks like, in the place of one that is. */
const LOOKS_SECRET = 'x://x:x@';

/** Without what goes into secrets and configs. */
function withoutContents({ name, path, value }: Taken): Taken {
  if (!isOfGiven({ path })) return { name, path, value };
  return { name, path, value: isSecret(name, value) && !isSecretName(name) ? LOOKS_SECRET : '' };
}

/** The text of document.json. */
export function startedFromText({ document, image, archive, overrides }: StartedFrom): string {
  const { file, folder: project, spec, taken, files, tools, borrowed, places } = document;
  const given = spec.given?.map(({ content: _content, ...rest }) => rest);
  const kept = {
    file,
    folder: project,
    spec: given === undefined ? spec : { ...spec, given },
    taken: taken.map(withoutContents),
    files: files.map(({ content: _content, ...rest }) => rest),
    tools,
    borrowed: borrowed.filter((one) => !isOfGiven(one)),
    places: places?.() ?? new Map<string, Position>(),
  };
  return `${packed({ version: VERSION, image, archive, overrides, document: kept })}\n`;
}

export const writeStartedFrom = (folder: string, from: StartedFrom): void =>
  writeWhole(join(folder, 'document.json'), startedFromText(from));

/** Undefined where it is of another version of boxctl, or is cut short. */
export function readStartedFrom(folder: string): StartedFrom | undefined {
  const path = join(folder, 'document.json');
  let value: unknown;
  try {
    value = isOwn(path, 'file') ? unpacked(readOwn(path)) : undefined;
  } catch {
    return undefined;
  }
  if (!isRecord(value) || value['version'] !== VERSION || !isRecord(value['document'])) return undefined;
  // Written by this program in a folder of the caller's own: it is as it was packed.
  const { document, ...rest } = value as unknown as StartedFrom & {
    readonly document: SpecDocument & { readonly places: ReadonlyMap<string, Position> };
  };
  const { places } = document as unknown as { readonly places: unknown };
  if (!(places instanceof Map)) return undefined;
  const known = places as ReadonlyMap<string, Position>;
  return { ...rest, document: { ...document, source: '', places: () => known, where: (at) => known.get(at) } };
}
