/** What a process keeps of the machine's memory. */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { until } from './background.ts';

/**
 * KiB of memory that it would have for itself where no other launcher ran: what is private to it now, and what it shares
 * with others that execute the same file. The kernel's own page ([vdso]) is every process's.
 */
function ownMemory(pid: number): number {
  const mappings = readFileSync(`/proc/${pid}/smaps`, 'utf8').split(/^(?=[\da-f]+-[\da-f]+ )/mu);
  return mappings
    .filter((mapping) => !/^.*\[vdso\]$/mu.test(mapping))
    .flatMap((mapping) => [...mapping.matchAll(/^(?:Private|Shared)_(?:Clean|Dirty): +(\d+) kB$/gmu)])
    .reduce((sum, [, size]) => sum + Number(size), 0);
}

/** Waits until it keeps no more than this. A failure tells what it kept. */
export async function expectAtMost(pid: number, most: number): Promise<void> {
  await until(() => (ownMemory(pid) <= most ? true : undefined)).catch(() => undefined);
  expect(ownMemory(pid)).toBeLessThanOrEqual(most);
}
