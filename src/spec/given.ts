/** `secrets` and `configs`: files that the container is given in memory. */
import { posix } from 'node:path';
import type { ContainerFile } from '../generated/container.ts';
import { readBoundedBytes } from '../files/read.ts';
import { Hidden } from '../text/hidden.ts';
import { addProblem, clip, clipKey, each, hostPath, noteFile, type Context } from './context.ts';
import type { GivenFile, GivenPath, PlacedVolume } from './spec.ts';
import { insidePath, modeAt } from './values.ts';

type Kind = GivenFile['kind'];
type Raw = Exclude<Exclude<NonNullable<ContainerFile['secrets']>, readonly unknown[]>[string], undefined>;

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/u;
const DEFAULT_MODE = 0o444;
const LARGEST_ID = 4_294_967_294;
/** All together, bytes: they stay in memory as long as the container lives. */
const MOST = 16 * 1024 * 1024;

const KEYS = { secret: 'secrets', config: 'configs' } as const;
const FOLDERS: Readonly<Record<Kind, string>> = { secret: '/run/secrets', config: '/' };

/** All of them, in the order of the file. Two at one target, or at that of a volume, are an error. */
export function normaliseGiven(
  context: Context,
  raw: Pick<ContainerFile, 'secrets' | 'configs'>,
  volumes: readonly PlacedVolume[],
): readonly GivenFile[] {
  const all = (['secret', 'config'] as const).flatMap((kind) => ofKind(context, kind, raw[KEYS[kind]]));
  refuseDuplicates(context, all, volumes);
  let sum = 0;
  for (const { content, specPath } of all) {
    const before = sum;
    sum += content?.size ?? 0;
    if (before <= MOST && sum > MOST) {
      addProblem(
        context,
        specPath,
        'E_SPEC_TOO_LARGE',
        `the secrets and configs are larger than ${MOST} bytes together`,
        {
          hint: 'bind the larger ones: `volumes: ["./data:/data:ro"]`',
        },
      );
    }
  }
  return all;
}

function ofKind(context: Context, kind: Kind, raw: ContainerFile['secrets']): readonly GivenFile[] {
  const key = KEYS[kind];
  const found = Array.isArray(raw)
    ? each(context, raw, key).map(([item, path]) =>
        typeof item === 'string'
          ? undeclared(context, kind, item, path)
          : given(context, kind, item.source, item, path),
      )
    : Object.entries(raw ?? {})
        .filter(([name]) => !name.startsWith('x-'))
        .map(([name, value]) => given(context, kind, name, value, `${key}.${name}`));
  return found.filter((one) => one !== undefined);
}

function undeclared(context: Context, kind: Kind, name: string, path: string): undefined {
  addProblem(context, path, 'E_SPEC_MISSING_KEY', `the file does not say what the ${kind} \`${clip(name)}\` is`, {
    hint: `write \`${KEYS[kind]}: {${clip(name)}: {file: ./${clip(name)}}}\``,
  });
}

function given(context: Context, kind: Kind, name: string, raw: Raw, specPath: GivenPath): GivenFile | undefined {
  if (!NAME.test(name)) {
    // In a list the name is a value, into which a variable may have been put.
    const shown = context.paths.where(`${specPath}.source`) === undefined ? clipKey(name) : clip(name);
    addProblem(context, specPath, 'E_SPEC_VALUE', `"${shown}" is not a name of a ${kind}`, {
      hint: 'a letter or digit, then letters, digits, `_`, `.` or `-`, at most 63 in all',
    });
    return undefined;
  }
  const target = targetOf(context, kind, name, raw.target, specPath);
  const uid = idAt(context, raw.uid, `${specPath}.uid`);
  const gid = idAt(context, raw.gid, `${specPath}.gid`);
  const mode = modeAt(context, raw.mode, `${specPath}.mode`, '0400');
  const content = contentOf(context, kind, name, raw, specPath);
  if (target === undefined || content === undefined) return undefined;
  return {
    kind,
    name,
    target,
    mode: mode ?? DEFAULT_MODE,
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
    content: content === 'unread' ? undefined : content,
    specPath,
  };
}

