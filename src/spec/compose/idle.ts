/** Values of Compose that ask for what is so anyway: nothing has to be done for them. */
import type { Tree } from '../../yaml/tree.ts';

const IDLE: Readonly<Record<string, readonly string[]>> = {
  attach: ['true'],
  'healthcheck.disable': ['true'],
  isolation: ['default'],
  oom_kill_disable: ['false'],
  pull_policy: ['never'],
  restart: ['no', 'false'],
  scale: ['1'],
  use_api_socket: ['false'],
  'deploy.mode': ['replicated'],
  'deploy.replicas': ['1'],
  'deploy.restart_policy.condition': ['none'],
};

export const IDLE_KEYS: readonly string[] = Object.keys(IDLE).map((path) => path.replace(/\..*/u, ''));

export function isIdle(path: string, tree: Tree): boolean {
  if (tree.kind === 'scalar') return Object.hasOwn(IDLE, path) && IDLE[path]?.includes(tree.text) === true;
  return tree.kind === 'map' && [...tree.entries].every(([key, { value }]) => isIdle(`${path}.${key}`, value));
}
