/**
 * Keys of Compose that have no effect in boxctl, whatever their value. They are removed before the file is checked, so that
 * a service can be pasted unchanged.
 */
import type { Branch, Tree } from '../../yaml/tree.ts';
import { entryAt, without } from './branch.ts';
import { whyNotHere } from './elsewhere.ts';

/** Notes for other programs. */
const NOTES: ReadonlySet<string> = new Set(['annotations', 'label_file', 'labels']);

/** Of an item of `volumes`: Docker Desktop's words, labels of SELinux (files keep theirs), notes. */
const OF_A_VOLUME: readonly string[] = ['consistency', 'bind.selinux', 'volume.labels'];

/** Of an item of `ports`: a swarm's words, notes. */
const OF_A_PORT: readonly string[] = ['mode', 'app_protocol', 'name'];

/** Of a network: words that mean nothing where one interface has all networks of one host; notes. */
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

/** Values that ask for the only kind of network that boxctl has. They are ignored. */
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

/** The items of a list, or the values of a map. */
function mapItems(tree: Tree, change: (item: Tree) => Tree): Tree {
  if (tree.kind === 'list') return { ...tree, items: tree.items.map(change) };
  if (tree.kind !== 'map') return tree;
  const entries = [...tree.entries].map(([key, entry]) => [key, { ...entry, value: change(entry.value) }] as const);
  return { ...tree, entries: new Map(entries) };
}

/** Of Compose, and asks for nothing where it has no value. */
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
    // A map of volumes is a problem of its own.
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
