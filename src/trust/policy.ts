/**
 * Policy files: what a person, or the owner of a machine, allows for good. They lie outside of every project and belong to
 * root or to the caller, so that no file that is judged by them can write them.
 */
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { Paths } from '../yaml/paths.ts';
import { TextProblems } from '../yaml/problems.ts';
import { isWithin } from '../files/read.ts';
import { parseTree, type Tree } from '../yaml/tree.ts';
import { parseImageRules, type ImageRule } from './image-rules.ts';
import { parsePermit, type Base, type Permit } from './permits.ts';
import { readTrusted } from './trusted-file.ts';

/** Whose policy files are read. */
export interface PolicyOwner {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly euid: number;
}

export interface PolicyOptions extends PolicyOwner {
  /** The folder of the file that is judged, with every link followed. */
  readonly folder: string;
}

/** The machine's, then the person's. */
export function policyFiles(env: PolicyOwner['env'], home: string): readonly string[] {
  const chosen = env['XDG_CONFIG_HOME'];
  const config = chosen?.startsWith('/') === true ? chosen : join(home, '.config');
  return ['/etc/boxctl/policy.yaml', join(config, 'boxctl/policy.yaml')];
}

export interface Policy {
  readonly permits: readonly Permit[];
  readonly images: readonly ImageRule[];
}

/**
 * `allow: […]` for every file, `folders: {/path: […]}` for those beneath a folder, `images: {REGISTRY: …}` for images of
 * registries. Everything else is an error.
 */
export function parsePolicy(text: string, file: string, base: Base & { readonly judged: string }): Policy {
  const problems = new TextProblems(file, text);
  const tree = parseTree(text, problems);
  const permits: Permit[] = [];
  const images: ImageRule[] = [];
  const paths = tree === undefined ? undefined : new Paths(tree);
  const wrong = (path: string, message: string, hint?: string): undefined =>
    void problems.add('E_POLICY_INVALID', message, { path, at: paths?.where(path) ?? { start: 0, end: 1 }, hint });
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
  if (tree !== undefined && tree.kind !== 'map') wrong('', 'a policy is a map with `allow`, `folders` and `images`');
  for (const [key, { value }] of tree?.kind === 'map' ? tree.entries : []) {
    if (key === 'allow') permits.push(...list(value, key));
    else if (key === 'images') images.push(...parseImageRules(value, { file, home: base.home }, wrong));
    else if (key !== 'folders') wrong(key, `there is no key \`${key}\``, 'the keys are: allow, folders, images');
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
  if (diagnostics.length === 0) return { permits, images };
  throw new BoxctlError('E_POLICY_INVALID', `the policy ${file} has mistakes`, { diagnostics });
}

/** What the policy files of this machine and person say. @throws BoxctlError E_POLICY_UNREADABLE, E_POLICY_UNSAFE, E_POLICY_INVALID */
function readAll(options: PolicyOwner & Partial<PolicyOptions>): readonly Policy[] {
  return policyFiles(options.env, options.home).flatMap((file) => {
    const text = readTrusted(file, 'policy', options);
    if (text === undefined) return [];
    return [parsePolicy(text, file, { folder: '/', home: options.home, judged: options.folder ?? '/' })];
  });
}

/**
 * What the policy files of this machine and person allow a container file in `options.folder`.
 *
 * @throws BoxctlError E_POLICY_UNREADABLE, E_POLICY_UNSAFE, E_POLICY_INVALID
 */
export function readPolicies(options: PolicyOptions): readonly Permit[] {
  return readAll(options).flatMap(({ permits }) => permits);
}

/**
 * What each policy file says of images of registries. Such rules only take, so it does not matter which container file is judged:
 * who could write them could as well remove them. Throws as readPolicies does.
 */
export function readImageRules(options: PolicyOwner): readonly (readonly ImageRule[])[] {
  return readAll(options).map(({ images }) => images);
}
