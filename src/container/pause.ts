/** Stops all processes of a container where they are, and lets them go on (the freezer of control groups). */
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { note } from '../state/journal.ts';
import { freezerOf, isPaused, markPaused, type Freezer } from '../state/paused.ts';
import type { RunningContainer } from './existing.ts';

/** As long as the kernel is given to stop all processes; one may be in a system call that cannot be left. */
const PATIENCE_MS = 5000;
const INTERVAL_MS = 5;

function write(name: string, { file }: Freezer, word: string): void {
  try {
    writeFileSync(file, word);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    throw new BoxctlError('E_CONTAINER_NO_CGROUP', `the container ${name} cannot be paused: ${file}: ${code}`, {
      hint: 'its cgroup belongs to another user, or it has just ended',
      cause: error,
    });
  }
}

function freezer({ name, id, first, isForeground }: RunningContainer, { euid }: HostFacts): Freezer {
  const found = freezerOf(id, first.pid);
  if (found !== undefined) return found;
  const limit = 'give it a limit, and with it a cgroup: `limits: {pids: 1000}`';
  const hint =
    euid === 0 && isForeground === true ? `start it in the background: boxctl up --detach; or ${limit}` : limit;
  throw new BoxctlError('E_CONTAINER_NO_CGROUP', `the container ${name} has no cgroup of its own to be paused by`, {
    hint,
  });
}

/** @throws BoxctlError `E_CONTAINER_PAUSED` where it is, `E_CONTAINER_NO_CGROUP` where it cannot be */
export async function pauseContainer(host: HostFacts, container: RunningContainer): Promise<void> {
  const { name, first } = container;
  if (isPaused(container, first.pid)) {
    throw new BoxctlError('E_CONTAINER_PAUSED', `the container ${name} is paused already`, {
      hint: `boxctl unpause ${name}`,
    });
  }
  const way = freezer(container, host);
  markPaused(container, true);
  for (let waited = 0; waited < PATIENCE_MS; waited += INTERVAL_MS) {
    // Version 1 tries it for a while, and then has to be asked again (freezer-subsystem.rst).
    if (waited === 0 || way.version === 1) write(name, way, way.freeze);
    if (way.isFrozen()) return note(host, container, 'pause');
    await sleep(INTERVAL_MS);
  }
  write(name, way, way.thaw);
  markPaused(container, false);
  throw new BoxctlError('E_CONTAINER_PAUSED', `not all processes of the container ${name} could be stopped`, {
    hint: 'one of them waits for a disk or a network file system: try it again later',
  });
}

/** @throws BoxctlError `E_CONTAINER_NOT_PAUSED` */
export function unpauseContainer(host: HostFacts, container: RunningContainer): void {
  const { name, first } = container;
  if (!isPaused(container, first.pid)) {
    throw new BoxctlError('E_CONTAINER_NOT_PAUSED', `the container ${name} is not paused`);
  }
  const way = freezer(container, host);
  write(name, way, way.thaw);
  markPaused(container, false);
  note(host, container, 'unpause');
}
