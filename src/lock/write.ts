/** A lock as text: the same lock gives the same bytes, one fact to a line, everything sorted. */
import { writeWhole } from '../files/atomic-write.ts';
import { safeJson } from '../text/safe.ts';
import { LOCK_VERSION, type Lock, type LockedImage } from './lock.ts';

type Node = string | number | readonly string[] | ReadonlyMap<string, Node>;

/** What YAML reads as this text without quotes, by version 1.1 and 1.2. Other text is quoted. */
const PLAIN =
  /^(?!(?:true|false|null|yes|no|on|off|y|n)$)(?:[A-Za-z_/]|\.{1,2}\/|\d(?=[^/]*\/))[A-Za-z0-9_./@+~:-]*(?<!:)$/iu;

const scalar = (text: string): string => (PLAIN.test(text) ? text : safeJson(text));

function lines(node: ReadonlyMap<string, Node>, indent: string): readonly string[] {
  return [...node].flatMap(([key, value]) => {
    const name = `${indent}${scalar(key)}:`;
    if (typeof value === 'string') return [`${name} ${scalar(value)}`];
    if (typeof value === 'number') return [`${name} ${value}`];
    const inner = `${indent}  `;
    return Array.isArray(value)
      ? [name, ...value.map((item: string) => `${inner}- ${scalar(item)}`)]
      : [name, ...lines(value as ReadonlyMap<string, Node>, inner)];
  });
}

/** By code units, not by the caller's language. */
export const sortedMap = <T>(map: ReadonlyMap<string, T>): ReadonlyMap<string, T> =>
  new Map([...map].toSorted(([a], [b]) => (a < b ? -1 : 1)));

function imageNode(image: LockedImage): ReadonlyMap<string, Node> {
  switch (image.kind) {
    case 'reference': {
      const { ref, name, index, platforms } = image;
      const each = [...sortedMap(platforms)].map(([platform, { manifest, config }]): [string, Node] => [
        platform,
        new Map([
          ['manifest', manifest],
          ['config', config],
        ]),
      ]);
      return new Map<string, Node>([
        ['ref', ref],
        ['name', name],
        ...(index === undefined ? [] : [['index', index] as const]),
        ['platforms', new Map(each)],
      ]);
    }
    case 'stored':
      return new Map([
        ['ref', image.ref],
        ['digest', image.digest],
      ]);
    case 'tar':
      return new Map([
        ['tar', image.tar],
        ['digest', image.digest],
      ]);
    case 'host_tools':
      return new Map<string, Node>([
        ['host_tools', image.tools],
        ['packed', image.packed],
        ['files', sortedMap(image.files)],
      ]);
  }
}

export function lockText({ image, files }: Lock): string {
  const top = new Map<string, Node>([
    ['version', LOCK_VERSION],
    ...(image === undefined ? [] : [['image', imageNode(image)] as const]),
    ...(files.size === 0 ? [] : [['files', sortedMap(files)] as const]),
  ]);
  return `${lines(top, '').join('\n')}\n`;
}

/** For everybody to read, as the container file is: it is kept with the project. */
export function writeLock(path: string, lock: Lock): void {
  writeWhole(path, lockText(lock), 0o666);
}
