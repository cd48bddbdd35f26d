/** `down`: the containers of a file are ended and removed, and with them its volumes where that is asked for. */
import { resolve } from 'node:path';
import { withLock } from '../files/locks.ts';
import type { HostFacts } from '../host/facts.ts';
import { volumeId } from '../model/volume-id.ts';
import type { SpecDocument } from '../spec/spec.ts';
import { nameLock } from '../state/container-folders.ts';
import { keptContainers, type KeptContainer } from '../state/containers.ts';
import { readStartedFrom } from '../state/started-from.ts';
import { listVolumes, removeVolume } from '../state/volumes.ts';
import { end } from './bring-up.ts';

export interface BringDownOptions {
  /** By default the time that the file says. */
  readonly graceMs?: number;
  /** The volumes that the file names are removed, too. */
  readonly volumes?: boolean;
  /** The file as it is now; undefined where it cannot be read. */
  readonly document?: SpecDocument;
}

export interface BroughtDown {
  /** Their names. */
  readonly containers: readonly string[];
  /** Their ids. */
  readonly volumes: readonly string[];
}

/** The containers that were started from the file, by its path: they are found even when it has another name by now. */
const ofFile = (host: HostFacts, file: string): readonly KeptContainer[] =>
  keptContainers(host).filter((container) => resolve(container.file) === file);

export async function bringDown(host: HostFacts, named: string, options: BringDownOptions = {}): Promise<BroughtDown> {
  const file = resolve(named);
  const found = ofFile(host, file);
  const documents = [options.document, ...found.map(({ folder }) => readStartedFrom(folder)?.document)];
  for (const { name } of found) {
    // Another `up` or `down` of this name may be on its way.
    await withLock(nameLock(host, name), async () => {
      const still = ofFile(host, file).filter((container) => container.name === name);
      for (const container of still) await end(host, container, options.graceMs);
    });
  }
  const volumes = options.volumes === true ? await removeVolumes(host, documents) : [];
  return { containers: [...new Set(found.map(({ name }) => name))], volumes };
}

async function removeVolumes(
  host: HostFacts,
  documents: readonly (SpecDocument | undefined)[],
): Promise<readonly string[]> {
  const ids = documents.flatMap((document) =>
    document === undefined
      ? []
      : document.spec.volumes.flatMap((volume) =>
          volume.type === 'volume' ? [volumeId(document, volume.source)] : [],
        ),
  );
  const there = new Set(listVolumes(host).map(({ id }) => id));
  const own = [...new Set(ids)].filter((id) => there.has(id));
  for (const id of own) await removeVolume(host, id);
  return own;
}
