/** From the arguments of a command to a specification, its host and its image. */
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { existsSync } from '../inputs/outside.ts';
import { gatherHostFacts } from '../host/gather.ts';
import type { HostFacts } from '../host/facts.ts';
import { redactor } from '../text/borrowed.ts';
import { loadSpec, type LoadOptions } from '../spec/load.ts';
import type { SpecDocument } from '../spec/spec.ts';
import type { Invocation } from './command.ts';
import { homeOf } from './home.ts';
import { hideInOutput } from './output.ts';
import { filesAllowedBy } from './trust.ts';

/** An example file that works on every host that has sh and ls. */
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

export function loadOptions(invocation: Invocation, file: string): LoadOptions {
  return { env: invocation.env, home: homeOf(invocation.env), allows: filesAllowedBy(invocation, file) };
}

/** `--show-values`: values of the caller's environment and of env_files are printed, too. */
export function showsValues({ args }: Invocation): boolean {
  return args.flag('show-values');
}

/** Values that the document has from the environment or from files are replaced in all later output. */
export function hiding(invocation: Invocation, document: SpecDocument): SpecDocument {
  if (!showsValues(invocation)) hideInOutput(redactor(document.borrowed));
  return document;
}

export function loadDocument(invocation: Invocation, file = specFile(invocation)): SpecDocument {
  return hiding(invocation, loadSpec(file, loadOptions(invocation, file)));
}

/** A file that is to be reviewed: what it names need not be there. */
export function loadForReview(invocation: Invocation, file = specFile(invocation)): SpecDocument {
  return hiding(invocation, loadSpec(file, { ...loadOptions(invocation, file), review: true }));
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
