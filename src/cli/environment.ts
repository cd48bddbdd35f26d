/** From the arguments of a command to a specification, its host and its image. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { gatherHostFacts } from '../host/gather.ts';
import type { HostFacts } from '../host/facts.ts';
import { loadSpec } from '../spec/load.ts';
import type { SpecDocument } from '../spec/spec.ts';
import type { Invocation } from './command.ts';

/** A file that works as it is, wherever there is a shell. */
export const STARTER = `image: {host_tools: [sh, ls]}
command: [sh, -c, 'echo "hello from $$HOSTNAME"; ls /']
`;

const COMPOSE = ['compose.yaml', 'compose.yml', 'docker-compose.yaml', 'docker-compose.yml'] as const;
const NAMES = ['container.yaml', 'container.yml'] as const;

/** The file that is named, or the one that a folder has. */
export function specFile(invocation: Invocation, named = invocation.args.positionals[0]): string {
  if (named !== undefined) return named;
  const found = NAMES.find((name) => existsSync(join(invocation.cwd, name)));
  if (found !== undefined) return found;
  const compose = COMPOSE.find((name) => existsSync(join(invocation.cwd, name)));
  if (compose !== undefined) {
    throw new BoxctlError('E_SPEC_NOT_FOUND', `this folder has no container.yaml, and a ${compose}`, {
      hint: `a Compose file with one service is taken when it is named: boxctl up ${compose}`,
    });
  }
  throw new BoxctlError('E_SPEC_NOT_FOUND', 'this folder has no container.yaml', {
    hint: `name a file: boxctl up FILE; or make a container.yaml:\n\n${STARTER}`,
  });
}

export function homeOf(env: Invocation['env']): string {
  const home = env['HOME'];
  if (home?.startsWith('/') === true) return home;
  const uid = String(process.getuid?.() ?? 0);
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.split(':')[2] === uid);
  return line?.split(':')[5] ?? '/';
}

export function loadDocument(invocation: Invocation, file = specFile(invocation)): SpecDocument {
  return loadSpec(file, { env: invocation.env, home: homeOf(invocation.env) });
}

/** A file that is to be reviewed: what it names need not be there. */
export function loadForReview(invocation: Invocation, file = specFile(invocation)): SpecDocument {
  return loadSpec(file, { env: invocation.env, home: homeOf(invocation.env), review: true });
}

export function hostFacts(invocation: Invocation): HostFacts {
  return gatherHostFacts(invocation.env);
}

/** `-e KEY=VALUE`, and `-e KEY` for the caller's own value. */
export function environmentOptions(invocation: Invocation): Readonly<Record<string, string>> {
  const entries = invocation.args.values('env').flatMap((word): (readonly [string, string])[] => {
    const equals = word.indexOf('=');
    const name = equals < 0 ? word : word.slice(0, equals);
    if (name === '') throw new BoxctlError('E_USAGE', `--env ${word} has no name`, { hint: '--env KEY=VALUE' });
    const value = equals < 0 ? invocation.env[name] : word.slice(equals + 1);
    return value === undefined ? [] : [[name, value]];
  });
  return Object.fromEntries(entries);
}
