/**
 * Policy files: what a person, or the owner of a machine, allows for good. They lie outside of every project and belong to
 * root or to the caller, so that no file that is judged by them can write them.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { realHost } from '../host/read.ts';
import { followTrusted } from '../host/trusted.ts';
import { Paths } from '../yaml/paths.ts';
import { TextProblems } from '../yaml/problems.ts';
import { isWithin, MAX_FILE_SIZE, realPath } from '../files/read.ts';
import { parseTree, type Tree } from '../yaml/tree.ts';
import { parsePermit, type Base, type Permit } from './permits.ts';

export interface PolicyOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly euid: number;
  /** The folder of the file that is judged, with every link followed. */
  readonly folder: string;
}

/** The machine's, then the person's. */
export function policyFiles(env: PolicyOptions['env'], home: string): readonly string[] {
  const chosen = env['XDG_CONFIG_HOME'];
  const config = chosen?.startsWith('/') === true ? chosen : join(home, '.config');
  return ['/etc/boxctl/policy.yaml', join(config, 'boxctl/policy.yaml')];
}

/** The text of a policy file that can be trusted; undefined where there is none. */
function readTrusted(file: string, { euid, folder }: PolicyOptions): string | undefined {
  const { path, problem } = followTrusted(file, { euid, egid: process.getegid?.() ?? 0 }, (at) => realHost.entry(at));
  let fd: number;
  try {
    if (problem !== undefined) {
      // An unsafe folder matters only if there is a policy file in it.
      if (lstatSync(file, { throwIfNoEntry: false }) === undefined) return undefined;
      throw new BoxctlError('E_POLICY_UNSAFE', `the policy ${file} is not used: ${problem}, who could exchange it`, {
        hint: 'it must be a file of yours or root’s, in folders that nobody else may write to; with sudo, HOME may be another’s',
      });
    }
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch (error) {
    if (error instanceof BoxctlError) throw error;
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new BoxctlError('E_POLICY_UNREADABLE', `the policy ${file} cannot be read: ${String(code)}`);
  }
  try {
    const status = fstatSync(fd);
    const foreign = status.uid !== 0 && status.uid !== euid;
    if (!status.isFile() || status.size > MAX_FILE_SIZE || foreign || (status.mode & 0o022) !== 0) {
      throw new BoxctlError('E_POLICY_UNSAFE', `the policy ${file} is not used: others could have written it`, {
        hint: 'it must be a file of yours or root’s that nobody else may write: chmod go-w, chown',
      });
    }
    if (isWithin(realPath(file), folder)) {
      throw new BoxctlError(
        'E_POLICY_UNSAFE',
        `the policy ${file} is not used: it lies in ${folder}, which it judges`,
        {
          hint: 'give the container file a folder of its own, or allow what it needs with --allow',
        },
      );
    }
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}

/** `allow: […]` for every file, `folders: {/path: […]}` for those beneath a folder. Everything else is an error. */
export function parsePolicy(text: string, file: string, base: Base & { readonly judged: string }): readonly Permit[] {
  const problems = new TextProblems(file, text);
  const tree = parseTree(text, problems);
  const permits: Permit[] = [];
  const paths = tree === undefined ? undefined : new Paths(tree);
  const wrong = (path: string, message: string, hint?: string): void =>
    problems.add('E_POLICY_INVALID', message, { path, at: paths?.where(path) ?? { start: 0, end: 1 }, hint });
  const list = (node: Tree, path: string): readonly Permit[] => {
    if (node.kind !== 'list') {
      wrong(path, 'must be a list of what is allowed', 'such as [namespace=net, bind=/data:ro]');
      return [];
    }
    return node.items.flatMap((item, index) => {
      try {
        if (item.kind === 'scalar' && typeof item.value === 'string') return [parsePermit(item.value, base)];
        wrong(`${path}.${index}`, 'must be text, such as bind=/data:ro');
      } catch (error) {
        if (!(error instanceof BoxctlError)) throw error;
        wrong(`${path}.${index}`, error.message, error.hint);
      }
      return [];
    });
  };
  if (tree !== undefined && tree.kind !== 'map') wrong('', 'a policy is a map with `allow` and `folders`');
  for (const [key, { value }] of tree?.kind === 'map' ? tree.entries : []) {
    if (key === 'allow') permits.push(...list(value, key));
    else if (key !== 'folders') wrong(key, `there is no key \`${key}\``, 'the keys are: allow, folders');
    else if (value.kind !== 'map') wrong(key, '`folders` is a map of folders to what is allowed there');
    else {
      for (const [folder, entry] of value.entries) {
        const path = `folders.${folder}`;
        const found = list(entry.value, path);
        if (!folder.startsWith('/')) wrong(path, `"${folder}" is no absolute folder`);
        else if (isWithin(base.judged, folder.replace(/(?<=.)\/+$/u, ''))) permits.push(...found);
      }
    }
  }
  const diagnostics = problems.sorted();
  if (diagnostics.length === 0) return permits;
  throw new BoxctlError('E_POLICY_INVALID', `the policy ${file} has mistakes`, { diagnostics });
}

/**
 * What the policy files of this machine and person allow a container file in `options.folder`.
 *
 * @throws BoxctlError E_POLICY_UNREADABLE, E_POLICY_UNSAFE, E_POLICY_INVALID
 */
export function readPolicies(options: PolicyOptions): readonly Permit[] {
  return policyFiles(options.env, options.home).flatMap((file) => {
    const text = readTrusted(file, options);
    if (text === undefined) return [];
    return parsePolicy(text, file, { folder: '/', home: options.home, judged: options.folder });
  });
}