/** A relative one counts from the folder of its kind, and stays in it. */
function targetOf(
  context: Context,
  kind: Kind,
  name: string,
  written: string | undefined,
  specPath: string,
): string | undefined {
  const folder = FOLDERS[kind];
  if (written === undefined) return posix.join(folder, name);
  const path = `${specPath}.target`;
  if (written.startsWith('/')) {
    if (!written.endsWith('/')) return insidePath(context, written, path);
  } else {
    const joined = posix.join(folder, written);
    const isBelow = joined.startsWith(folder === '/' ? '/' : `${folder}/`) && !written.split('/').includes('..');
    if (isBelow && joined !== '/' && !joined.endsWith('/')) return joined;
  }
  return addProblem(context, path, 'E_SPEC_PATH', `the target of a ${kind} is a file; found "${clip(written)}"`, {
    hint: `a name in ${folder}, or an absolute path such as /etc/app/${clip(name)}`,
  });
}

/** Compose writes ids as texts, too. */
function idAt(context: Context, value: string | number | undefined, path: string): number | undefined {
  const id = value === undefined ? undefined : Number(value);
  if (id === undefined || id <= LARGEST_ID) return id;
  return addProblem(context, path, 'E_SPEC_VALUE', `an id is a number from 0 to ${LARGEST_ID}`);
}

/** `unread`: nobody has allowed to read it. Undefined: it is reported. Problems are told without a word of the content. */
function contentOf(
  context: Context,
  kind: Kind,
  name: string,
  { file, environment, content }: Raw,
  specPath: string,
): Hidden | 'unread' | undefined {
  const sources = [file, environment, content].filter((one) => one !== undefined);
  if (sources.length > 1) {
    const message = `the ${kind} \`${clip(name)}\` comes from more than one of \`file\`, \`environment\` and \`content\``;
    return addProblem(context, specPath, 'E_SPEC_CONFLICT', message, { hint: 'keep one of them' });
  }
  if (file !== undefined) return fromFile(context, kind, file, `${specPath}.file`);
  if (environment !== undefined) return fromEnvironment(context, kind, environment, `${specPath}.environment`);
  if (content !== undefined) return new Hidden(Buffer.from(content));
  if (context.bad.has(specPath)) return undefined;
  return addProblem(
    context,
    specPath,
    'E_SPEC_MISSING_KEY',
    `the ${kind} \`${clip(name)}\` says nothing of its content`,
    {
      hint: 'where it comes from: `file: PATH`, `environment: VARIABLE`, or `content: TEXT`',
    },
  );
}

function fromFile(context: Context, kind: Kind, named: string, path: string): Hidden | 'unread' | undefined {
  const file = noteFile(context, kind, hostPath(context, named), path);
  if (file === undefined) return 'unread';
  const read = readBoundedBytes(file, { judged: true });
  if ('bytes' in read) return new Hidden(read.bytes);
  if (context.review && read.kind === 'io') return 'unread';
  const code = read.missing ? 'E_SPEC_MISSING_FILE' : 'E_SPEC_GIVEN_FILE';
  return addProblem(context, path, code, `the file "${clip(named)}" of the ${kind} cannot be read: ${read.problem}`);
}

function fromEnvironment(context: Context, kind: Kind, variable: string, path: string): Hidden | 'unread' | undefined {
  const value = Object.hasOwn(context.env, variable) ? context.env[variable] : undefined;
  if (value === undefined) {
    if (context.review) return 'unread';
    return addProblem(
      context,
      path,
      'E_SPEC_GIVEN_FILE',
      `the caller has no variable ${clip(variable)} for the ${kind}`,
      {
        hint: `set it: \`${clip(variable)}=… boxctl up\``,
      },
    );
  }
  context.taken.push({ name: variable, path, value });
  return new Hidden(Buffer.from(value));
}

function refuseDuplicates(context: Context, all: readonly GivenFile[], volumes: readonly PlacedVolume[]): void {
  const seen = new Map<string, string>(volumes.map(({ target, specPath }) => [target, specPath]));
  for (const { target, specPath } of all) {
    const first = seen.get(target);
    if (first === undefined) seen.set(target, specPath);
    else {
      const message = `\`${specPath}\` is at ${clip(target)}, as \`${first}\` is already`;
      addProblem(context, specPath, 'E_SPEC_DUPLICATE_TARGET', message, { hint: 'give one of them another `target`' });
    }
  }
}
