/** Loads a container file: reads, checks and normalises it. All its problems are reported together. */
import { basename, dirname, join, resolve } from 'node:path';
import { BoxctlError, type Diagnostic, type Position } from '../errors.ts';
import type { Borrowed } from '../text/borrowed.ts';
import { checkSchema } from './check.ts';
import { environment } from '../inputs/environment.ts';
import { homeOf } from '../inputs/home.ts';
import { convertComposeValues } from './compose/convert.ts';
import { takeCompose } from './compose/take.ts';
import { guardsOf, type GuardedFiles } from './guards.ts';
import { lockName } from './lock-name.ts';
import type { AllowsFile } from './context.ts';
import { normalise } from './normalise.ts';
import { Paths } from '../yaml/paths.ts';
import { interpolateTree, toPlainMap } from './plain.ts';
import { TextProblems } from '../yaml/problems.ts';
import { isWithin, MAX_FILE_SIZE, readBounded, realPath, type ReadResult } from '../files/read.ts';
import type { Guard, HostFile, HostTool, PlacedVolume, SpecDocument, Taken } from './spec.ts';
import { parseTree } from '../yaml/tree.ts';

export interface LoadOptions {
  /** What `${VAR}` and a bare KEY of the environment are looked up in. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What `~` is. */
  readonly home: string;
  /** What relative paths count from; by default the folder of the file. */
  readonly folder?: string;
  /**
   * Whether a file outside of the folder may be opened. By default none may. The content of such a file is then missing in
   * the document, and `files` has `readable: false` for it. A bind of such a folder is read-only, since it was not
   * searched for files to guard.
   */
  readonly allows?: AllowsFile;
  /** The file is reviewed and not started: files and folders that it names need not exist. */
  readonly review?: boolean;
}

/** Paths that mean a descriptor of this process: `/dev/stdin`, and `/dev/fd/63` of a shell's `<(…)`. */
const isDescriptor = (path: string): boolean => /^\/(?:dev|proc)\//u.test(path);

/**
 * Reads the text of a container file. A link that leads out of its folder is not followed: messages quote lines of the
 * file, and a link in a pull request could make them show any file of the host.
 *
 * @throws BoxctlError E_SPEC_LINK
 */
export function readSpecFile(file: string, options: { readonly regular?: boolean } = {}): ReadResult {
  const named = resolve(file);
  if (isDescriptor(named)) return readBounded(file, options);
  // Links in the folder's own path are followed: the caller has named it.
  const folder = realPath(dirname(named));
  const path = join(folder, basename(named));
  const real = realPath(path);
  if (real === path) return readBounded(path, { ...options, noLink: true });
  if (!isWithin(real, folder)) {
    throw new BoxctlError('E_SPEC_LINK', `${file} is a link that leads out of its folder: it is not followed`, {
      hint: 'name the file itself; what is in it then counts from the folder that it lies in',
    });
  }
  return readBounded(real, { judged: true });
}

/**
 * Reads and checks a container file; by default with the environment and the home folder of this process.
 * @throws BoxctlError E_SPEC_NOT_FOUND, E_SPEC_LINK, E_SPEC_UNREADABLE, or E_SPEC_INVALID with all its `diagnostics`
 */
export function loadSpec(file: string, given: Partial<LoadOptions> = {}): SpecDocument {
  const { env = environment, home = homeOf(env) } = given;
  const options: LoadOptions = { ...given, env, home };
  const read = readSpecFile(file);
  if (read.text !== undefined) return loadSpecText(read.text, file, options);
  if (read.missing) {
    throw new BoxctlError('E_SPEC_NOT_FOUND', `${file}: ${read.problem}`, {
      hint: 'give the path of a container.yaml',
    });
  }
  if (read.kind === 'io') {
    const hint = `give the file in it: ${file.replace(/\/$/, '')}/container.yaml`;
    const extra = read.problem === 'it is a folder' ? { hint } : {};
    throw new BoxctlError('E_SPEC_UNREADABLE', `${file} cannot be read: ${read.problem}`, extra);
  }
  const { text, at } = read.broken ?? { text: '', at: 0 };
  const problems = new TextProblems(file, text);
  const [code, hint] =
    read.kind === 'size'
      ? (['E_SPEC_TOO_LARGE', undefined] as const)
      : (['E_SPEC_ENCODING', 'save it as UTF-8'] as const);
  problems.add(code, `the file cannot be used: ${read.problem}`, { at: { start: at, end: at + 1 }, hint });
  throw invalid(file, problems.sorted());
}

/**
 * The same for text that is already read; `file` names it in messages, and relative paths count from its folder.
 * Everything else that the text names (tarball, env_file, sources of binds) is looked at on disk.
 * @throws BoxctlError E_SPEC_INVALID with all its `diagnostics`
 */
export function loadSpecText(text: string, file: string, options: LoadOptions): SpecDocument {
  // A byte order mark is not part of the first line.
  const source = text.startsWith('\ufeff') ? text.slice(1) : text;
  const problems = new TextProblems(file, source);
  const document = load(source, file, options, problems);
  if (document === undefined || problems.failed) throw invalid(file, problems.sorted(document?.borrowed));
  return document;
}

