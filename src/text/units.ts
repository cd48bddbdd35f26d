/** Sizes, durations, lists of numbers, signals and permission bits as people write them. */
import { constants } from 'node:os';

const SIZE = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i;
const POWERS: Readonly<Record<string, number>> = { '': 0, k: 1, m: 2, g: 3, t: 4 };

/** Bytes of `256MiB`, `1.5g`, `64k`, `512`: all 1024-based. Undefined when it is not a size. */
export const parseSize = (text: string): number | undefined => {
  const match = SIZE.exec(text.trim());
  if (match === null) return undefined;
  const power = POWERS[(match[2] ?? '').toLowerCase()] ?? 0;
  const bytes = Number(match[1]) * 1024 ** power;
  return Number.isSafeInteger(Math.floor(bytes)) ? Math.floor(bytes) : undefined;
};

/** Permission bits of `1777`, `0755` or `0o755`: always octal, at most 0o7777. */
export const parseMode = (text: string): number | undefined =>
  /^(0o?)?[0-7]{1,4}$/.test(text) ? Number.parseInt(text.replace(/^0o/, ''), 8) : undefined;

const RATE = /^(\d+(?:\.\d+)?)\s*([kmgt]?)bit(?:\/s)?$/i;

/** Bits per second of `10mbit`, `1.5gbit` or `64kbit`: 1000-based, as tc(8) has them. Undefined when it is no rate. */
export const parseRate = (text: string): number | undefined => {
  const match = RATE.exec(text.trim());
  if (match === null) return undefined;
  const power = POWERS[(match[2] ?? '').toLowerCase()] ?? 0;
  const bits = Math.floor(Number(match[1]) * 1000 ** power);
  return Number.isSafeInteger(bits) ? bits : undefined;
};

const DURATION = /^(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?$/;

/** Milliseconds of `1h30m`, `90s` or `500ms`, as in Compose; undefined when it is no duration, or none at all. */
export const parseDuration = (text: string): number | undefined => {
  const match = DURATION.exec(text.trim());
  if (match === null || text.trim() === '') return undefined;
  const [hours = 0, minutes = 0, seconds = 0, milliseconds = 0] = match.slice(1).map((part) => Number(part ?? 0));
  const sum = Math.round(((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds);
  return Number.isSafeInteger(sum) ? sum : undefined;
};

/** The numbers of `0-3,7` in the kernel's own form; undefined when it is no such list. */
export const parseNumbers = (text: string): string | undefined => {
  const all = new Set<number>();
  for (const part of text.split(',')) {
    const match = /^\s*(\d{1,4})(?:-(\d{1,4}))?\s*$/.exec(part);
    if (match === null) return undefined;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last < first) return undefined;
    for (let number = first; number <= last; number += 1) all.add(number);
  }
  return inRanges(all);
};

/** cpuset(7), "List format". */
const inRanges = (numbers: ReadonlySet<number>): string => {
  const ranges: [first: number, last: number][] = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const range = ranges.at(-1);
    if (range !== undefined && range[1] === number - 1) range[1] = number;
    else ranges.push([number, number]);
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
};

/** signal(7): the first that programs may use as they like, as the C library counts. */
const SIGRTMIN = 34;
const LAST_SIGNAL = 64;

/** The number of `SIGTERM`, `term`, `15` or `SIGRTMIN+3`; undefined when there is no such signal. */
export const parseSignal = (text: string): number | undefined => {
  const name = text.trim().toUpperCase().replace(/^SIG/, '');
  const real = /^RTMIN(?:\+(\d{1,2}))?$/.exec(name);
  const known: Readonly<Record<string, number>> = constants.signals;
  const number =
    real === null ? (/^\d{1,2}$/.test(name) ? Number(name) : known[`SIG${name}`]) : SIGRTMIN + Number(real[1] ?? 0);
  return number !== undefined && number >= 1 && number <= LAST_SIGNAL ? number : undefined;
};
