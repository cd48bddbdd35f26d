/**
 * An import of an image as it is seen: a list on a terminal, JSON lines for a program, nothing for others but what they
 * must know of its result. It can be given up at any time, and leaves nothing then.
 */
import { constants } from 'node:os';
import { basename } from 'node:path';
import { BoxctlError } from '../errors.ts';
import type { ImportProgress } from '../image/import-job.ts';
import type { ImageRecord } from '../image/records.ts';
import type { ResolveOptions } from '../image/resolve.ts';
import type { ImageSource } from '../spec/spec.ts';
import type { Invocation } from './command.ts';
import type { ImportList } from './import-list.ts';
import { isWatched, screen, writeMessage } from './output.ts';
import type { ProgressMode, Screen } from '../show/reporter.ts';
import { Pace } from './pace.ts';
import type { Voice } from './voice.ts';
import { safeJson } from '../text/safe.ts';

/** What is over sooner is not worth a look. */
const MOMENT_MS = 300;

export type ImportMode = ProgressMode;
type Hooks = Pick<ResolveOptions, 'onProgress' | 'onWait' | 'onImported' | 'signal'>;

interface View {
  progress(progress: ImportProgress): void;
  waiting(): void;
  imported(record: ImageRecord): void;
  /** Resolves when nothing of it is left to be drawn. `failed`: the import, for whatever reason. */
  end(failed: boolean): Promise<void>;
}

/** What a person calls the image. */
export function titleOf(source: ImageSource): string {
  if (source.kind === 'host_tools') return 'programs of this host';
  return source.kind === 'stored' ? source.name : basename(source.path);
}

/** Shows what `work` does through the hooks. Throws `E_INTERRUPTED` when a signal ended it. */
export async function showImport<T>(
  { env }: Pick<Invocation, 'env'>,
  title: string,
  mode: ImportMode,
  voice: Voice,
  work: (hooks: Hooks) => Promise<T>,
): Promise<T> {
  const isDrawn = mode !== 'quiet' && isWatched(env);
  const view = mode === 'json' ? jsonView(title) : isDrawn ? drawnView(title, screen(env)) : NO_VIEW;
  const interruption = listen();
  const hooks: Hooks = {
    signal: interruption.signal,
    onProgress: (progress) => view.progress(progress),
    onWait: () => {
      interruption.signal.throwIfAborted();
      view.waiting();
    },
    onImported: (record) => {
      view.imported(record);
      imported.push(record);
    },
  };
  const imported: ImageRecord[] = [];
  try {
    const result = await work(hooks);
    await view.end(false);
    for (const record of imported) tellLosses(record, voice);
    return result;
  } catch (error) {
    await view.end(true);
    interruption.signal.throwIfAborted();
    throw error;
  } finally {
    interruption.stop();
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The second signal ends boxctl at once; what it leaves is removed by the next import. */
function listen(): { readonly signal: AbortSignal; stop(): void } {
  const controller = new AbortController();
  const stop = (): void => {
    for (const name of SIGNALS) process.off(name, take);
  };
  const take = (name: NodeJS.Signals): void => {
    stop();
    const message = `the import was given up (${name}); the image store is as it was`;
    controller.abort(new BoxctlError('E_INTERRUPTED', message, { signal: constants.signals[name] }));
  };
  for (const name of SIGNALS) process.on(name, take);
  return { signal: controller.signal, stop };
}

const count = (number: number, one: string, many: string): string => `${number} ${number === 1 ? one : many}`;

/** What of the archive is not in the image as it was: said once, when it is imported. */
function tellLosses({ squashed, skipped, source }: ImageRecord, voice: Voice): void {
  const losses = [
    squashed === 0
      ? []
      : [`${count(squashed, 'file belongs', 'files belong')} to ids that you do not have, and root’s inside`],
    skipped === 0 ? [] : [`${count(skipped, 'device or attribute is', 'devices and attributes are')} left out`],
  ].flat();
  if (losses.length > 0) voice.warning(`${basename(source)}: ${losses.join('; ')}`, undefined);
}

const nothing = (): void => undefined;
const NO_VIEW: View = { progress: nothing, waiting: nothing, imported: nothing, end: async () => undefined };

function jsonView(source: string): View {
  const pace = new Pace();
  let isWaiting = false;
  const line = (event: object): void => writeMessage(`${safeJson(event)}\n`);
  return {
    progress(progress) {
      const { read, total, entries, layer } = progress;
      const { bytesPerSecond, secondsLeft } = pace.at(progress);
      line({
        event: 'import',
        source,
        read,
        ...(total === 0 ? {} : { total }),
        ...(entries === undefined || entries === 0 ? {} : { entries }),
        ...(layer === undefined ? {} : { layer: layer.number, layers: layer.of }),
        ...(bytesPerSecond === undefined ? {} : { bytes_per_second: Math.round(bytesPerSecond) }),
        ...(secondsLeft === undefined ? {} : { seconds_left: Number(secondsLeft.toFixed(1)) }),
      });
    },
    waiting() {
      if (!isWaiting) line({ event: 'import', source, waiting: true });
      isWaiting = true;
    },
    imported({ digest, entries, bytes, squashed, skipped }) {
      line({ event: 'imported', source, digest, entries, bytes, squashed, skipped });
    },
    end: async () => undefined,
  };
}

/** Nothing is loaded, let alone drawn, for an import that is over in a moment. */
function drawnView(title: string, to: Screen): View {
  const since = performance.now();
  let loading: Promise<ImportList> | undefined;
  let list: ImportList | undefined;
  let last: ((on: ImportList) => void) | undefined;
  const show = (draw: (on: ImportList) => void): void => {
    if (performance.now() - since < MOMENT_MS) return;
    last = draw;
    if (list !== undefined) draw(list);
    loading ??= import('./import-list.ts').then(({ drawImport }) => {
      list = drawImport(title, to, since);
      last?.(list);
      return list;
    });
  };
  return {
    progress: (progress) => show((on) => on.progress(progress)),
    waiting: () => show((on) => on.waiting()),
    imported: nothing,
    end: async (failed) => (await loading)?.end(failed),
  };
}