function load(source: string, file: string, options: LoadOptions, problems: TextProblems): SpecDocument | undefined {
  if (Buffer.byteLength(source) > MAX_FILE_SIZE) {
    problems.add('E_SPEC_TOO_LARGE', `the file is larger than ${MAX_FILE_SIZE} bytes`, { at: { start: 0, end: 1 } });
    return undefined;
  }
  const parsed = parseTree(source, problems);
  if (parsed === undefined) return undefined;
  if (parsed.kind !== 'map') {
    const what = parsed.kind === 'list' ? 'a list' : 'a single value';
    problems.add('E_SPEC_TYPE', `the file must be a map of keys and values; found ${what}`, {
      at: parsed.span,
      hint: 'the shortest file: `image: ./rootfs.tar.gz`',
    });
    return undefined;
  }
  const compose = takeCompose(parsed, problems);
  if (compose === undefined) return undefined;
  problems.sayAs(compose.names);
  const taken: Taken[] = [];
  const files: HostFile[] = [];
  const tools: HostTool[] = [];
  const borrowed: Borrowed[] = [];
  const filled = interpolateTree(compose.tree, options.env, problems, taken, borrowed);
  const tree = convertComposeValues(compose, filled, problems);
  const paths = new Paths(tree);
  const { raw, bad } = checkSchema(toPlainMap(tree.entries), paths, problems);
  const folder = realPath(options.folder ?? dirname(resolve(file)));
  const review = options.review ?? false;
  const allows = options.allows ?? (() => false);
  const spec = normalise(
    {
      problems,
      paths,
      bad,
      env: options.env,
      home: options.home,
      folder,
      review,
      taken,
      files,
      tools,
      borrowed,
      allows,
    },
    raw,
  );
  const where = (path: string): Position | undefined => {
    const span = paths.where(path);
    return span === undefined ? undefined : problems.position(span);
  };
  const named = review ? undefined : namedFiles(file, folder, files, options);
  return {
    file,
    folder,
    source,
    spec:
      named === undefined ? spec : { ...spec, volumes: spec.volumes.map((volume) => guarded(volume, named, allows)) },
    taken,
    files,
    tools,
    borrowed,
    warnings: problems.sorted(borrowed).filter((problem) => problem.severity === 'warning'),
    written: (path) => problems.source(path),
    where,
    places: () =>
      new Map(
        paths.all().flatMap((path) => {
          const at = where(path);
          return at === undefined ? [] : [[path, at] as const];
        }),
      ),
  };
}

/** The files to guard: the container file, container.yaml beside it, their locks, the files that it names, the folder of policies. */
function namedFiles(
  file: string,
  folder: string,
  files: readonly HostFile[],
  { env, home }: LoadOptions,
): GuardedFiles {
  const path = resolve(file);
  const config = env['XDG_CONFIG_HOME'];
  return {
    files: [
      join(realPath(dirname(path)), basename(path)),
      realPath(path),
      join(folder, 'container.yaml'),
      join(realPath(dirname(path)), lockName(path)),
      join(folder, 'container.lock'),
      ...files.map((one) => one.file),
    ],
    policies: join(realPath(config?.startsWith('/') === true ? config : join(home, '.config')), 'boxctl'),
    folder,
    home,
  };
}

/** The document of a container that is started again long after it was loaded: what its binds hold may be another now. */
export function guardAnew(document: SpecDocument, options: LoadOptions): SpecDocument {
  const { spec, file, folder, files } = document;
  const { allows = () => false } = options;
  const named = namedFiles(file, folder, files, options);
  const volumes = spec.volumes.map((volume): PlacedVolume => {
    if (volume.type !== 'bind') return volume;
    const { guards: _guards, exposed: _exposed, ...bare } = volume;
    return guarded(bare, named, allows);
  });
  return { ...document, spec: { ...spec, volumes } };
}

/** A folder that was not searched for files to guard is read-only as a whole. */
const UNSEEN: readonly Guard[] = [{ path: '', writable: false }];

function guarded(volume: PlacedVolume, named: GuardedFiles, allows: AllowsFile): PlacedVolume {
  if (volume.type !== 'bind' || volume.readOnly || volume.protect === false) return volume;
  const { source } = volume;
  if (!isWithin(source, named.folder) && !allows('bind', source, named.folder)) return { ...volume, guards: UNSEEN };
  if (!volume.propagation.endsWith('shared')) return { ...volume, ...guardsOf(source, named) };
  return {
    ...volume,
    exposed: ['its mounts are the host’s, too, so nothing in it can be covered for the container alone'],
  };
}

function invalid(file: string, diagnostics: readonly Diagnostic[]): BoxctlError {
  const errors = diagnostics.filter((one) => one.severity === 'error');
  const first = errors[0];
  const count = errors.length === 1 ? 'a problem' : `${errors.length} problems`;
  return new BoxctlError('E_SPEC_INVALID', `${file} has ${count}`, {
    diagnostics,
    ...(first?.at === undefined ? {} : { at: first.at }),
  });
}
