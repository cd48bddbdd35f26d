/** Numbers as people read them. */

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** Bytes in powers of 1000, as disks and networks count: `171 MB`, `1.2 GB`. */
export function readableBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** power;
  return `${power === 0 || value >= 9.95 ? Math.round(value) : value.toFixed(1)} ${UNITS[power] ?? ''}`;
}

const STEPS = [
  [60, 1, 's'],
  [3600, 60, 'min'],
  [86_400, 3600, 'h'],
] as const;

/** A span of time in the largest unit that fits: `3 s`, `5 min`, `2 h`, `12 d`. */
export function readableSeconds(seconds: number): string {
  const step = STEPS.find(([limit]) => seconds < limit);
  return step === undefined ? `${Math.floor(seconds / 86_400)} d` : `${Math.floor(seconds / step[1])} ${step[2]}`;
}

/** Bytes in powers of 1024, as a file says them: `64 MiB`. What is no whole number of a unit stays bytes. */
export function formatBytes(bytes: number): string {
  for (const [unit, size] of [
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
    ['KiB', 2 ** 10],
  ] as const) {
    if (bytes >= size && bytes % size === 0) return `${bytes / size} ${unit}`;
  }
  return `${bytes} bytes`;
}

/** Bits in a second, in the largest unit of which they are a whole number: `10mbit`. */
export function formatRate(bits: number): string {
  for (const [unit, size] of [
    ['gbit', 1e9],
    ['mbit', 1e6],
    ['kbit', 1e3],
  ] as const) {
    if (bits >= size && bits % size === 0) return `${bits / size}${unit}`;
  }
  return `${bits}bit`;
}
