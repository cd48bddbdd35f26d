/**
 * The names of networks on the host. A network belongs to the folder of the file that names it, as volumes do: a file of
 * another project cannot reach it by using its name. One with `name:` or `external:` is known by that name to all files.
 */
import { sha256 } from '../native.ts';
import type { NetworkAttachment } from '../spec/network/network.ts';
import type { SpecDocument } from '../spec/spec.ts';

export function networkId({ folder }: SpecDocument, { name, hostName }: NetworkAttachment): string {
  // No name has an `@`, so that none is taken for one of a folder's.
  return hostName ?? `${name}@${sha256(folder).slice(0, 12)}`;
}
