/** Changes the limits of a container: what `boxctl update` and `boxctl up --detach --live` have in common. */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { limitFolders, type LimitFolder } from '../host/cgroup-mounts.ts';
import type { HostFacts } from '../host/facts.ts';
import { realHost } from '../host/read.ts';
import { reasonOf } from '../kernel/errno.ts';
import type { CgroupController } from '../kernel/cgroup.ts';
import { LIMIT_ROWS } from '../limits/table.ts';
import { compileLimits } from '../model/limits.ts';
import { Problems } from '../model/problems.ts';
import { Reasons } from '../model/reasons.ts';
import type { OciResources } from '../oci/config.ts';
import { wantedOf, written } from '../plan/limit-lines.ts';
import type { Limits, SpecDocument } from '../spec/spec.ts';
import { readKeptPlan, type KeptContainer } from '../state/containers.ts';
import { keepLimits, keepNextLimits, readNextLimits, readWrittenLimits } from '../state/kept-limits.ts';
import { firstProcess } from '../state/running.ts';
import { readStartedFrom } from '../state/started-from.ts';

/** A file of a cgroup, and what is written to it. */
interface Write {
  readonly controller: CgroupController;
  readonly file: string;
  readonly value: string;
  /** The limit's key, for messages. */
  readonly key: string;
}

/** The limits that a container in the background has now, or has when it is started again. */
export function limitsOf(container: KeptContainer): { readonly document: SpecDocument; readonly limits: Limits } {
  const started = readStartedFrom(container.folder);
  if (started === undefined) {
    const message = `what is kept of the container ${container.name} is of another version of boxctl`;
    throw new BoxctlError('E_CONTAINER_RECORD', message, {
      hint: `start it again: boxctl stop ${container.name}, and boxctl up -d`,
    });
  }
  const { document } = started;
  return { document, limits: readNextLimits(container) ?? document.spec.limits };
}

/**
 * Writes what is another in `after` to the files of the container's cgroups, reads it again, and keeps it for when the container is
 * started again. Where the kernel refuses one of them, those before it are put back. Of one that has ended it is kept alone. The
 * caller holds `nameLock`.
 *
 * @throws BoxctlError E_CONTAINER_NOT_RUNNING, E_LIMIT_…
 */
export function updateLimits(host: HostFacts, container: KeptContainer, after: Limits): void {
  const { document, limits: before } = limitsOf(container);
  if (!container.isAlive) {
    // Throws where this host cannot apply them.
    resourcesOf(document, after, host);
    return keepNextLimits(container, after);
  }
  const folders = foldersOf(host, container);
  const changes = changesOf(document, before, after, host, folders);
  const done = changes.map((write) => ({ write, path: pathFor(write, folders) }));
  apply(done);
  const kept = new Map(readWrittenLimits(container));
  for (const { write, path } of done) kept.set(path, write.value);
  keepLimits(container, after, kept);
}

function foldersOf(host: HostFacts, container: KeptContainer): readonly LimitFolder[] {
  const plan = readKeptPlan(container);
  const name = plan?.name ?? container.name;
  const first = firstProcess(host, name, container.id);
  if (first === undefined) {
    throw new BoxctlError('E_CONTAINER_NOT_RUNNING', `the container ${container.name} is just being started`, {
      hint: 'try it again when it runs, or has ended: boxctl ps -a',
    });
  }
  return limitFolders(realHost, first.pid, `boxctl-${name}-${container.id}`);
}

/** The limits that `boxctl update`, or `up --live`, has given a container; undefined where it has those that it was started with. */
export function changedResources(host: HostFacts, container: KeptContainer): OciResources | undefined {
  const limits = readNextLimits(container);
  const document = limits === undefined ? undefined : readStartedFrom(container.folder)?.document;
  return limits === undefined || document === undefined ? undefined : resourcesOf(document, limits, host);
}

function resourcesOf(document: SpecDocument, limits: Limits, host: HostFacts): OciResources {
  const changed = { ...document, spec: { ...document.spec, limits: { ...limits, optional: false } } };
  const problems = new Problems(changed);
  const { resources = {} } = compileLimits(changed, host, new Reasons(changed), problems);
  problems.throwIfAny();
  return resources;
}

const versionFor = (controller: CgroupController, folders: readonly LimitFolder[]): 1 | 2 =>
  folders.find(({ version, controllers }) => version === 1 && controllers.includes(controller))?.version ??
  (folders.some(({ version }) => version === 2) ? 2 : 1);

function writesOf(
  resources: OciResources,
  host: HostFacts,
  folders: readonly LimitFolder[],
): ReadonlyMap<string, Write> {
  const all = wantedOf(resources).flatMap((wanted) => {
    const { controller } = wanted.row;
    const lines = written(wanted, resources, {
      version: versionFor(controller, folders),
      weigher: host.cgroup.ioWeight,
    });
    // A device is a part of what is written to its file.
    return lines.map(({ file, value }): readonly [string, Write] => [
      `${file} ${/^\d+:\d+ /u.exec(value)?.[0] ?? ''}${/ (\w+=)/u.exec(value)?.[1] ?? ''}`,
      { controller, file, value, key: wanted.key },
    ]);
  });
  return new Map(all);
}

