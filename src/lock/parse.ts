/**
 * The text of a lock to what it says. The text is as hostile as a container file: it is parsed by the same limits, and
 * everything that specs/container.lock.schema.json does not allow is an error with its line.
 */
import { BoxctlError } from '../errors.ts';
import { MAX_FILE_SIZE } from '../files/read.ts';
import { Paths } from '../yaml/paths.ts';
import { TextProblems, type Span } from '../yaml/problems.ts';
import { parseTree, type Branch, type Tree } from '../yaml/tree.ts';
import { quoted } from '../text/quote.ts';
import { isPlatform, LOCK_VERSION, type Lock, type LockedImage, type LockedPlatform, type ReadLock } from './lock.ts';

const DIGEST = /^sha256:[0-9a-f]{64}$/u;
const FILE_DIGEST = /^(?:sha256|names):[0-9a-f]{64}$/u;
/** One line, without characters that are not seen. */
const TEXT = /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+$/u;
const MAX_TEXT = 4096;

const DIGEST_WORDS = '`sha256:` and 64 hexadecimal digits';

/** Thrown where a part cannot be used. Its problem has been added. */
class Unusable extends Error {}

class Reader {
  readonly #problems: TextProblems;

  constructor(problems: TextProblems) {
    this.#problems = problems;
  }

  wrong(at: Span, message: string): never {
    this.#problems.add('E_LOCK_INVALID', message, {
      at,
      hint: 'it is written by boxctl alone: boxctl lock --update writes it anew',
    });
    throw new Unusable(message);
  }

  map(tree: Tree, what: string): Branch {
    return tree.kind === 'map' ? tree : this.wrong(tree.span, `${what} must be a map`);
  }

  /** A map that has these keys, those with a `?` perhaps, and no other. */
  fields(tree: Tree, what: string, keys: readonly string[]): ReadonlyMap<string, Tree> {
    const { entries, span } = this.map(tree, what);
    const known = new Map(keys.map((key) => [key.replace('?', ''), key.endsWith('?')]));
    for (const [key, entry] of entries) {
      if (!known.has(key)) this.wrong(entry.key, `${what} has no key ${quoted(key)} in this version of boxctl`);
    }
    for (const [key, isOptional] of known) {
      if (!isOptional && !entries.has(key)) this.wrong(span, `${what} lacks the key \`${key}\``);
    }
    return new Map([...entries].map(([key, { value }]) => [key, value]));
  }

  text(tree: Tree | undefined, what: string, pattern = TEXT, expected = 'text on one line'): string {
    const value = tree?.kind === 'scalar' && tree.broken !== true ? tree.value : undefined;
    if (typeof value === 'string' && value.length <= MAX_TEXT && pattern.test(value)) return value;
    return this.wrong(tree?.span ?? { start: 0, end: 1 }, `${what} must be ${expected}`);
  }

  digest(tree: Tree | undefined, what: string): string {
    return this.text(tree, what, DIGEST, DIGEST_WORDS);
  }

  /** A map from paths to digests. */
  files(tree: Tree | undefined, what: string, pattern: RegExp, expected: string): ReadonlyMap<string, string> {
    if (tree === undefined) return new Map();
    return new Map(
      [...this.map(tree, what).entries].map(([path, { key, value }]) => {
        if (!TEXT.test(path) || path.length > MAX_TEXT) this.wrong(key, `${what} must have paths as its keys`);
        return [path, this.text(value, `the digest of ${quoted(path)}`, pattern, expected)];
      }),
    );
  }

  image(tree: Tree | undefined): LockedImage | undefined {
    if (tree === undefined) return undefined;
    const { entries, span } = this.map(tree, '`image`');
    if (entries.has('tar')) {
      const found = this.fields(tree, '`image`', ['tar', 'digest']);
      return {
        kind: 'tar',
        tar: this.text(found.get('tar'), '`image.tar`'),
        digest: this.digest(found.get('digest'), '`image.digest`'),
      };
    }
    if (entries.has('host_tools')) return this.tools(tree);
    if (!entries.has('ref')) this.wrong(span, '`image` lacks the key `ref`, `tar` or `host_tools`');
    if (!entries.has('platforms')) {
      const found = this.fields(tree, '`image`', ['ref', 'digest']);
      return {
        kind: 'stored',
        ref: this.text(found.get('ref'), '`image.ref`'),
        digest: this.digest(found.get('digest'), '`image.digest`'),
      };
    }
    const found = this.fields(tree, '`image`', ['ref', 'name', 'index?', 'platforms']);
    const index = found.get('index');
    return {
      kind: 'reference',
      ref: this.text(found.get('ref'), '`image.ref`'),
      name: this.text(found.get('name'), '`image.name`'),
      index: index === undefined ? undefined : this.digest(index, '`image.index`'),
      platforms: this.platforms(found.get('platforms') ?? tree),
    };
  }

  platforms(tree: Tree): ReadonlyMap<string, LockedPlatform> {
    const { entries, span } = this.map(tree, '`image.platforms`');
    if (entries.size === 0) this.wrong(span, '`image.platforms` is empty');
    return new Map(
      [...entries].map(([name, { key, value }]) => {
        if (!isPlatform(name)) this.wrong(key, `${quoted(name)} is no platform, such as linux/amd64`);
        const found = this.fields(value, `the platform ${name}`, ['manifest', 'config']);
        const manifest = this.digest(found.get('manifest'), `the manifest of ${name}`);
        return [name, { manifest, config: this.digest(found.get('config'), `the configuration of ${name}`) }];
      }),
    );
  }

  tools(tree: Tree): LockedImage {
    const found = this.fields(tree, '`image`', ['host_tools', 'packed', 'files']);
    const list = found.get('host_tools') ?? tree;
    if (list.kind !== 'list' || list.items.length === 0) this.wrong(list.span, '`image.host_tools` must be a list');
    return {
      kind: 'host_tools',
      tools: list.items.map((item) => this.text(item, 'a program')),
      packed: this.digest(found.get('packed'), '`image.packed`'),
      files: this.files(found.get('files'), '`image.files`', DIGEST, DIGEST_WORDS),
    };
  }

  lock(tree: Tree): Lock {
    const version = tree.kind === 'map' ? tree.entries.get('version')?.value : undefined;
    if (version?.kind === 'scalar' && typeof version.value === 'number' && version.value > LOCK_VERSION) {
      this.wrong(version.span, 'the lock was written by a newer boxctl');
    }
    const found = this.fields(tree, 'a lock', ['version', 'image?', 'files?']);
    if (version?.kind !== 'scalar' || version.value !== LOCK_VERSION) {
      this.wrong((version ?? tree).span, `\`version\` must be ${LOCK_VERSION}`);
    }
    return {
      image: this.image(found.get('image')),
      files: this.files(found.get('files'), '`files`', FILE_DIGEST, '`sha256:` or `names:`, and 64 hexadecimal digits'),
    };
  }
}

