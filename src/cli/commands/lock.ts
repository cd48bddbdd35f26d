/** Writes the lock beside a container file, or says where the two do not fit. */
import { BoxctlError, type Diagnostic, type Position } from '../../errors.ts';
import { whyNot } from '../../files/read.ts';
import { lockChanges, type LockChange } from '../../lock/changes.ts';
import { fileEntries } from '../../lock/entries.ts';
import { EMPTY_LOCK, type LockedImage, type LockPart, type ReadLock } from '../../lock/lock.ts';
import { measure } from '../../lock/measure.ts';
import { lockOf } from '../../lock/place.ts';
import { pathOfLock, readLock } from '../../lock/read.ts';
import { lockText, writeLock } from '../../lock/write.ts';
import { outline } from '../../model/compile.ts';
import { openRegistries, type RegistryAccess } from '../../registry/access.ts';
import { referenceOf } from '../../registry/reference.ts';
import { parsePlatformName } from '../../spec/platform.ts';
import { registryDemands, type ReferenceSource } from '../../container/registry-demands.ts';
import { resolveReference } from '../../lock/resolve.ts';
import type { DemandKind } from '../../model/demand.ts';
import type { SpecDocument } from '../../spec/spec.ts';
import { redactor } from '../../text/borrowed.ts';
import { safe, safeJson } from '../../text/safe.ts';
import { DIM, painter } from '../../text/style.ts';
import { hostFacts, loadDocument, specFile } from '../environment.ts';
import type { Invocation, Run } from '../command.ts';
import { jsonMessages, textMessages } from '../messages.ts';
import { wantsColor, writeOutput } from '../output.ts';
import { checkDemands, permitsOf } from '../trust.ts';

/** What boxctl reads for a lock, or asks for with the caller's credentials. What a container would have is not asked for here. */
const READ: ReadonlySet<DemandKind> = new Set(['image', 'env_file', 'profile', 'tool', 'env']);

const COLORS = { '+': 32, '-': 31, '~': 33 } as const;

interface Told extends LockChange {
  /** In the container file, and in the lock. */
  readonly places: readonly Position[];
}

interface Locked {
  readonly file: string;
  readonly lock: string;
  readonly changes: readonly Told[];
  readonly written: boolean;
}

/** Of the image. */
function placesOf(document: SpecDocument): readonly Position[] {
  const at = document.where('image.ref') ?? document.where('image');
  return at === undefined ? [] : [at];
}

function placeInFile(document: SpecDocument, part: LockPart): Position | undefined {
  if (part.kind === 'image') return placesOf(document)[0];
  const path = fileEntries(document).find((entry) => entry.path === part.path)?.specPath;
  return path === undefined ? undefined : document.where(path);
}

function told(document: SpecDocument, old: ReadLock | undefined, changes: readonly LockChange[]): readonly Told[] {
  const redact = redactor(document.borrowed);
  return changes.map((change) => ({
    ...change,
    message: redact(change.message),
    places: [
      ...(change.sign === '-' ? [] : [placeInFile(document, change.part)]),
      ...(change.sign === '+' ? [] : [old?.where(change.part)]),
    ].filter((place) => place !== undefined),
  }));
}

function asText({ lock, changes }: Locked, heading: string, color: boolean): string {
  const paint = painter(color);
  const lines = changes.map(({ sign, message, places }) => {
    const where = places.map(({ file, line }) => `${file}:${line}`).join(', ');
    return `  ${paint(COLORS[sign], sign)} ${safe(message)}${where === '' ? '' : `  ${paint(DIM, `(${safe(where)})`)}`}\n`;
  });
  return `${safe(lock)}: ${heading}\n${lines.join('')}`;
}

function refuseChanged(file: string, all: readonly Told[]): void {
  const changed = all.filter(({ sign }) => sign === '~');
  const hint = `if that is meant: boxctl lock --update ${file}`;
  const diagnostics = changed.map(({ message, places: [at] }): Diagnostic => {
    return {
      code: 'E_LOCK_MISMATCH',
      severity: 'error',
      message: `locked, and another now: ${message}`,
      path: '',
      at,
      hint,
    };
  });
  const [first] = diagnostics;
  if (first === undefined) return;
  throw new BoxctlError('E_LOCK_MISMATCH', first.message, {
    hint,
    diagnostics,
    ...(first.at === undefined ? {} : { at: first.at }),
  });
}

function write(file: string, path: string, text: Parameters<typeof writeLock>[1]): void {
  try {
    writeLock(path, text);
  } catch (cause) {
    const message = `${lockOf(file) ?? path} cannot be written: ${whyNot(cause).problem}`;
    throw new BoxctlError('E_LOCK_UNWRITABLE', message, { cause });
  }
}

/** The person's registries, looked up when a reference is to be resolved. */
class Registries {
  readonly #env: Invocation['env'];
  #access: RegistryAccess | undefined;

  constructor(env: Invocation['env']) {
    this.#env = env;
  }

  get access(): RegistryAccess {
    this.#access ??= openRegistries(undefined, this.#env);
    return this.#access;
  }

  async close(): Promise<void> {
    await this.#access?.close();
  }
}

function wantedPlatforms({ args }: Invocation): readonly string[] {
  return args.values('platform').map((text) => {
    const platform = parsePlatformName(text);
    if (platform !== undefined) return platform;
    throw new BoxctlError('E_USAGE', `--platform ${text} is no platform of Linux`, {
      hint: '--platform linux/amd64, linux/arm64, linux/arm/v7',
    });
  });
}

/**
 * What the lock is to have for a reference. What it has already stays without --update, and nothing is asked. A platform that is
 * added to it is one of the same index, wherever the tag points to by now.
 */
