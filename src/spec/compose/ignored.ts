/**
 * Keys of Compose that have no effect in boxctl, whatever their value. They are removed before the file is checked, so that
 * a service can be pasted unchanged.
 */
import type { Branch, Tree } from '../../yaml/tree.ts';
import { entryAt, without } from './branch.ts';
import { whyNotHere } from './elsewhere.ts';

/** Notes for other programs. */
const NOTES: ReadonlySet<string> = new Set(['label_file']);

/** Keys of an item of `volumes`: `consistency` is for Docker Desktop; files keep their SELinux labels; labels are notes. */
const OF_A_VOLUME: readonly string[] = ['consistency', 'bind.selinux', 'volume.labels'];

/** Keys of an item of `ports`: `mode` is for a swarm; the others are notes. */
const OF_A_PORT: readonly string[] = ['mode', 'app_protocol', 'name'];

/** Keys of a network: `labels` are notes, `attachable` is for a swarm, priorities choose between several interfaces. */
const OF_A_NETWORK: readonly string[] = ['attachable', 'labels', 'priority', 'gw_priority'];

/** `ports:`, `ports: []`, `build: {}`. */
export function isEmpty(tree: Tree): boolean {
  return (
    (tree.kind === 'scalar' && tree.value === null) ||
    (tree.kind === 'list' && tree.items.length === 0) ||
    (tree.kind === 'map' && tree.entries.size === 0)
  );
}

const freeOf =
  (paths: readonly string[]) =>
  (item: Tree): Tree =>
    item.kind === 'map'
      ? paths.filter((path) => entryAt(item, path)).reduce((tree: Branch, path) => without(tree, path), item)
      : item;

const plainVolume = freeOf(OF_A_VOLUME);
const plainPort = freeOf(OF_A_PORT);

/** Drops values that ask for the only kind of network that boxctl has. */
function plainNetwork(network: Tree): Tree {
  const isPlain = (path: string, words: readonly string[]): boolean => {
    const value = network.kind === 'map' ? entryAt(network, path)?.value : undefined;
    return value !== undefined && (isEmpty(value) || (value.kind === 'scalar' && words.includes(value.text)));
  };
  return freeOf([
    ...OF_A_NETWORK,
    ...(isPlain('driver', ['bridge', 'default']) ? ['driver'] : []),
    ...(isPlain('driver_opts', []) ? ['driver_opts'] : []),
    ...(isPlain('ipam.driver', ['default']) ? ['ipam.driver'] : []),
    ...(isPlain('ipam.options', []) ? ['ipam.options'] : []),
  ])(network);
}

/** Changes the items of a list, or the values of a map. */
function mapItems(tree: Tree, change: (item: Tree) => Tree): Tree {
  if (tree.kind === 'list') return { ...tree, items: tree.items.map(change) };
  if (tree.kind !== 'map') return tree;
  const entries = [...tree.entries].map(([key, entry]) => [key, { ...entry, value: change(entry.value) }] as const);
  return { ...tree, entries: new Map(entries) };
}

/** Whether an empty value of the key is ignored. Every key that Compose has and boxctl does not is among them. */
const mayBeEmpty = (key: string): boolean => EMPTY_KEYS.has(key) || whyNotHere(key) !== undefined;
const EMPTY_KEYS: ReadonlySet<string> = new Set([
  'ports',
  'networks',
  'expose',
  'extra_hosts',
  'dns',
  'dns_search',
  'dns_opt',
  'mac_address',
  'network_mode',
  'healthcheck',
  'post_start',
  'pre_stop',
]);

export function withoutNotes(service: Branch): Branch {
  const entries = new Map(service.entries);
  for (const [key, { value }] of entries) {
    if (NOTES.has(key) || (isEmpty(value) && mayBeEmpty(key))) entries.delete(key);
  }
  for (const [key, change] of [
    ['volumes', plainVolume],
    ['ports', plainPort],
    ['networks', plainNetwork],
  ] as const) {
    const entry = entries.get(key);
    // A map in place of the list of volumes is reported later, as a value of the wrong type.
    if (entry !== undefined && !(key === 'volumes' && entry.value.kind === 'map')) {
      entries.set(key, { ...entry, value: mapItems(entry.value, change) });
    }
  }
  const deploy = entries.get('deploy');
  if (deploy?.value.kind === 'map') {
    const rest = without(deploy.value, 'labels');
    if (rest.entries.size === 0) entries.delete('deploy');
    else entries.set('deploy', { ...deploy, value: rest });
  }
  return { ...service, entries };
}
