/** Nanoseconds in a unit that a person reads at a glance: `0.012 ms`, `3.4 ms`, `1.25 s`. */
export function milliseconds(ns: number): string {
  const ms = ns / 1e6;
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return `${ms >= 10 ? ms.toFixed(0) : ms >= 1 ? ms.toFixed(1) : ms.toFixed(3)} ms`;
}
