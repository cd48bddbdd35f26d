/**
 * The volumes that boxctl keeps. A volume belongs to the folder of the specification that names it: a file of another
 * project, which may be an attacker's, cannot reach it by using its name.
 *
 *   <store>/volumes/<id>/data     what the containers see; of mode 0 until it has been filled
 *   <store>/volumes/<id>/folder   a link to the specification's folder
 *   <store>/volumes/.locks/<id>   locked as long as the volume is in use
 */
import { sha256 } from '../native.ts';
import type { HostFacts } from '../host/facts.ts';
import type { NamedVolume, SpecDocument } from '../spec/spec.ts';

export function volumeId(document: SpecDocument, name: string): string {
  return `${name}-${sha256(document.folder).slice(0, 12)}`;
}

export function volumesFolder(host: HostFacts): string {
  return `${host.dirs.store}/volumes`;
}

export function volumeSource(host: HostFacts, document: SpecDocument, { source, subpath }: NamedVolume): string {
  const data = `${volumesFolder(host)}/${volumeId(document, source)}/data`;
  return subpath === undefined ? data : `${data}/${subpath}`;
}
