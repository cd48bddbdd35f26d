/** Joins the two places where a Compose file describes secrets and configs: below the service, and beside `services`. */
import { clip } from '../context.ts';
import { didYouMean } from '../suggest.ts';
import type { TextProblems } from '../../yaml/problems.ts';
import type { Branch, Entry, Tree } from '../../yaml/tree.ts';
import { scalarOf, without } from './branch.ts';
import { isEmpty } from './ignored.ts';

/** Notes for other programs. */
const NOTES = ['labels'];

/** Returns the service, with what is beside `services` added to each item of its own lists. */
export function withGiven(service: Branch, file: Branch, problems: TextProblems): Branch {
  return (['secrets', 'configs'] as const).reduce((tree, key) => withKind(tree, file, key, problems), service);
}

function withKind(service: Branch, file: Branch, key: 'secrets' | 'configs', problems: TextProblems): Branch {
  const own = service.entries.get(key);
  const declared = file.entries.get(key);
  const all = declared?.value.kind === 'map' ? declared.value.entries : new Map<string, Entry>();
  if (declared !== undefined && declared.value.kind !== 'map' && !isEmpty(declared.value)) {
    const message = `\`${key}\` beside \`services\` must be a map`;
    problems.add('E_SPEC_TYPE', message, { path: key, at: declared.key, hint: `\`${key}: {token: {file: ./token}}\`` });
  }
  // A map, or a value of the wrong type, is checked as it is.
  if (own?.value.kind !== 'list') return service;
  const items = own.value.items.map((item, index) => merged(item, all, `${key}.${index}`, problems));
  return { ...service, entries: new Map([...service.entries, [key, { ...own, value: { ...own.value, items } }]]) };
}

function merged(item: Tree, all: ReadonlyMap<string, Entry>, path: string, problems: TextProblems): Tree {
  const name = item.kind === 'scalar' ? item : item.kind === 'map' ? item.entries.get('source')?.value : undefined;
  if (name?.kind !== 'scalar' || name.text === '') return item;
  const definition = all.get(name.text);
  if (definition?.value.kind !== 'map') {
    const meant = didYouMean(name.text, [...all.keys()]);
    const [key = ''] = path.split('.');
    problems.add('E_SPEC_VALUE', `\`${clip(name.text)}\` is not declared`, {
      path,
      at: name.span,
      hint:
        meant === undefined
          ? `add \`${key}: {${clip(name.text)}: {file: ./${clip(name.text)}}}\` beside \`services\``
          : `did you mean \`${meant}\`?`,
    });
    return { kind: 'scalar', value: null, text: '', span: item.span, broken: true };
  }
  const { value } = definition;
  const defined = NOTES.reduce((tree: Branch, note) => without(tree, note), value);
  const own =
    item.kind === 'map'
      ? item.entries
      : new Map([['source', { key: item.span, value: scalarOf(name.text, item.span) }]]);
  return { ...value, span: item.span, entries: new Map([...defined.entries, ...own]) };
}
