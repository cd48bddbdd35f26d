/**
 * Containers in the foreground. Each belongs to a `boxctl up` that waits for it and has its output, so nothing of it stays.
 * As long as it runs, others find it by its launcher's record (src/plan/record.ts), and what it was made from by a folder of
 * its own, which is written once it runs:
 *
 *   foreground/<id>/container.json, plan.json, model.json   as those of a container in the background (containers.ts)
 *   foreground/<id>/lock                                    locked as long as the process lives that waits for it
 *
 * in the folder of records, which a reboot empties.
 */
import { closeSync, constants, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from '../files/atomic-write.ts';
import { makeFolders } from '../files/folders.ts';
import { readOwnJson } from '../files/own.ts';
import type { HostFacts } from '../host/facts.ts';
import type { Model } from '../model/model.ts';
import { tryLock } from '../native.ts';
import type { Plan } from '../plan/plan.ts';
import { parseRecord, recordText, type KeptRecord } from './container-record.ts';
import { bootId, controlSocket, type KeptContainer } from './containers.ts';
import { packModel, packPlan } from './kept-files.ts';
import { foregroundFolder } from './sweep-foreground.ts';
import { runningRecords, type RunningRecord } from './running.ts';

/** Writes down what a container that runs was made from, and gives what takes that back. */
export function keepForeground(host: HostFacts, record: KeptRecord, plan: Plan, model: Model): () => void {
  makeFolders(foregroundFolder(host), 0o700);
  const folder = join(foregroundFolder(host), record.id);
  mkdirSync(folder, 0o700);
  const lock = openSync(join(folder, 'lock'), constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
  tryLock(lock, true);
  writeFileSync(join(folder, 'plan.json'), packPlan(plan), { mode: 0o600, flag: 'wx' });
  writeFileSync(join(folder, 'model.json'), packModel(model), { mode: 0o600, flag: 'wx' });
  writeWhole(join(folder, 'container.json'), recordText(record));
  return () => {
    rmSync(folder, { recursive: true, force: true });
    closeSync(lock);
  };
}

/** What the process is called that a container's first process is now: all that is known without a folder. */
function commandOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/\0$/u, '').split('\0');
  } catch {
    return [];
  }
}

function readFolder(folder: string): KeptRecord | undefined {
  try {
    return parseRecord(readOwnJson(join(folder, 'container.json')));
  } catch {
    return undefined;
  }
}

function containerOf(host: HostFacts, { id, name, first, started }: RunningRecord): KeptContainer {
  const folder = join(foregroundFolder(host), id);
  const known = readFolder(folder);
  const bare = { file: '', created: started, boot: bootId(), command: commandOf(first.pid), image: undefined };
  return {
    ...bare,
    ...known,
    id,
    name,
    folder,
    isAlive: true,
    isOfOtherBoot: false,
    isForeground: true,
    pid: first.pid,
  };
}

/** Those that run, the oldest first. `background`: the ids of those that are in the background. */
export function foregroundContainers(host: HostFacts, background: ReadonlySet<string>): readonly KeptContainer[] {
  // One in the background may be of another store; each has a socket.
  const isOther = (id: string): boolean => background.has(id) || existsSync(controlSocket(host, id));
  return runningRecords(host, isOther)
    .map((record) => containerOf(host, record))
    .toSorted((one, other) => one.created - other.created);
}

/** Whether what it was made from is written down. */
export const hasForegroundFolder = ({ folder }: KeptContainer): boolean => existsSync(join(folder, 'container.json'));
