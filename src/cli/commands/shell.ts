import { BoxctlError } from '../../errors.ts';
import type { ImageFacts } from '../../model/image.ts';
import type { Run } from '../command.ts';
import { isTerminal } from '../output.ts';
import { start } from '../start.ts';

function shellOf(image: ImageFacts | undefined): string {
  if (image === undefined) return 'sh';
  if (image.shell !== '') return image.shell;
  throw new BoxctlError('E_COMMAND_NOT_FOUND', 'the image has no shell', {
    hint: 'add sh to it, or run a program that it has: boxctl run FILE -- PROGRAM',
  });
}

export const shell: Run = (invocation) => {
  const terminal = isTerminal(0) && isTerminal(1);
  return start(invocation, (image) => ({
    entrypoint: [],
    command: [shellOf(image)],
    tty: terminal,
    stdinOpen: true,
  }));
};
