/** Ends containers, also those that are paused: what is frozen takes no signal but SIGKILL, and on version 1 not even that. */
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HostFacts } from '../host/facts.ts';
import { signalProcess } from '../native.ts';
import { readRun } from '../state/container-runs.ts';
import { readKeptPlan, type KeptContainer } from '../state/containers.ts';
import { connect, type Control } from '../state/control.ts';
import { note } from '../state/journal.ts';
import { freezerOf, isPaused, markPaused } from '../state/paused.ts';
import { birthOf, firstProcess, type FirstProcess } from '../state/running.ts';

const SIGKILL = 9;
const SIGTERM = 15;

type Freezable = Pick<KeptContainer, 'id' | 'folder' | 'isForeground' | 'pid' | 'isAlive'>;

/** Lets a paused container go on. False: it is not paused. */
export function thaw(container: Freezable): boolean {
  const pid = container.pid ?? readRun(container).pid;
  if (pid === undefined || !isPaused(container, pid)) return false;
  const freezer = freezerOf(container.id, pid);
  try {
    if (freezer !== undefined) writeFileSync(freezer.file, freezer.thaw);
  } catch {
    // It has ended meanwhile.
  }
  markPaused(container, false);
  return true;
}

/** Asks a launcher for the end by `ask`, and waits for it. */
export async function endBy(container: Freezable, control: Control, ask: () => void): Promise<void> {
  ask();
  // After the signal, so that the first thing that it does is to take it.
  thaw(container);
  await control.gone;
}

function parentOf(pid: number): number | undefined {
  try {
    return Number(/^PPid:\s*(\d+)$/mu.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  } catch {
    return undefined;
  }
}

/** The launcher of a container in the foreground: the parent of what it has made. */
export function launcherOf({ outer, ...inside }: FirstProcess): FirstProcess | undefined {
  const first = outer ?? inside;
  const pid = parentOf(first.pid);
  const birth = pid === undefined || pid <= 1 ? undefined : birthOf(pid);
  // As long as the one is the other's parent, neither has ended: their numbers are theirs.
  const isStill = birthOf(first.pid) === first.birth && parentOf(first.pid) === pid;
  return pid === undefined || birth === undefined || !isStill ? undefined : { pid, birth };
}

const INTERVAL_MS = 20;

/** Resolves when it has ended, or after `patienceMs`. */
async function isGone(
  host: HostFacts,
  { name, id }: KeptContainer,
  patienceMs = Number.POSITIVE_INFINITY,
): Promise<boolean> {
  for (let waited = 0; waited <= patienceMs; waited += INTERVAL_MS) {
    if (firstProcess(host, name, id) === undefined) return true;
    await sleep(INTERVAL_MS);
  }
  return false;
}

async function stopForeground(host: HostFacts, container: KeptContainer, graceMs: number | undefined): Promise<void> {
  const first = firstProcess(host, container.name, container.id);
  if (first === undefined) return;
  const launcher = graceMs === undefined ? launcherOf(first) : undefined;
  if (launcher !== undefined) {
    // Its launcher does what the file says for the signal and the time.
    signalProcess(launcher.pid, launcher.birth, SIGTERM);
    thaw(container);
    await isGone(host, container);
    return;
  }
  const { signal = SIGTERM } = readKeptPlan(container)?.stop ?? {};
  if (graceMs !== 0) signalProcess(first.pid, first.birth, signal);
  thaw(container);
  if (graceMs !== 0 && (await isGone(host, container, graceMs))) return;
  signalProcess(first.pid, first.birth, SIGKILL);
  await isGone(host, container);
}

/**
 * Ends a container by its stop signal, and by SIGKILL when the time is over, by default that which its file says; resolves
 * when it has ended. Nothing is done where it does not run.
 */
export async function stopContainer(host: HostFacts, container: KeptContainer, graceMs?: number): Promise<void> {
  if (!container.isAlive) return;
  if (container.isForeground === true) {
    await stopForeground(host, container, graceMs);
  } else {
    const control = connect(host, container.id);
    if (control === undefined) return;
    await endBy(container, control, () => control.stop(graceMs));
  }
  note(host, container, 'stop');
}
