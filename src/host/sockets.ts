/** The sockets that boxctl was started with, by systemd or another program that activates services (sd_listen_fds(3)). */
import { BoxctlError, type BoxctlErrorOptions } from '../errors.ts';
import { isSocket } from '../inputs/outside.ts';
import { noteGap } from '../inputs/record.ts';
import { FIRST_SOCKET, MAX_SOCKETS } from '../kernel/wire.ts';
import type { GivenSockets } from './facts.ts';

/** As systemd has names: no control characters, and no colon, which is between two of them. */
const NAMES = /^[\x20-\x7e]*$/u;
const LONGEST_NAME = 255;

/** Who it is for, where that is another process; undefined: for this one. */
export function otherReceiver(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const receiver = env['LISTEN_PID'];
  if (env['LISTEN_FDS'] === undefined) return undefined;
  // Another process may have that number the next time.
  noteGap('boxctl was started with LISTEN_FDS');
  if (receiver === String(process.pid)) return undefined;
  return receiver ?? '';
}

/**
 * Undefined: none, or they are for another process (LISTEN_PID).
 *
 * @throws BoxctlError E_SOCKETS where they are not what LISTEN_FDS and LISTEN_FDNAMES say
 */
export function givenSockets(
  env: Readonly<Record<string, string | undefined>>,
  at: BoxctlErrorOptions,
): GivenSockets | undefined {
  const text = env['LISTEN_FDS'];
  if (text === undefined || otherReceiver(env) !== undefined) return undefined;
  const fail = (message: string, hint: string): never => {
    throw new BoxctlError('E_SOCKETS', message, { ...at, hint });
  };
  const count = /^\d{1,6}$/u.test(text) ? Number(text) : -1;
  if (count < 0) fail('LISTEN_FDS is no number of sockets', 'systemd-socket-activate(1) sets it');
  if (count > MAX_SOCKETS) {
    fail(
      `boxctl was started with ${count} sockets, and passes ${MAX_SOCKETS} on at most`,
      'make it several containers',
    );
  }
  if (count === 0) return undefined;
  for (let fd = FIRST_SOCKET; fd < FIRST_SOCKET + count; fd++) {
    const found = isSocket(fd);
    if (found === true) continue;
    const message = `descriptor ${fd} of the ${count} that LISTEN_FDS promises is ${found === undefined ? 'not open' : 'no socket'}`;
    fail(message, 'a unit passes sockets alone: ListenStream=, ListenDatagram=, ListenSequentialPacket=');
  }
  const names = env['LISTEN_FDNAMES']?.split(':');
  const isNamed =
    names === undefined ||
    (names.length === count && names.every((name) => NAMES.test(name) && name.length <= LONGEST_NAME));
  if (!isNamed)
    fail(`LISTEN_FDNAMES are not the names of ${count} sockets`, 'FileDescriptorName= in the socket’s unit');
  return { count, names };
}
