/** This host with an image store of a test's own, and what lies in it. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HostFacts } from '../../src/host/facts.ts';
import { realHost } from '../../src/host/read.ts';
import { gatherHostFacts } from '../../src/host/gather.ts';
import type { ImageFacts, Ownership } from '../../src/model/image.ts';
import { inspect } from '../../src/worker/work.ts';
import { isRoot } from './user.ts';

/** How archives become layers: mounted under an index, the same through loop devices, or unpacked. */
export type Road = 'mounted' | 'looped' | 'unpacked';

const facts = gatherHostFacts(process.env);
export const roads: readonly Road[] = facts.erofs.usable ? ['mounted', 'looped', 'unpacked'] : ['unpacked'];

export interface ImageHost {
  readonly base: string;
  readonly host: HostFacts;
  /** What an ordinary user's images are unpacked under. */
  readonly ownership: Ownership | undefined;
  /** Digests of the layers that the store has. */
  layers(): readonly string[];
  /** Folders of imports at work, or of those that were interrupted. */
  unfinished(): readonly string[];
  /** A file of an image, as the image's own root finds it. */
  text(image: ImageFacts, path: string): Promise<string>;
  close(): void;
}

const list = (folder: string): readonly string[] => (existsSync(folder) ? readdirSync(folder).toSorted() : []);

export function imageHost(road: Road): ImageHost {
  const base = mkdtempSync(join(tmpdir(), 'boxctl-store-'));
  const store = join(base, 'store');
  const unpacked = { usable: false, reason: 'not asked for' } as const;
  const looped = { usable: true, loop: true } as const;
  const erofs = { mounted: facts.erofs, looped, unpacked }[road];
  const storeType = realHost.fileSystem(base);
  const host = { ...facts, erofs, storeType, dirs: { store, state: join(base, 'state') } };
  const alone = (id: number) => [{ container: 0, host: id, size: 1 }];
  return {
    base,
    host,
    ownership: isRoot ? undefined : { uidMap: alone(host.euid), gidMap: alone(host.egid) },
    layers: () => list(join(store, 'layers')),
    unfinished: () => list(join(store, 'tmp')),
    text: async (image, path) => (await inspect(image, host, [path])).files[0] ?? '',
    close: () => rmSync(base, { recursive: true }),
  };
}
