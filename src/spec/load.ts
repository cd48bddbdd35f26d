/** container.yaml to SpecDocument: the one way in. All problems of a file are told together. */
import { basename, dirname, join, resolve } from 'node:path';
import { BoxctlError, type Diagnostic } from '../errors.ts';
import { checkSchema } from './check.ts';
import { settleCompose } from './compose/settle.ts';
import { takeCompose } from './compose/take.ts';
import { guardsOf, type GuardedFiles } from './guards.ts';
import { normalise } from './normalise.ts';
import { Paths } from './paths.ts';
import { interpolateTree, toPlainMap } from './plain.ts';
import { Problems } from './problems.ts';
import { MAX_FILE_SIZE, readBounded, realPath } from './read.ts';
import type { HostFile, HostTool, SpecDocument, Taken } from './spec.ts';
import { parseTree } from './tree.ts';

export interface LoadOptions {
  /** What `${VAR}` and a bare KEY of the environment are looked up in. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What `~` is. */
  readonly home: string;
  /** What relative paths count from; by default the folder of the file. */
  readonly folder?: string;
  /** Files and folders that are named need not be there: the file is to be reviewed and not started. */
  readonly review?: boolean;
}

/**
 * Reads and checks a container file.
 * @throws BoxctlError E_SPEC_NOT_FOUND, E_SPEC_UNREADABLE, or E_SPEC_INVALID with all its `diagnostics`
 */
export const loadSpec = (file: string, options: LoadOptions): SpecDocument => {
  const read = readBounded(file);
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
  const problems = new Problems(file, '');
  const code = read.kind === 'size' ? 'E_SPEC_TOO_LARGE' : 'E_SPEC_ENCODING';
  problems.add(code, `the file cannot be used: ${read.problem}`, { at: { start: 0, end: 1 } });
  throw invalid(file, problems.sorted());
};

/**
 * The same for text that is already read; `file` names it in messages, and relative paths count from its folder.
 * Everything else that the text names (tarball, env_file, sources of binds) is looked at on disk.
 * @throws BoxctlError E_SPEC_INVALID with all its `diagnostics`
 */
export const loadSpecText = (text: string, file: string, options: LoadOptions): SpecDocument => {
  // A byte order mark is not part of the first line.
  const source = text.startsWith('\ufeff') ? text.slice(1) : text;
  const problems = new Problems(file, source);
  const document = load(source, file, options, problems);
  if (document === undefined || problems.failed) throw invalid(file, problems.sorted());
  return document;
};

const load = (source: string, file: string, options: LoadOptions, problems: Problems): SpecDocument | undefined => {
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
  const tree = settleCompose(compose, interpolateTree(compose.tree, options.env, problems, taken), problems);
  const paths = new Paths(tree);
  const { raw, bad } = checkSchema(toPlainMap(tree.entries), paths, problems);
  const folder = realPath(options.folder ?? dirname(resolve(file)));
  const review = options.review ?? false;
  const spec = normalise(
    { problems, paths, bad, env: options.env, home: options.home, folder, review, taken, files, tools },
    raw,
  );
  const named = review ? undefined : namedFiles(file, folder, files, options);
  return {
    file,
    folder,
    source,
    spec: named === undefined ? spec : { ...spec, volumes: spec.volumes.map((volume) => guarded(volume, named)) },
    taken,
    files,
    tools,
    warnings: problems.sorted().filter((problem) => problem.severity === 'warning'),
    where: (path) => {
      const span = paths.where(path);
      return span === undefined ? undefined : problems.position(span);
    },
  };
};

/** What the host believes of the project: the container file, one of the usual name beside it, what it names, policies. */
const namedFiles = (
  file: string,
  folder: string,
  files: readonly HostFile[],
  { env, home }: LoadOptions,
): GuardedFiles => {
  const path = resolve(file);
  const config = env['XDG_CONFIG_HOME'];
  return {
    files: [
      join(realPath(dirname(path)), basename(path)),
      realPath(path),
      join(folder, 'container.yaml'),
      ...files.map((one) => one.file),
    ],
    policies: join(realPath(config?.startsWith('/') === true ? config : join(home, '.config')), 'boxctl'),
    folder,
    home,
  };
};

type Placed = SpecDocument['spec']['volumes'][number];

const guarded = (volume: Placed, named: GuardedFiles): Placed => {
  if (volume.type !== 'bind' || volume.readOnly || volume.protect === false) return volume;
  if (!volume.propagation.endsWith('shared')) return { ...volume, ...guardsOf(volume.source, named) };
  return {
    ...volume,
    exposed: ['its mounts are the host’s, too, so nothing in it can be covered for the container alone'],
  };
};

const invalid = (file: string, diagnostics: readonly Diagnostic[]): BoxctlError => {
  const errors = diagnostics.filter((one) => one.severity === 'error');
  const first = errors[0];
  const count = errors.length === 1 ? 'a problem' : `${errors.length} problems`;
  return new BoxctlError('E_SPEC_INVALID', `${file} has ${count}`, {
    diagnostics,
    ...(first?.at === undefined ? {} : { at: first.at }),
  });
};
