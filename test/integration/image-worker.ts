/**
 * Imports an image in a process of its own, so that tests can do it as another user, and kill it in the middle:
 *   node image-worker.cjs '{"source": …, "folder": …, "mapped": "range"}'
 * Archives are unpacked. Prints the facts as JSON, or {"code", "message"} of the error.
 */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { BoxctlError } from '../../src/errors.ts';
import { gatherHostFacts } from '../../src/host/gather.ts';
import type { Ownership } from '../../src/model/image.ts';
import { ensureImage } from '../../src/image/resolve.ts';
import type { ImageSource } from '../../src/spec/spec.ts';

export interface Work {
  readonly source: ImageSource;
  /** The store is made in it. */
  readonly folder: string;
  /** `alone`: the caller as root; `range`: after it the caller's subordinate ids, if there are any. */
  readonly mapped?: 'alone' | 'range';
}

async function main(work: Work): Promise<unknown> {
  const facts = gatherHostFacts(process.env);
  const erofs = { usable: false, reason: 'archives are unpacked' } as const;
  const host = { ...facts, erofs, dirs: { store: join(work.folder, 'store'), state: join(work.folder, 'state') } };
  const withRest = (own: number, rest: typeof host.subuids) => [
    { container: 0, host: own, size: 1 },
    ...rest
      .slice(0, work.mapped === 'range' ? 1 : 0)
      .map((range) => ({ container: 1, host: range.start, size: range.size })),
  ];
  const ownership: Ownership | undefined =
    work.mapped !== undefined
      ? { uidMap: withRest(host.euid, host.subuids), gidMap: withRest(host.egid, host.subgids) }
      : undefined;
  try {
    return await ensureImage(work.source, ownership, host);
  } catch (error) {
    if (error instanceof BoxctlError) return { code: error.code, message: error.message };
    throw error;
  }
}

void main(JSON.parse(process.argv[2] ?? '{}') as Work).then((result) => writeSync(1, JSON.stringify(result)));
