/**
 * What a policy file says of images of registries (`images`): whether they are taken, and by which keys they must be signed.
 * The rule with the longest scope decides in each policy file, and all policy files must be satisfied.
 */
import { dirname, resolve } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { parsePublicKey, type PublicKey } from '../spec/public-key.ts';
import type { Verification } from '../spec/spec.ts';
import { DOCKER_HUB, isProblem, parseImageName, parseRegistry, repositoryOf } from '../text/image-name.ts';
import type { Tree } from '../yaml/tree.ts';
import { readTrusted, type Judge } from './trusted-file.ts';

export interface ImageRule {
  /** `*`, or a registry and the beginning of a path: `docker.io/library`. */
  readonly scope: string;
  /** The scope ends with `/`: the repository of exactly this name is not in it. */
  readonly onlyBelow: boolean;
  readonly accept: 'signed' | 'anything' | 'nothing';
  /** Absolute paths of public keys, of which one is enough. */
  readonly keys: readonly string[];
  /** The repository that signatures must name, where that is another one. */
  readonly identity: string | undefined;
  /** The policy file. */
  readonly file: string;
}

/** A repository of a registry. */
export interface Named {
  readonly registry: string;
  readonly repository: string;
}

/** The same registry can be written with the port that is meant without one. */
const withoutPort = (registry: string): string => {
  const bare = registry.replace(/:(?:443|80)$/u, '');
  const parsed = parseRegistry(bare);
  return isProblem(parsed) ? bare : parsed.registry;
};

function isIn({ scope, onlyBelow }: ImageRule, { registry, repository }: Named): boolean {
  const name = `${withoutPort(registry)}/${repository}`;
  return scope === '*' || name.startsWith(`${scope}/`) || (!onlyBelow && name === scope);
}

/** The rule of one policy file that decides; undefined: it says nothing of this repository. */
export function ruleFor(rules: readonly ImageRule[], named: Named): ImageRule | undefined {
  const length = ({ scope, onlyBelow }: ImageRule): number =>
    scope === '*' ? 0 : scope.length + (onlyBelow ? 0 : 0.5);
  return rules.filter((rule) => isIn(rule, named)).toSorted((one, other) => length(other) - length(one))[0];
}

type Wrong = (path: string, message: string, hint?: string) => undefined;

const SCOPES = 'a registry, a registry and the beginning of a path, or "*": registry.example.com, docker.io/library/';

/** Of `images` in a policy file. Everything that is not understood is an error: a rule that never applies protects nothing. */
export function parseImageRules(
  tree: Tree,
  base: { readonly file: string; readonly home: string },
  wrong: Wrong,
): readonly ImageRule[] {
  if (tree.kind !== 'map') {
    wrong('images', '`images` is a map of registries to what is taken from there', SCOPES);
    return [];
  }
  const rules: ImageRule[] = [];
  for (const [text, { value }] of tree.entries) {
    const path = `images.${text}`;
    const scope = scopeOf(text, (message, hint) => wrong(path, message, hint));
    const rule = ruleOf(value, path, base, wrong);
    if (scope === undefined || rule === undefined) continue;
    const twin = rules.find((one) => one.scope === scope.scope && one.onlyBelow === scope.onlyBelow);
    if (twin !== undefined) wrong(path, `there is another rule for ${text}`);
    rules.push({ ...scope, ...rule });
  }
  return rules;
}

function scopeOf(
  text: string,
  wrong: (message: string, hint?: string) => undefined,
): Pick<ImageRule, 'scope' | 'onlyBelow'> | undefined {
  if (text === '*') return { scope: '*', onlyBelow: false };
  const slash = text.indexOf('/');
  const host = slash < 0 ? text : text.slice(0, slash);
  const rest = slash < 0 ? '' : text.slice(slash + 1);
  const isBelow = rest.endsWith('/');
  const path = isBelow ? rest.slice(0, -1) : rest;
  // A name without one of these marks is no registry where images are named, so such a rule would never apply.
  if (!/[.:]/u.test(host) && host !== 'localhost') return wrong(`"${text}" names no registry`, SCOPES);
  const registry = parseRegistry(host);
  if (isProblem(registry)) return wrong(`"${text}" cannot be used: ${registry.problem}`, registry.hint);
  const plain = withoutPort(registry.registry);
  if (path === '') return { scope: plain, onlyBelow: false };
  const name = parseImageName(`${plain}/${path}`);
  if (isProblem(name)) return wrong(`"${text}" cannot be used: ${name.problem}`, name.hint);
  if (name.tag !== undefined || name.digest !== undefined) {
    return wrong(`"${text}" has a tag or a digest`, 'a rule is for all images of a repository');
  }
  if (plain === DOCKER_HUB && !path.includes('/') && path !== 'library' && !isBelow) {
    return wrong(
      `"${text}" can mean the image docker.io/library/${path}, or all that is beneath docker.io/${path}/`,
      'write the one that is meant',
    );
  }
  return { scope: `${plain}/${path}`, onlyBelow: isBelow };
}