async function lockReference(
  invocation: Invocation,
  document: SpecDocument,
  image: ReferenceSource,
  old: LockedImage | undefined,
  registries: Registries,
): Promise<LockedImage | undefined> {
  const { args } = invocation;
  const platforms = wantedPlatforms(invocation);
  const kept = old?.kind === 'reference' && old.ref === image.name ? old : undefined;
  const has = (wanted: string): boolean =>
    kept?.platforms.has(wanted) === true || kept?.platforms.has(`${wanted}/v8`) === true;
  if (args.flag('check')) return kept;
  if (kept !== undefined && (args.flag('offline') || (!args.flag('update') && platforms.every(has)))) return kept;
  if (args.flag('offline')) {
    const message = redactor(document.borrowed)(`${image.name} is not locked, and --offline asks no registry`, 'image');
    throw new BoxctlError('E_LOCK_UNLOCKED', message, { hint: 'boxctl lock without --offline' });
  }
  const { access } = registries;
  const isSame = kept?.index !== undefined && !args.flag('update');
  const candidates = isSame
    ? [{ ...referenceOf(kept.name), digest: kept.index }]
    : access.candidates(image.name).references;
  const source = isSame ? { ...image, name: kept.name } : image;
  checkDemands(invocation, document, await registryDemands(document, source, access), permitsOf(invocation));
  const found = await resolveReference(access.client, {
    ref: image.name,
    candidates,
    ...(platforms.length === 0 ? {} : { platforms }),
  });
  return isSame ? { ...kept, platforms: new Map([...kept.platforms, ...found.platforms]) } : found;
}

/** With --update, text that is no lock is written over. */
function oldLock({ args }: Invocation, file: string): ReadLock | undefined {
  try {
    return readLock(file);
  } catch (error) {
    if (args.flag('update') && error instanceof BoxctlError && error.code === 'E_LOCK_INVALID') return undefined;
    throw error;
  }
}

async function lockFile(invocation: Invocation, file: string, registries: Registries): Promise<Locked> {
  const { args, env } = invocation;
  const document = loadDocument(invocation, file);
  const [name, path] = [lockOf(file), pathOfLock(file)];
  if (name === undefined || path === undefined) {
    throw new BoxctlError('E_USAGE', `${file} is no file of a folder, so it has no lock`, { hint: 'boxctl lock FILE' });
  }
  const host = hostFacts(invocation);
  const demands = outline(document, host).demands.filter(({ kind }) => READ.has(kind));
  checkDemands(invocation, document, demands, permitsOf(invocation));
  const old = oldLock(invocation, file);
  const young = await measure(document, {
    host,
    path: process.env['PATH'] ?? '',
    reference: (image) => lockReference(invocation, document, image, old?.lock.image, registries),
  });
  const messages = args.flag('json') ? jsonMessages : textMessages(wantsColor(2, env), false);
  if (document.spec.image?.kind === 'folder') {
    const message = 'the folder is not locked: the container gets whatever it holds by then';
    messages.warning(message, document.where('image.folder') ?? document.where('image'));
  }
  const changes = told(document, old, lockChanges(old?.lock ?? EMPTY_LOCK, young));
  if (args.flag('check')) {
    if (old === undefined) throw missing(file, name);
    const { image } = document.spec;
    const isUnlocked = image?.kind === 'reference' && young.image === undefined;
    const message = redactor(document.borrowed)(`${isUnlocked ? image.name : ''} is not locked`, 'image');
    const unlocked: Told = { sign: '+', part: { kind: 'image' }, message, places: placesOf(document) };
    return { file, lock: name, changes: isUnlocked ? [unlocked, ...changes] : changes, written: false };
  }
  if (!args.flag('update')) refuseChanged(file, changes);
  const isSame = old !== undefined && lockText(old.lock) === lockText(young);
  if (!isSame) write(file, path, young);
  return { file, lock: name, changes, written: !isSame };
}

function missing(file: string, lock: string): BoxctlError {
  return new BoxctlError('E_LOCK_MISSING', `${file} has no lock: there is no ${lock}`, { hint: `boxctl lock ${file}` });
}

export const lock: Run = async (invocation) => {
  const { args, env } = invocation;
  const isCheck = args.flag('check');
  if (isCheck && args.flag('update')) {
    throw new BoxctlError('E_USAGE', '--check and --update exclude each other', { hint: 'choose one of them' });
  }
  const files = args.positionals.length > 0 ? args.positionals : [specFile(invocation)];
  const isJson = args.flag('json');
  const messages = isJson ? jsonMessages : textMessages(wantsColor(2, env), false);
  const results: Locked[] = [];
  let status = 0;
  const registries = new Registries(env);
  for (const file of files) {
    try {
      const result = await lockFile(invocation, file, registries);
      results.push(result);
      if (isCheck && result.changes.length > 0) status = Math.max(status, 1);
      const heading = isCheck
        ? result.changes.length === 0
          ? 'fits'
          : `does not fit ${safe(file)}`
        : result.written
          ? 'written'
          : 'is as it was';
      if (!isJson) writeOutput(asText(result, heading, wantsColor(1, env)));
    } catch (error) {
      const failed = messages.failure(error);
      const isMissing = error instanceof BoxctlError && error.code === 'E_LOCK_MISSING';
      status = Math.max(status, isCheck && isMissing ? 1 : failed);
    }
  }
  await registries.close();
  if (isJson) {
    const list = results.map(({ changes, ...result }) => ({
      ...result,
      changes: changes.map(({ sign, message, places }) => ({ sign, message, at: places })),
    }));
    writeOutput(`${safeJson(list, 2)}\n`);
  }
  return status;
};
