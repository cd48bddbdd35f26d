/** `--filter` of `ps`: docker's words. */
import { BoxctlError } from '../errors.ts';
import { didYouMean } from '../spec/suggest.ts';
import { FILTER_NAMES } from './filter-names.ts';
import { stateWord, type Listed } from './container-row.ts';

type FilterName = (typeof FILTER_NAMES)[number];
type Test = (one: Listed, value: string) => boolean;

const STATES = ['created', 'running', 'paused', 'restarting', 'exited', 'failed', 'lost'] as const;

function hasLabel({ container: { labels = {} } }: Listed, value: string): boolean {
  const equals = value.indexOf('=');
  const name = equals < 0 ? value : value.slice(0, equals);
  return Object.hasOwn(labels, name) && (equals < 0 || labels[name] === value.slice(equals + 1));
}

/** `debian` is `debian:12`, too, and the whole of it. */
function isImage(image: string | undefined, value: string): boolean {
  return image !== undefined && (image === value || image.startsWith(`${value}:`) || image.startsWith(`${value}@`));
}

/** As docker does, a part of the name is enough, and `^web$` is all of it. */
function fits(text: string, pattern: string): boolean {
  const start = pattern.startsWith('^');
  const end = pattern.endsWith('$');
  const part = pattern.slice(start ? 1 : 0, end ? -1 : undefined);
  if (start && end) return text === part;
  return start ? text.startsWith(part) : end ? text.endsWith(part) : text.includes(part);
}

const FILTERS: Readonly<Record<FilterName, Test>> = {
  name: ({ container: { name } }, value) => fits(name, value),
  id: ({ container: { id } }, value) => id.startsWith(value),
  status: ({ state }, value) => stateWord(state) === value,
  label: hasLabel,
  ancestor: ({ container: { image } }, value) => isImage(image, value),
  exited: ({ state }, value) => state.status === 'exited' && String(state.exitStatus) === value,
  volume: ({ container: { mounts = [] } }, value) =>
    mounts.some(({ source, target }) => source === value || target === value),
  network: ({ container: { networks = [] } }, value) => networks.some(({ name }) => name === value),
  mode: ({ container }, value) => (container.isForeground === true ? 'foreground' : 'background') === value,
};

const isFilter = (name: string): name is FilterName => FILTER_NAMES.some((known) => known === name);

/** Of the same name, one has to fit; of labels, and of different names, all. */
export function filterOf(words: readonly string[]): {
  readonly test: (one: Listed) => boolean;
  /** It asks for containers that have ended, too. */
  readonly wantsAll: boolean;
} {
  const wanted = new Map<FilterName, string[]>();
  for (const word of words) {
    const equals = word.indexOf('=');
    const name = equals < 0 ? word : word.slice(0, equals);
    const value = equals < 0 ? '' : word.slice(equals + 1);
    if (!isFilter(name)) {
      const near = didYouMean(name, FILTER_NAMES);
      throw new BoxctlError('E_USAGE', `--filter ${word}: there is no filter ${name}`, {
        hint: near === undefined ? `there are ${FILTER_NAMES.join(', ')}` : `did you mean ${near}?`,
      });
    }
    if (value === '')
      throw new BoxctlError('E_USAGE', `--filter ${word} has no value`, { hint: `--filter ${name}=VALUE` });
    if (name === 'status' && !STATES.some((state) => state === value)) {
      const near = didYouMean(value, STATES);
      throw new BoxctlError('E_USAGE', `--filter ${word}: no container is ever ${value}`, {
        hint: near === undefined ? `they are ${STATES.join(', ')}` : `did you mean ${near}?`,
      });
    }
    wanted.set(name, [...(wanted.get(name) ?? []), value]);
  }
  const test = (one: Listed): boolean =>
    [...wanted].every(([name, values]) => {
      const fitsOne = (value: string): boolean => FILTERS[name](one, value);
      return name === 'label' ? values.every(fitsOne) : values.some(fitsOne);
    });
  const wantsAll = wanted.has('exited') || (wanted.get('status') ?? []).some((word) => word !== 'running');
  return { test, wantsAll };
}