/**
 * `file` names the lock in messages.
 * @throws BoxctlError E_LOCK_INVALID, with the line of the first problem
 */
export function parseLock(source: string, file: string): ReadLock {
  const problems = new TextProblems(file, source);
  const reader = new Reader(problems);
  try {
    if (source.length > MAX_FILE_SIZE) {
      reader.wrong({ start: 0, end: 1 }, `the lock is larger than ${MAX_FILE_SIZE} bytes`);
    }
    if (source.trim() === '') reader.wrong({ start: 0, end: 1 }, 'the lock is empty');
    const tree = parseTree(source, problems);
    if (tree !== undefined && !problems.failed) {
      const lock = reader.lock(tree);
      const paths = new Paths(tree);
      return {
        file,
        lock,
        where: (part) => {
          const span = paths.key(part.kind === 'image' ? 'image' : `files.${part.path}`);
          return span === undefined ? undefined : problems.position(span);
        },
      };
    }
  } catch (error) {
    if (!(error instanceof Unusable)) throw error;
  }
  const diagnostics = problems.sorted();
  const at = diagnostics[0]?.at;
  throw new BoxctlError('E_LOCK_INVALID', `the lock ${file} cannot be used`, {
    diagnostics,
    ...(at === undefined ? {} : { at }),
  });
}
