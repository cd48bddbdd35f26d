/** What a container has written, by its writable layer (`boxctl changes`). */
import { closeSync, read } from 'node:fs';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { errnoName } from '../kernel/errno.ts';
import { pipe } from '../native.ts';
import { planChanges } from '../plan/files.ts';
import type { KeptContainer } from '../state/containers.ts';
import { readKeptRoot } from '../state/kept-root.ts';
import { BadArchive, run } from '../worker/work.ts';
import { builtFiles, unlessGone } from './container-files.ts';

export interface Change {
  /** Added, changed, deleted. */
  readonly kind: 'A' | 'C' | 'D';
  /** Absolute, as the container sees it. */
  readonly path: string;
}

/** More than a list of ten million paths. */
const MAX_LIST = 2 ** 30;

async function readAll(fd: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  const buffer = Buffer.allocUnsafe(1 << 16);
  const next = (): Promise<number> =>
    new Promise((resolve, reject) => {
      read(fd, buffer, 0, buffer.length, null, (error, count) => (error === null ? resolve(count) : reject(error)));
    });
  try {
    for (let count = await next(); count > 0; count = await next()) {
      size += count;
      if (size <= MAX_LIST) parts.push(Buffer.from(buffer.subarray(0, count)));
    }
  } finally {
    closeSync(fd);
  }
  return Buffer.concat(parts);
}

/**
 * Without the folders and empty files that boxctl has made to mount something there, and the folders on the way to them, as
 * far as nothing else in them has changed.
 */
export function withoutTargets(changes: readonly Change[], targets: readonly string[]): readonly Change[] {
  const own = new Set<string>();
  for (const target of targets) {
    const parts = target.split('/').filter((part) => part !== '');
    for (let at = 1; at <= parts.length; at++) own.add(`/${parts.slice(0, at).join('/')}`);
  }
  const withContents = new Set<string>();
  // What lies in a folder comes after it.
  return changes
    .toReversed()
    .filter(({ kind, path }) => {
      if (own.has(path) && kind !== 'D' && !withContents.has(path)) return false;
      withContents.add(path.slice(0, path.lastIndexOf('/')));
      return true;
    })
    .toReversed();
}

/**
 * What a container has written since it was made, in the order of the paths.
 *
 * @throws BoxctlError `E_CONTAINER_FILES`, `E_CONTAINER_RECORD`
 */
export function changesOf(host: HostFacts, container: KeptContainer): Promise<readonly Change[]> {
  return unlessGone(host, container, readChanges(host, container));
}

async function readChanges(host: HostFacts, container: KeptContainer): Promise<readonly Change[]> {
  const { name, id } = container;
  const files = builtFiles(container, false);
  if (files.model.config.root.readonly) return [];
  if (files.model.writable !== 'disk') {
    throw new BoxctlError(
      'E_CONTAINER_FILES',
      `the container ${name} keeps what it writes in memory, where nobody else sees it`,
      {
        hint: 'keep it on the disk: `writable: disk`',
      },
    );
  }
  if (!files.hasUpper) return [];
  const [from, to] = pipe(1 << 20);
  const work = run({ plan: planChanges(files, host), id, output: to });
  closeSync(to);
  const [done, list] = await Promise.allSettled([work, readAll(from)]);
  if (done.status === 'rejected') {
    const { reason } = done as { readonly reason: unknown };
    if (!(reason instanceof BadArchive)) throw reason;
    const code = reason.errno === 0 ? '' : `: ${errnoName(reason.errno)}`;
    throw new BoxctlError(
      'E_CONTAINER_FILES',
      `the changes of ${name} cannot be read: /${reason.entry}: ${reason.message}${code}`,
      {
        cause: reason,
      },
    );
  }
  if (list.status === 'rejected') throw list.reason;
  const changes = list.value
    .toString('utf8')
    .split('\0')
    .filter((line) => line !== '')
    .map((line) => ({ kind: line.slice(0, 1) as Change['kind'], path: line.slice(2) }));
  return withoutTargets(changes, readKeptRoot(container)?.targets ?? []);
}
