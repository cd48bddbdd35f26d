/** `labels` and `annotations`: what the file notes of its container for other programs. */
import type { ContainerFile } from '../generated/container.ts';
import { addProblem, clip, clipKey, each, type Context } from './context.ts';

type Raw = ContainerFile['labels'];

/** As a map, or as a list of KEY=VALUE; undefined where there is none. */
export function normaliseNotes(
  context: Context,
  raw: Raw,
  key: 'labels' | 'annotations',
): Readonly<Record<string, string>> | undefined {
  const result = new Map<string, string>();
  const add = (name: string, value: string, path: string, shown: string): void => {
    if (name === '' || (name + value).includes('\0')) {
      addProblem(context, path, 'E_SPEC_VALUE', `"${shown}" cannot be the name of one of the ${key}`);
    } else if (result.has(name) && result.get(name) !== value) {
      addProblem(context, path, 'E_SPEC_CONFLICT', `\`${key}\` has "${shown}" twice`, { hint: 'keep one of them' });
    } else result.set(name, value);
  };
  if (Array.isArray(raw)) {
    for (const [item, path] of each(context, raw, key)) {
      const equals = item.indexOf('=');
      const name = equals === -1 ? item : item.slice(0, equals);
      add(name, equals === -1 ? '' : item.slice(equals + 1), path, clip(name));
      context.paths.alias(`${key}.${name}`, path);
    }
  } else {
    for (const [name, value] of Object.entries(raw ?? {})) {
      const path = `${key}.${name}`;
      if (context.bad.has(path)) continue;
      // As written: 1.10 is the text 1.10 and not the number 1.1.
      add(name, value === null ? '' : (context.paths.text(path) ?? String(value)), path, clipKey(name));
    }
  }
  return result.size === 0 ? undefined : Object.fromEntries(result);
}
