/** Joins the two places where a Compose file describes a network: `networks` of the service and beside `services`. */
import { clip } from '../context.ts';
import { didYouMean } from '../suggest.ts';
import type { TextProblems } from '../../yaml/problems.ts';
import type { Branch, Entry, Tree } from '../../yaml/tree.ts';
import { isEmpty } from './ignored.ts';

/** Keys that belong to the service: its addresses and names on the network. */
const OF_A_SERVICE: ReadonlySet<string> = new Set([
  'aliases',
  'ipv4_address',
  'ipv6_address',
  'interface_name',
  'link_local_ips',
  'mac_address',
  'priority',
  'gw_priority',
]);

/** A service may use it without a declaration. */
const UNDECLARED = 'default';

/** Returns the service, with the keys of each declared network added to its own `networks`. */
export function withNetworks(service: Branch, file: Branch, problems: TextProblems): Branch {
  const own = service.entries.get('networks');
  const declared = file.entries.get('networks');
  const all = declared?.value.kind === 'map' ? declared.value.entries : new Map<string, Entry>();
  if (declared !== undefined && declared.value.kind !== 'map' && !isEmpty(declared.value)) {
    const message = '`networks` beside `services` must be a map of networks';
    problems.add('E_SPEC_TYPE', message, { path: 'networks', at: declared.key, hint: '`networks: {backend: {}}`' });
  }
  if (own === undefined || isEmpty(own.value) || own.value.kind === 'scalar') return service;
  const named = entriesOf(own.value);
  // Not a list of different names: the check of the key reports it later.
  if (named === undefined) return service;
  const entries = new Map<string, Entry>();
  for (const [name, entry] of named) {
    const definition = all.get(name);
    if (definition === undefined && name !== UNDECLARED && !name.startsWith('x-')) {
      const meant = didYouMean(name, [...all.keys()]);
      problems.add('E_SPEC_VALUE', `the network \`${clip(name)}\` is not declared`, {
        path: `networks.${name}`,
        at: entry.key,
        hint:
          meant === undefined
            ? `add \`networks: {${clip(name)}: {}}\` beside \`services\``
            : `did you mean \`${meant}\`?`,
      });
    }
    entries.set(name, definition === undefined ? entry : merged(name, entry, definition, problems));
  }
  const value: Branch = { ...own.value, kind: 'map', entries };
  return { ...service, entries: new Map([...service.entries, ['networks', { ...own, value }]]) };
}

/** Undefined for a list with a name twice or an item that is no name. */
function entriesOf(networks: Tree): readonly (readonly [string, Entry])[] | undefined {
  if (networks.kind === 'map') return [...networks.entries];
  if (networks.kind !== 'list') return undefined;
  const names = networks.items.flatMap((item) => (item.kind === 'scalar' && item.text !== '' ? [item] : []));
  if (names.length < networks.items.length || new Set(names.map(({ text }) => text)).size < names.length) {
    return undefined;
  }
  return names.map((item) => [item.text, { key: item.span, value: { ...item, value: null, text: '' } }]);
}

function merged(name: string, entry: Entry, definition: Entry, problems: TextProblems): Entry {
  if (definition.value.kind !== 'map') return entry;
  const own = entry.value.kind === 'map' ? entry.value.entries : new Map<string, Entry>();
  if (entry.value.kind !== 'map' && !isEmpty(entry.value)) return entry;
  for (const [key, { key: at }] of definition.value.entries) {
    if (!OF_A_SERVICE.has(key)) continue;
    const message = `\`${key}\` is the service's to say, and not that of \`networks\` beside \`services\``;
    problems.add('E_SPEC_UNSUPPORTED', message, {
      path: `networks.${name}.${key}`,
      at,
      hint: `write it below \`networks.${clip(name)}\` of the service`,
    });
  }
  const defined = [...definition.value.entries].filter(([key]) => !OF_A_SERVICE.has(key));
  return { ...entry, value: { ...definition.value, entries: new Map([...defined, ...own]) } };
}
