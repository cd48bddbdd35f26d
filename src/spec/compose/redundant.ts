/** Values of Compose that ask for what boxctl does anyway. A key with such a value is ignored. */
import type { Tree } from '../../yaml/tree.ts';

const REDUNDANT: Readonly<Record<string, readonly string[]>> = {
  attach: ['true'],
  isolation: ['default'],
  oom_kill_disable: ['false'],
  restart: ['no', 'false'],
  scale: ['1'],
  use_api_socket: ['false'],
  'deploy.mode': ['replicated'],
  'deploy.replicas': ['1'],
  'deploy.restart_policy.condition': ['none'],
};

export const REDUNDANT_KEYS: readonly string[] = Object.keys(REDUNDANT).flatMap((path) => path.split('.', 1));

export function isRedundant(path: string, tree: Tree): boolean {
  if (tree.kind === 'scalar') return Object.hasOwn(REDUNDANT, path) && REDUNDANT[path]?.includes(tree.text) === true;
  return tree.kind === 'map' && [...tree.entries].every(([key, { value }]) => isRedundant(`${path}.${key}`, value));
}
