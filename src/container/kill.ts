/** Sends a container a signal. */
import type { HostFacts } from '../host/facts.ts';
import { signalName } from '../kernel/signals.ts';
import { signalProcess } from '../native.ts';
import { connect } from '../state/control.ts';
import { note } from '../state/journal.ts';
import { launcherOf, thaw } from './end.ts';
import type { RunningContainer } from './existing.ts';

const SIGKILL = 9;
const SIGSTOP = 19;

/** As `boxctl up` passes on what it gets; resolves when it is sent. False: it has ended meanwhile. */
export async function killContainer(host: HostFacts, container: RunningContainer, signal: number): Promise<boolean> {
  const isSent = await send(host, container, signal);
  // What is frozen dies of SIGKILL on version 2 alone.
  if (signal === SIGKILL) thaw(container);
  if (isSent) note(host, container, 'kill', { signal: signalName(signal) });
  return isSent;
}

async function send(host: HostFacts, { id, first, isForeground }: RunningContainer, signal: number): Promise<boolean> {
  if (isForeground === true) {
    // Its launcher would be killed, or stopped, itself.
    const isForLauncher = signal !== SIGKILL && signal !== SIGSTOP;
    const target = isForLauncher ? launcherOf(first) : first;
    return target !== undefined && signalProcess(target.pid, target.birth, signal);
  }
  const control = connect(host, id);
  if (control === undefined) return false;
  control.signal(signal);
  await control.close();
  return true;
}