function changesOf(
  document: SpecDocument,
  before: Limits,
  after: Limits,
  host: HostFacts,
  folders: readonly LimitFolder[],
): readonly Write[] {
  const was = writesOf(resourcesOf(document, before, host), host, folders);
  const is = writesOf(resourcesOf(document, after, host), host, folders);
  const gone = [...was].filter(([file]) => !is.has(file)).flatMap(([, write]) => unlimited(write, folders));
  return [...gone, ...[...is].filter(([file, { value }]) => was.get(file)?.value !== value).map(([, write]) => write)];
}

/** What is written where a limit is taken away. The period of a quota stays. */
function unlimited(write: Write, folders: readonly LimitFolder[]): readonly Write[] {
  if (write.file === 'cpu.cfs_period_us') return [];
  const row = LIMIT_ROWS.find(([key]) => key === write.key)?.[1];
  const value = row?.cgroup?.unlimited?.[versionFor(write.controller, folders) === 1 ? 'v1' : 'v2'];
  if (value !== undefined) return [{ ...write, value }];
  throw new BoxctlError('E_LIMIT_NOT_LIVE', `limits.${write.key} cannot be taken from a container that runs`, {
    hint: 'start it anew: boxctl up --detach --force-recreate',
  });
}

/** In version 2 a controller that no limit has needed yet is switched on for the container first. */
function pathFor({ controller, file, key }: Write, folders: readonly LimitFolder[]): string {
  const own = folders.find(({ controllers }) => controllers.includes(controller));
  if (own !== undefined) return join(own.folder, file);
  const unified = folders.find(({ version }) => version === 2);
  if (unified !== undefined) {
    try {
      writeFileSync(join(dirname(unified.folder), 'cgroup.subtree_control'), `+${controller}`);
      return join(unified.folder, file);
    } catch {
      // No cgroup further above hands it on.
    }
  }
  throw new BoxctlError('E_LIMIT_NOT_LIVE', `the container has no control group for limits.${key}`, {
    hint: 'start it with such a limit: write it in its file, and boxctl up --detach',
  });
}

interface Done {
  readonly write: Write;
  readonly path: string;
}

const EARLIER = new Set(['EINVAL', 'EBUSY']);
const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

/** One limit can be in the way of another, as memory is of memory with swap: what is refused is tried again after the others. */
function apply(all: readonly Done[]): void {
  const before = new Map(all.map(({ path }) => [path, textOf(path)]));
  let left = all;
  let refused: { readonly done: Done; readonly error: unknown } | undefined;
  while (left.length > 0) {
    const again: Done[] = [];
    for (const done of left) {
      try {
        writeFileSync(done.path, done.write.value, { flag: 'r+' });
      } catch (error) {
        refused = { done, error };
        if (!EARLIER.has(codeOf(error))) break;
        again.push(done);
      }
    }
    if (
      again.length === left.length ||
      (refused !== undefined && again.length === 0 && !EARLIER.has(codeOf(refused.error)))
    ) {
      break;
    }
    left = again;
    refused = again.length === 0 ? undefined : refused;
  }
  const wrong = refused ?? all.map((done) => differs(done)).find((one) => one !== undefined);
  if (wrong === undefined) return;
  for (const { path } of all.toReversed()) putBack(path, before.get(path) ?? '');
  throw refusal(wrong.done, wrong.error);
}

const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
};

function putBack(path: string, value: string): void {
  try {
    writeFileSync(path, value, { flag: 'r+' });
  } catch {
    // A file of several lines, or one that was never written to.
  }
}

/** Files of single values are read again. Those of devices have a line for each, and what means "no limit" is read as a number. */
function differs(done: Done): { readonly done: Done; readonly error: unknown } | undefined {
  const { value } = done.write;
  if (/[:=]/u.test(value) || value === '-1' || value === 'max') return undefined;
  const found = textOf(done.path);
  return found === value ? undefined : { done, error: new Error(`it has ${found} afterwards`) };
}

function refusal({ write, path }: Done, error: unknown): BoxctlError {
  const code = codeOf(error);
  const why = code === '' && error instanceof Error ? error.message : reasonOf(error);
  const hint =
    code === 'EBUSY'
      ? 'the container has more in use than that: give it more, or let it free some first'
      : code === 'EACCES' || code === 'EPERM'
        ? 'the control group belongs to somebody else'
        : undefined;
  const message = `the kernel did not take "${write.value}" for limits.${write.key} (${path}): ${why}; the limits are as they were`;
  return new BoxctlError('E_LIMIT_NOT_LIVE', message, { ...(hint === undefined ? {} : { hint }), cause: error });
}
