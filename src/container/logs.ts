/** Reads what a container in the background has written. */
import { watch } from 'node:fs';
import { join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { isLocked, readKeptModel, type KeptContainer } from '../state/containers.ts';
import { isWritten, lastLines, LogReader, writtenSince, type LogEntry, type LogPlace } from '../state/log-files.ts';
import { msOf } from '../text/moments.ts';
import type { LogOptions } from './log-options.ts';

export type { LogOptions } from './log-options.ts';

/** Milliseconds after which the end of the container is looked for, where nothing is written. */
const LOOK = 250;

/**
 * What the container has written, in the order in which it came, a list at a time.
 *
 * @throws BoxctlError `E_LOG_ELSEWHERE` where it is not kept, `E_JOURNAL` where systemd’s journal has it and cannot be read
 */
export async function* readLog(
  container: KeptContainer,
  options: LogOptions = {},
): AsyncGenerator<readonly LogEntry[]> {
  if (driverOf(container) === 'journald') {
    const { readJournal } = await import('./journal-logs.ts');
    for await (const some of readJournal(container, options)) yield some.filter((entry) => isWithin(entry, options));
    return;
  }
  const { follow = false, until } = options;
  const { folder } = container;
  const reader = new LogReader(folder, beginning(folder, options));
  const changes = follow ? watchChanges(join(folder, 'log')) : undefined;
  try {
    for (;;) {
      const isOver = until !== undefined && msOf(until) < Date.now();
      const hasEnded = !isLocked(folder) && !isWritten(folder);
      for (let entries = reader.next(); entries !== undefined; entries = reader.next()) {
        yield entries.filter((entry) => isWithin(entry, options));
      }
      if (changes === undefined || hasEnded || isOver) return;
      await changes.next();
    }
  } finally {
    changes?.close();
    reader.close();
  }
}

function driverOf(container: KeptContainer): 'json-file' | 'journald' {
  const { name } = container;
  const driver = readKeptModel(container)?.logging.driver ?? 'json-file';
  if (driver !== 'none') return driver;
  throw new BoxctlError('E_LOG_ELSEWHERE', `the output of ${name} is not kept: \`logging: {driver: none}\``, {
    hint: `boxctl attach ${name} shows what it writes`,
  });
}

function beginning(folder: string, { since, tail }: LogOptions): LogPlace | undefined {
  if (tail !== undefined) return lastLines(folder, tail);
  return since === undefined ? undefined : writtenSince(folder, msOf(since));
}

const isWithin = ({ time }: LogEntry, { since, until }: LogOptions): boolean =>
  (since === undefined || time >= since) && (until === undefined || time <= until);

interface Changes {
  /** Resolves after a change of a file in the folder, or after a while. */
  next(): Promise<void>;
  close(): void;
}

function watchChanges(folder: string): Changes {
  let hasChanged = false;
  let wake = (): void => undefined;
  const changed = (): void => {
    hasChanged = true;
    wake();
  };
  let watcher: ReturnType<typeof watch> | undefined;
  try {
    // Without it (inotify_add_watch(2) has limits), what is new is seen a little later.
    watcher = watch(folder, changed).on('error', () => undefined);
  } catch {
    watcher = undefined;
  }
  return {
    next: async () => {
      if (!hasChanged) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, LOOK);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      hasChanged = false;
      wake = () => undefined;
    },
    close: () => watcher?.close(),
  };
}
