/**
 * What a Compose file says that asks nothing of a container here, whatever its value: it is taken out before anything looks
 * at it, so that a service can be pasted as it is.
 */
import type { Branch, Tree } from '../../yaml/tree.ts';
import { entryAt, without } from './branch.ts';
import { whyNotHere } from './elsewhere.ts';

/** Notes for other programs, and `expose`, which opens nothing in Compose either. */
const NOTES: ReadonlySet<string> = new Set(['annotations', 'expose', 'label_file', 'labels']);

/** Of an item of `volumes`: Docker Desktop's words, labels of SELinux (files keep theirs), notes. */
const OF_A_VOLUME: readonly string[] = ['consistency', 'bind.selinux', 'volume.labels'];

/** `ports:`, `ports: []`, `build: {}`. */
export const isEmpty = (tree: Tree): boolean =>
  (tree.kind === 'scalar' && tree.value === null) ||
  (tree.kind === 'list' && tree.items.length === 0) ||
  (tree.kind === 'map' && tree.entries.size === 0);

const plainVolume = (item: Tree): Tree =>
  item.kind === 'map'
    ? OF_A_VOLUME.filter((path) => entryAt(item, path)).reduce((tree: Branch, path) => without(tree, path), item)
    : item;

export const withoutNotes = (service: Branch): Branch => {
  const entries = new Map(service.entries);
  for (const [key, { value }] of entries) {
    if (NOTES.has(key) || (isEmpty(value) && whyNotHere(key) !== undefined)) entries.delete(key);
  }
  const volumes = entries.get('volumes');
  if (volumes?.value.kind === 'list') {
    entries.set('volumes', {
      ...volumes,
      value: { ...volumes.value, items: volumes.value.items.map(plainVolume) },
    });
  }
  const deploy = entries.get('deploy');
  if (deploy?.value.kind === 'map') {
    const rest = without(deploy.value, 'labels');
    if (rest.entries.size === 0) entries.delete('deploy');
    else entries.set('deploy', { ...deploy, value: rest });
  }
  return { ...service, entries };
};
