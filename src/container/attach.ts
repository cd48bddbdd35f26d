/** The caller's terminal or streams at a container that runs in the background. */
import { closeSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { errnoName } from '../kernel/errno.ts';
import { ORDER } from '../kernel/wire.ts';
import { order } from '../launcher/launch.ts';
import { attach, connectTo, passSignals, restoreTerminal, terminalState, type AttachEnd } from '../native.ts';
import type { Ending } from '../run/ending.ts';
import { controlSocket, isLocked, readKeptModel, type KeptContainer } from '../state/containers.ts';
import { stateOf } from './existing.ts';
import { forwardSignals } from './signals.ts';

export interface AttachOptions {
  /** What is typed goes to the command, where the file has `stdin_open`. Default: true. */
  readonly input?: boolean;
  /** The bytes that end it. Default: Ctrl-P Ctrl-Q. */
  readonly detachKeys?: Uint8Array;
  /** Signals to this process go to the command. Default: true. */
  readonly passesSignals?: boolean;
  /** The container is about to be started, perhaps once more: nothing of the run before is passed on. Default: false. */
  readonly fromStart?: boolean;
  readonly say?: (message: string) => void;
}

export type Attached =
  | { readonly kind: 'detached' }
  /** `ending`: why, where it is known and the container was not started again. */
  | { readonly kind: 'ended'; readonly status: number; readonly ending: Ending | undefined };

const DETACH_KEYS = new Uint8Array([0x10, 0x11]);
const ENDS_PROCESS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
/** Milliseconds until the launcher of a command that has ended is gone. */
const LAST_WORDS = 5000;

/**
 * Carries descriptors 0, 1 and 2 to the container and back, until its command ends or the keys are typed. All that its command writes
 * after the call is seen.
 *
 * @throws BoxctlError `E_CONTAINER_NOT_RUNNING`; `E_ATTACH_CUT_OFF` where this process did not keep up
 */
export async function attachTo(
  host: HostFacts,
  container: KeptContainer,
  options: AttachOptions = {},
): Promise<Attached> {
  const { name, folder } = container;
  const { input = true, detachKeys = DETACH_KEYS, passesSignals = true, fromStart = false } = options;
  const { say = () => undefined } = options;
  const model = readKeptModel(container);
  const socket = connectToRunning(host, container);
  const terminal = model?.config.process.terminal ?? false;
  const restore = keepTerminal();
  const stop = passesSignals ? passAll(socket, say) : endBySignals();
  let end: AttachEnd;
  try {
    const takesInput = input && (model?.stdinOpen ?? false);
    end = await new Promise((resolve) => attach(socket, takesInput, terminal, fromStart, detachKeys, resolve));
  } finally {
    stop();
    restore();
    closeSync(socket);
  }
  if (end.how === 'detached') return { kind: 'detached' };
  if (end.how === 'output') {
    throw new BoxctlError('E_OUTPUT', `what ${name} writes cannot be passed on: ${errnoName(end.value)}`, {
      hint: 'the container goes on',
    });
  }
  for (let waited = 0; waited < LAST_WORDS && isLocked(folder); waited += 50) {
    if (end.how === 'gone') break;
    await sleep(50);
  }
  if (!isLocked(folder)) {
    const { ending } = stateOf({ ...container, isAlive: false });
    return { kind: 'ended', status: ending?.status ?? 125, ending };
  }
  if (end.how === 'gone') {
    throw new BoxctlError('E_ATTACH_CUT_OFF', `cut off from ${name}: what it writes was not taken for 2 seconds`, {
      hint: `the container goes on; boxctl logs ${name} has what was missed`,
    });
  }
  return { kind: 'ended', status: end.how === 'exited' ? end.value : 128 + end.value, ending: undefined };
}

function connectToRunning(host: HostFacts, { name, id, isAlive, isForeground }: KeptContainer): number {
  if (isForeground === true) {
    throw new BoxctlError(
      'E_CONTAINER_FOREGROUND',
      `the container ${name} runs in the foreground of another terminal`,
      {
        hint: `its output is there; boxctl exec -it ${name} sh is a shell in it`,
      },
    );
  }
  try {
    if (isAlive) return connectTo(dirname(controlSocket(host, id)), id);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
  }
  throw new BoxctlError('E_CONTAINER_NOT_RUNNING', `the container ${name} does not run`, {
    hint: `boxctl logs ${name} has what it wrote`,
  });
}

/** Puts the terminal's mode back however this process ends, but for SIGKILL. */
function keepTerminal(): () => void {
  const state = terminalState(0);
  if (state === undefined) return () => undefined;
  const restore = (): void => restoreTerminal(0, state);
  process.on('exit', restore);
  return () => {
    process.off('exit', restore);
    restore();
  };
}

function passAll(socket: number, say: (message: string) => void): () => void {
  const send = (signal: number): void => {
    try {
      writeSync(socket, order(ORDER.signal, signal));
    } catch {
      // The launcher has just ended.
    }
  };
  const stop = forwardSignals(send, say);
  passSignals(socket, 0);
  return stop;
}

/** They end this process, as without a handler, once the terminal is put back. */
function endBySignals(): () => void {
  const listeners = ENDS_PROCESS.map((name) => {
    const listener = (): void => process.exit(128 + constants.signals[name]);
    process.on(name, listener);
    return () => process.off(name, listener);
  });
  return () => listeners.forEach((remove) => remove());
}
