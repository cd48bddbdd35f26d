import { isatty } from 'node:tty';
import { BoxctlError } from '../../errors.ts';
import type { ImageFacts } from '../../image/image.ts';
import { statInRoot } from '../../run/native.ts';
import type { Run } from '../command.ts';
import { start } from '../start.ts';

const SHELLS = ['/bin/bash', '/usr/bin/bash', '/bin/sh', '/usr/bin/sh'];

function shellOf(image: ImageFacts | undefined): string {
  if (image === undefined) return 'sh';
  const found = SHELLS.find((path) => statInRoot(image.rootfs, path) !== undefined);
  if (found !== undefined) return found;
  throw new BoxctlError('E_COMMAND_NOT_FOUND', 'the image has no shell', {
    hint: 'add sh to it, or run a program that it has: boxctl run FILE -- PROGRAM',
    exitCode: 127,
  });
}

export const shell: Run = (invocation) => {
  const terminal = isatty(0) && isatty(1);
  return start(invocation, (image) => ({
    entrypoint: [],
    command: [shellOf(image)],
    tty: terminal,
    stdinOpen: true,
  }));
};
