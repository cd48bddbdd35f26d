/** What the tags of locked references point to now. */
import { BoxctlError } from '../../errors.ts';
import type { LockedReference } from '../../lock/lock.ts';
import { lockOf } from '../../lock/place.ts';
import { readLock } from '../../lock/read.ts';
import { openRegistries, type RegistryAccess } from '../../registry/access.ts';
import { referenceOf, writeReference, type Reference } from '../../registry/reference.ts';
import type { SpecDocument } from '../../spec/spec.ts';
import { columns } from '../../text/columns.ts';
import { redactor } from '../../text/borrowed.ts';
import { safeJson } from '../../text/safe.ts';
import { registryDemands } from '../../container/registry-demands.ts';
import type { Invocation, Run } from '../command.ts';
import { loadDocument, specFile } from '../environment.ts';
import { jsonMessages, textMessages } from '../messages.ts';
import { wantsColor, writeOutput } from '../output.ts';
import { checkDemands, permitsOf } from '../trust.ts';

interface Row {
  readonly file: string;
  /** With its tag, in full. */
  readonly reference: string;
  readonly locked: string;
  /** Undefined: the registry has no such tag any more. */
  readonly now: string | undefined;
}

/** What is locked, by a lock or by the file itself; undefined where no tag could have moved. */
function lockedIn(
  { file, spec: { image } }: SpecDocument,
  registries: RegistryAccess,
): { readonly reference: Reference; readonly digest: string } | undefined {
  if (image?.kind !== 'reference') return undefined;
  const locked = readLock(file)?.lock.image;
  if (locked?.kind === 'reference' && locked.ref === image.name) {
    return withTag(referenceOf(locked.name), topOf(locked));
  }
  if (locked?.kind === 'stored' && locked.ref === image.name) return undefined;
  const [reference] = registries.candidates(image.name).references;
  if (reference?.digest !== undefined) return withTag(reference, reference.digest);
  throw new BoxctlError('E_LOCK_MISSING', `${file} has no lock for its image: nothing is known to compare with`, {
    hint: `boxctl lock ${file}`,
  });
}

const withTag = (reference: Reference, digest: string): ReturnType<typeof lockedIn> =>
  reference.tag === undefined ? undefined : { reference: { ...reference, digest: undefined }, digest };

/** What the tag pointed to when it was locked. */
function topOf({ index, platforms }: LockedReference): string {
  return index ?? [...platforms.values()][0]?.manifest ?? '';
}

async function lookAt(invocation: Invocation, file: string, registries: RegistryAccess): Promise<readonly Row[]> {
  const document = loadDocument(invocation, file);
  const found = lockedIn(document, registries);
  if (found === undefined || document.spec.image?.kind !== 'reference') return [];
  const name = writeReference(found.reference);
  const demands = await registryDemands(document, { ...document.spec.image, name }, registries);
  checkDemands(invocation, document, demands, permitsOf(invocation));
  const now = (await registries.client.resolve(found.reference))?.digest;
  return [{ file, reference: redactor(document.borrowed)(name, 'image'), locked: found.digest, now }];
}

const short = (digest: string | undefined): string => digest?.slice(0, 'sha256:'.length + 12) ?? 'gone';

export const outdated: Run = async (invocation) => {
  const { args, env } = invocation;
  const files = args.positionals.length > 0 ? args.positionals : [specFile(invocation)];
  const isJson = args.flag('json');
  const messages = isJson ? jsonMessages : textMessages(wantsColor(2, env), false);
  const registries = openRegistries(undefined, env);
  const rows: Row[] = [];
  let status = 0;
  try {
    for (const file of files) {
      try {
        rows.push(...(await lookAt(invocation, file, registries)));
      } catch (error) {
        status = Math.max(status, messages.failure(error));
      }
    }
  } finally {
    await registries.close();
  }
  const isOutdated = ({ locked, now }: Row): boolean => locked !== now;
  if (isJson) {
    writeOutput(
      `${safeJson(
        rows.map((row) => ({ ...row, now: row.now ?? null, outdated: isOutdated(row) })),
        2,
      )}\n`,
    );
  } else {
    const old = rows.filter(isOutdated);
    const table = old.map(({ file, reference, locked, now }) => [file, reference, short(locked), short(now)]);
    if (table.length > 0) writeOutput(columns([['FILE', 'REFERENCE', 'LOCKED', 'NOW'], ...table]));
    for (const { file } of old) {
      messages.notice(
        `to take what the tag points to now: boxctl lock --update ${lockOf(file) === undefined ? '' : file}`,
        undefined,
      );
    }
  }
  return status === 0 && rows.some(isOutdated) ? 1 : status;
};
