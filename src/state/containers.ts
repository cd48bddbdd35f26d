/**
 * Containers in the background, running and ended. Each has a folder in the store:
 *
 *   containers/<id>/container.json   what it is (KeptRecord), written before it starts
 *   containers/<id>/plan.json        its plan (kept-files.ts)
 *   containers/<id>/ending.json      the little of it that lists need (kept-files.ts)
 *   containers/<id>/model.json       what it was planned from (kept-files.ts)
 *   containers/<id>/root.json        what its root is made of (kept-root.ts)
 *   containers/<id>/document.json    what it was started from (started-from.ts)
 *   containers/<id>/lock             locked as long as its launcher lives
 *   containers/<id>/events           what the launcher has told of the last run (src/launcher/course.ts)
 *   containers/<id>/events.1 … .4    and of the four before it, the last one first
 *   containers/<id>/log/             what it has said (log-files.ts)
 *   containers/<id>/disk/            what it writes
 *   containers/<id>/before/          what the last run was made from, where a start after it has not come to have `events`
 *   containers/removed-<id>          what is being removed
 *   containers/lock                  held while a name is given or taken away
 *
 * Its launcher takes orders at the socket `control/<id>` of the folder of records. `names/<name>` there is locked while a container
 * of that name is brought up or down.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { namesIn } from './names.ts';
import { isHeld } from '../files/locks.ts';
import { isOwn, readOwn, readOwnJson } from '../files/own.ts';
import type { HostFacts } from '../host/facts.ts';
import type { Model } from '../model/model.ts';
import { openOwn } from '../native.ts';
import type { Plan } from '../plan/plan.ts';
import { ID, parseRecord, problemOf, type KeptRecord } from './container-record.ts';
import type { EndingPlan } from '../run/ending.ts';
import { unpackEnding, unpackModel, unpackPlan } from './kept-files.ts';

export interface KeptContainer extends KeptRecord {
  readonly folder: string;
  /** Its launcher lives. */
  readonly isAlive: boolean;
  /** The machine was started again since. */
  readonly isOfOtherBoot: boolean;
  /** It belongs to a `boxctl up` that waits for it, and what is known of it goes with it (foreground.ts). */
  readonly isForeground?: boolean;
  /** Of one in the foreground: its first process. */
  readonly pid?: number;
}

/** A folder whose container.json cannot be used. */
export interface BrokenContainer {
  readonly id: string;
  readonly folder: string;
  readonly isAlive: boolean;
  /** A sentence without full stop. */
  readonly problem: string;
}

/** The folder of all of them. */
export const folderOf = ({ dirs }: Pick<HostFacts, 'dirs'>): string => join(dirs.store, 'containers');
export const controlSocket = ({ dirs }: HostFacts, id: string): string => join(dirs.state, 'control', id);

export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

/** Whether the launcher holds the lock, as it does until it ends. */
export function isLocked(folder: string): boolean {
  let fd: number;
  try {
    fd = openOwn(`${folder}/lock`, 'file');
  } catch {
    return false;
  }
  return isHeld(fd);
}

interface Places {
  readonly kept: readonly KeptContainer[];
  readonly broken: readonly BrokenContainer[];
}

function readPlace(parent: string, id: string, boot: string): KeptContainer | BrokenContainer | undefined {
  const folder = `${parent}/${id}`;
  const path = `${folder}/container.json`;
  let problem: string;
  try {
    const value = readOwnJson(path);
    const record = parseRecord(value);
    if (record?.id === id) {
      const isAlive = isLocked(folder);
      return { ...record, folder, isAlive, isOfOtherBoot: bootOfRun(folder, record) !== boot };
    }
    // Half made, or half removed: what is without it is no container.
    if (value === undefined && !isOwn(path, 'file')) return undefined;
    problem = record === undefined ? problemOf(value) : 'its container.json is that of another container';
  } catch (error) {
    if (!(error instanceof BoxctlError)) throw error;
    problem = error.message;
  }
  return { id, folder, isAlive: isLocked(folder), problem };
}

/** All folders of containers in the background, the oldest container first. */
export function readPlaces(host: HostFacts): Places {
  const parent = folderOf(host);
  const ids = namesIn(parent).filter((name) => ID.test(name));
  const boot = bootId();
  const kept: KeptContainer[] = [];
  const broken: BrokenContainer[] = [];
  for (const id of ids) {
    const found = readPlace(parent, id, boot);
    if (found === undefined) continue;
    if ('problem' in found) broken.push(found);
    else kept.push(found);
  }
  return { kept: kept.toSorted((one, other) => one.created - other.created), broken };
}

/** All containers of the caller's in the background, the oldest first. What is half made or damaged is left out. */
export const keptContainers = (host: HostFacts): readonly KeptContainer[] => readPlaces(host).kept;

/** What the last run was made from is here: a start that was broken off may have written what the next one is made from. */
export function folderOfRun(folder: string): string {
  if (existsSync(`${folder}/events`)) return folder;
  const last = statSync(`${folder}/events.1`, { throwIfNoEntry: false });
  const before = statSync(`${folder}/before/events`, { throwIfNoEntry: false });
  return last !== undefined && last.ino === before?.ino ? `${folder}/before` : folder;
}

function bootOfRun(folder: string, { boot }: KeptRecord): string {
  const before = folderOfRun(folder);
  return before === folder ? boot : (parseRecord(readOwnJson(join(before, 'container.json')))?.boot ?? boot);
}

export function readKeptPlan({ folder }: Pick<KeptContainer, 'folder'>): Plan | undefined {
  const path = join(folderOfRun(folder), 'plan.json');
  return isOwn(path, 'file') ? unpackPlan(readOwn(path)) : undefined;
}

/** By which `endingOf` tells how most containers have ended; undefined where the whole plan is needed. */
export function readKeptEnding({ folder }: Pick<KeptContainer, 'folder'>): EndingPlan | undefined {
  const path = join(folderOfRun(folder), 'ending.json');
  return isOwn(path, 'file') ? unpackEnding(readOwn(path)) : undefined;
}

export function readKeptModel({ folder }: Pick<KeptContainer, 'folder'>): Model | undefined {
  const path = join(folder, 'model.json');
  return isOwn(path, 'file') ? unpackModel(readOwn(path)) : undefined;
}
