/** Removes what native/front has made of a container in the background that did not start. */
import { rmSync } from 'node:fs';
import type { HostFacts } from '../host/facts.ts';
import { removeAway, removedName } from '../state/container-folders.ts';
import { controlSocket } from '../state/containers.ts';

/** The folder has the name already under which it is removed. */
export async function removeGivenUp(host: HostFacts, id: string): Promise<void> {
  rmSync(controlSocket(host, id), { force: true });
  await removeAway(host, removedName(id));
}
