import { BoxctlError } from '../../errors.ts';
import type { ImageFacts } from '../../model/image.ts';
import { existsSync } from '../../inputs/outside.ts';
import { resolve } from 'node:path';
import type { Invocation, Run } from '../command.ts';
import { isTerminal } from '../output.ts';
import { start } from '../start.ts';

function shellOf(image: ImageFacts | undefined): string {
  if (image === undefined) return 'sh';
  if (image.shell !== '') return image.shell;
  throw new BoxctlError('E_COMMAND_NOT_FOUND', 'the image has no shell', {
    hint: 'add sh to it, or run a program that it has: boxctl run FILE -- PROGRAM',
  });
}

/** Where there is no file of this name, it may be the name of a container that runs. */
function mayBeContainer({ args, cwd }: Invocation): boolean {
  const [word] = args.positionals;
  return word !== undefined && !word.includes('/') && !existsSync(resolve(cwd, word));
}

export const shell: Run = async (invocation) => {
  const terminal = isTerminal(0) && isTerminal(1);
  if (mayBeContainer(invocation)) {
    const status = await (await import('./shell-in.ts')).shellIn(invocation, terminal);
    if (status !== undefined) return status;
    const [word = ''] = invocation.args.positionals;
    throw new BoxctlError(
      'E_SPEC_NOT_FOUND',
      `${word}: there is no such file, and no container of yours is called so`,
      {
        hint: 'give the path of a container.yaml, or the name of a container that runs: boxctl ps lists them',
      },
    );
  }
  return start(invocation, (image) => ({
    entrypoint: [],
    command: [shellOf(image)],
    tty: terminal,
    stdinOpen: true,
  }));
};