const ACCEPT = ['signed', 'anything', 'nothing'] as const;

function ruleOf(
  tree: Tree,
  path: string,
  base: { readonly file: string; readonly home: string },
  wrong: Wrong,
): Omit<ImageRule, 'scope' | 'onlyBelow'> | undefined {
  if (tree.kind !== 'map') {
    return wrong(path, 'a rule is a map with `verify` or `accept`', '{verify: {key: /etc/boxctl/cosign.pub}}');
  }
  const unknown = [...tree.entries.keys()].find((key) => key !== 'verify' && key !== 'accept');
  if (unknown !== undefined) {
    return wrong(`${path}.${unknown}`, `there is no key \`${unknown}\``, 'the keys are: verify, accept');
  }
  const [accepts, verify] = [tree.entries.get('accept')?.value, tree.entries.get('verify')?.value];
  const said = accepts?.kind === 'scalar' ? ACCEPT.find((word) => word === accepts.value) : undefined;
  if (accepts !== undefined && said === undefined) {
    return wrong(`${path}.accept`, `must be one of ${ACCEPT.join(', ')}`);
  }
  if (said === 'anything' || said === 'nothing') {
    if (verify !== undefined) return wrong(`${path}.verify`, `contradicts \`accept: ${said}\``);
    return { accept: said, keys: [], identity: undefined, file: base.file };
  }
  if (verify === undefined) {
    return wrong(path, 'does not say by which key images must be signed', '{verify: {key: /etc/boxctl/cosign.pub}}');
  }
  const demanded = verifyOf(verify, `${path}.verify`, base, wrong);
  return demanded === undefined ? undefined : { accept: 'signed', ...demanded, file: base.file };
}

function verifyOf(
  tree: Tree,
  path: string,
  { file, home }: { readonly file: string; readonly home: string },
  wrong: Wrong,
): Pick<ImageRule, 'keys' | 'identity'> | undefined {
  if (tree.kind !== 'map') return wrong(path, 'must be a map with `key`', '{key: /etc/boxctl/cosign.pub}');
  const unknown = [...tree.entries.keys()].find((key) => key !== 'key' && key !== 'identity');
  if (unknown !== undefined) {
    return wrong(`${path}.${unknown}`, `there is no key \`${unknown}\``, 'the keys are: key, identity');
  }
  const key = tree.entries.get('key')?.value;
  const paths = key?.kind === 'list' ? key.items : [key];
  const texts = paths.flatMap((one) => (one?.kind === 'scalar' && typeof one.value === 'string' ? one.value : []));
  if (texts.length !== paths.length || texts.length === 0 || texts.includes('')) {
    return wrong(`${path}.key`, 'must be the path of a public key, or a list of them');
  }
  const keys = texts.map((text) =>
    text.startsWith('~/') ? resolve(home, text.slice(2)) : resolve(dirname(file), text),
  );
  const named = tree.entries.get('identity')?.value;
  if (named === undefined) return { keys, identity: undefined };
  const identity = named.kind === 'scalar' && typeof named.value === 'string' ? repositoryOf(named.value) : undefined;
  if (identity === undefined) {
    return wrong(`${path}.identity`, 'must be a repository in full, without a tag', 'docker.io/library/alpine');
  }
  return { keys, identity };
}

/**
 * What the rules of all policy files demand of an image of this repository.
 *
 * @throws BoxctlError E_IMAGE_NOT_ACCEPTED; E_SIGNATURE_KEY, E_POLICY_UNSAFE, E_POLICY_UNREADABLE for a key
 */
export function demandedOf(
  policies: readonly (readonly ImageRule[])[],
  named: Named,
  judge: Judge,
): readonly Verification[] {
  return policies.flatMap((rules): readonly Verification[] => {
    const rule = ruleFor(rules, named);
    if (rule === undefined || rule.accept === 'anything') return [];
    if (rule.accept === 'nothing') {
      throw new BoxctlError(
        'E_IMAGE_NOT_ACCEPTED',
        `images of ${named.registry}/${named.repository} are not taken: the policy ${rule.file} says \`accept: nothing\` for ${rule.scope}`,
        { hint: 'a rule with a longer scope makes an exception: `accept: anything`, or `verify: {key: …}`' },
      );
    }
    const keys = rule.keys.map((path) => keyOf(path, rule, judge));
    return [rule.identity === undefined ? { keys } : { keys, identity: rule.identity }];
  });
}

function keyOf(path: string, { file }: ImageRule, judge: Judge): PublicKey {
  const text = readTrusted(path, 'public key', judge);
  const key =
    text === undefined
      ? { problem: 'there is no such file', hint: 'put it there, or change the policy' }
      : parsePublicKey(text, path);
  if (!('problem' in key)) return key;
  throw new BoxctlError(
    'E_SIGNATURE_KEY',
    `the public key ${path} of the policy ${file} cannot be used: ${key.problem}`,
    {
      hint: key.hint,
    },
  );
}
