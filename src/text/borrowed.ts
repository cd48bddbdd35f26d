/**
 * Values that are not the file's own: they came from the caller's environment or from an env_file, and may be secret. The
 * container gets them. What boxctl prints has the file's own words in their place: `${GITHUB_TOKEN}`.
 */
import { posix } from 'node:path';
import { addressBytes, formatAddress, parseAddress, parseSubnet } from './addresses.ts';
import { parseDuration, parseRate, parseSize } from './units.ts';

export interface Borrowed {
  /** The value of the file that it was put into: `command.2`. */
  readonly path: string;
  readonly value: string;
  /** What is printed in its place. */
  readonly shown: string;
  /** The name of the container's variable that has this value and nothing else. */
  readonly variable?: string;
}

/** Gives a text without borrowed values. `path`: the value of the file that the text is about. */
export type Redact = (text: string, path?: string) => string;

/** Where a text has nothing to do with the value of the file, a shorter value is as likely to be there by chance. */
const LEAST = 8;
/** The same for a text that is about the value of the file. */
const LEAST_RELATED = 3;

/** The same for a part of it, up to a separator. */
const LEAST_PART = 6;

/** The values that other texts are made with: the container's names stand in paths and in /etc/hosts. */
const NAMES: ReadonlySet<string> = new Set(['name', 'hostname', 'domainname']);

/** Whether one path is the other, or a part of it. */
const isRelated = (one: string, other: string): boolean =>
  one === other || one.startsWith(`${other}.`) || other.startsWith(`${one}.`);

/** An address, a subnet or a hardware address as boxctl writes it, and as the kernel gets it. */
const addressForms = (value: string): readonly string[] => {
  if (/^[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}$/iu.test(value)) return [value.toLowerCase().replaceAll('-', ':')];
  const bare = value.replace(/^\[(.*)\]$/u, '$1');
  const address = parseAddress(bare);
  const text = address === undefined ? parseSubnet(bare)?.subnet.address : formatAddress(address);
  return text === undefined ? [] : [text, `0x${Buffer.from(addressBytes(text)).toString('hex')}`];
};

/** A value in the forms that it takes on its way: normalised as a path or an address, line by line, escaped. */
const formsOf = (value: string): readonly string[] => {
  const lines = value.split(/\r?\n/u).map((line) => line.trim());
  const path = value.includes('/') ? [posix.normalize(value), posix.normalize(value).replace(/\/$/u, '')] : [];
  // Steps and descriptors are named after paths, with dots.
  const names = path.map((one) => one.replaceAll('/', '.').replace(/^\./u, ''));
  return [
    value,
    value.trim(),
    ...lines,
    ...path,
    ...names,
    ...addressForms(value.trim()),
    JSON.stringify(value).slice(1, -1),
  ];
};

/** What a text may be as a whole where it is made from the value: a part of it, or the number that it stands for. */
const partsOf = (value: string): readonly string[] => {
  const rate = parseRate(value);
  // The kernel counts bytes.
  const all = [Number(value), parseSize(value), parseDuration(value), rate, rate && rate / 8];
  const numbers = all.filter((number) => number !== undefined);
  return [...value.split(/[\s:,=/@]+/u), ...numbers.filter(Number.isFinite).map(String)].filter((part) => part !== '');
};

const same: Redact = (text) => text;

/** For comparisons in any letters. The text keeps its length. */
const fold = (text: string): string => text.replaceAll('\u0130', 'i').toLowerCase();

/**
 * Replaces the longest first. In any letters, since some keys are read in any letters. Not by a regular expression: V8 makes none
 * of values with tens of thousands of letters or lines, and its error has the values.
 */
const replacer = (table: ReadonlyMap<string, string>): Redact => {
  const forms = [...new Set([...table.keys()].map(fold))].sort((a, b) => b.length - a.length);
  if (forms.length === 0) return same;
  const byStart = new Map<string, string[]>();
  for (const form of forms) {
    const start = form.slice(0, LEAST_RELATED);
    const others = byStart.get(start);
    if (others === undefined) byStart.set(start, [form]);
    else others.push(form);
  }
  return (text) => {
    const folded = fold(text);
    let shown = '';
    let from = 0;
    for (let at = 0; at + LEAST_RELATED <= folded.length;) {
      const form = byStart.get(folded.slice(at, at + LEAST_RELATED))?.find((one) => folded.startsWith(one, at));
      if (form === undefined) {
        at++;
        continue;
      }
      const end = at + form.length;
      shown += text.slice(from, at) + (table.get(text.slice(at, end)) ?? table.get(form) ?? '…');
      at = end;
      from = end;
    }
    return shown + text.slice(from);
  };
};

type Forms = (value: string) => readonly string[];

const tableOf = (borrowed: readonly Borrowed[], least: number, formsFor: Forms = formsOf): Map<string, string> => {
  const table = new Map<string, string>();
  for (const { value, shown } of borrowed) {
    for (const form of formsFor(value)) {
      if (form.length < least) continue;
      table.set(form, shown);
      table.set(form.toLowerCase(), shown);
    }
  }
  return table;
};

/** How texts are printed where these values are about. */
export const redactor = (borrowed: readonly Borrowed[]): Redact => {
  // A value that the file has as text is no secret. An empty value cannot be replaced.
  const all = borrowed.filter(({ value, shown }) => value !== '' && value !== shown);
  if (all.length === 0) return same;
  const isName = ({ path }: Borrowed): boolean => NAMES.has(path);
  let everything: ((text: string) => string) | undefined;
  const everywhere = (text: string): string => {
    everything ??= replacer(new Map([...tableOf(all, LEAST), ...tableOf(all.filter(isName), LEAST_RELATED)]));
    return everything(text);
  };
  const known = new Map<string, (text: string) => string>();
  const about = (path: string): ((text: string) => string) => {
    const before = known.get(path);
    if (before !== undefined) return before;
    const related = all.filter((one) => isRelated(one.path, path));
    const within = replacer(new Map([...tableOf(related, LEAST_PART, partsOf), ...tableOf(related, LEAST_RELATED)]));
    const whole = new Map(
      related.flatMap(({ value, shown }) => [value, ...partsOf(value)].map((part) => [part, shown] as const)),
    );
    const made = (text: string): string =>
      whole.get(text) ?? whole.get(text.replace(/^\//u, '')) ?? everywhere(within(text));
    known.set(path, made);
    return made;
  };
  return (text, path) => (path === undefined ? everywhere(text) : about(path)(text));
};

/** The container's variables that are borrowed as a whole, with what is printed for each. */
export const borrowedVariables = (borrowed: readonly Borrowed[]): ReadonlyMap<string, string> =>
  new Map(borrowed.flatMap(({ variable, shown }) => (variable === undefined ? [] : [[variable, shown] as const])));
