/**
 * The id of a network on the host. A network belongs to the folder of the file that names it, as volumes do: a file in
 * another folder cannot join it by its name. A network with `name:` or `external:` is the same for all files.
 */
import { sha256 } from '../native.ts';
import type { NetworkAttachment } from '../spec/network/network.ts';
import type { SpecDocument } from '../spec/spec.ts';

export function networkId({ folder }: SpecDocument, { name, hostName }: NetworkAttachment): string {
  // A name cannot contain `@`, so it is never equal to the id of a folder's network.
  return hostName ?? `${name}@${sha256(folder).slice(0, 12)}`;
}

/** In the folder of the network's state: a folder for each network, with a file for each container on it. */
export const NAMES_FOLDER = 'names';

/** The folder in which the containers on the network write their names. */
export const networkFolder = (id: string): string => `${NAMES_FOLDER}/${sha256(id).slice(0, 16)}`;
