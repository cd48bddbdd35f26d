import { BoxctlError } from '../errors.ts';

/** The error where an ordinary user would join a container whose first process is boxctl's init, which is not dumpable. */
export const closed = (name: string): BoxctlError =>
  new BoxctlError(
    'E_CONTAINER_CLOSED',
    `an ordinary user cannot join the container ${name}: its first process is boxctl’s init`,
    { hint: 'leave `init` out of its file, or run it as root' },
  );
