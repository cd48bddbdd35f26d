/** How an import of an image is shown: a list on a terminal, JSON lines to a program, and nothing to others. */
import type { ImportListener } from '../container/reporter.ts';
import { SILENT_IMPORT } from '../container/reporter.ts';
import type { ProgressMode, Screen } from '../show/progress-interface.ts';
import { safe, safeJson } from '../text/safe.ts';
import { readableSeconds } from '../text/sizes.ts';
import type { Invocation } from './command.ts';
import type { ImportList } from './import-list.ts';
import { isWatched, screen, writeMessage } from './output.ts';
import { Rate } from './rate.ts';

/** An import that is over sooner is not drawn. */
const DELAY_MS = 300;

export function importView(title: string, mode: ProgressMode, env: Invocation['env']): ImportListener {
  if (mode === 'json') return jsonView(title);
  if (mode === 'quiet') return SILENT_IMPORT;
  return isWatched(env) ? drawnView(title, screen(env)) : PLAIN;
}

function jsonView(source: string): ImportListener {
  const rates = new Map<number, Rate>();
  let isWaiting = false;
  const line = (event: object): void => writeMessage(`${safeJson(event)}\n`);
  return {
    progress(progress) {
      const { read, total, entries, layer } = progress;
      const rate = rates.get(layer?.number ?? 0) ?? new Rate();
      rates.set(layer?.number ?? 0, rate);
      const { bytesPerSecond, secondsLeft } = rate.at(progress);
      line({
        event: 'import',
        source,
        read,
        ...(total === 0 ? {} : { total }),
        ...(entries === undefined || entries === 0 ? {} : { entries }),
        ...(layer === undefined ? {} : { layer: layer.number, layers: layer.of }),
        ...(layer?.state === undefined ? {} : { state: layer.state }),
        ...(bytesPerSecond === undefined ? {} : { bytes_per_second: Math.round(bytesPerSecond) }),
        ...(secondsLeft === undefined ? {} : { seconds_left: Number(secondsLeft.toFixed(1)) }),
      });
    },
    waiting() {
      if (!isWaiting) line({ event: 'import', source, waiting: true });
      isWaiting = true;
    },
    retrying(why, delay) {
      line({ event: 'import', source, retry: why, seconds: Number((delay / 1000).toFixed(1)) });
    },
    imported({ digest, entries, bytes, squashed, skipped }) {
      line({ event: 'imported', source, digest, entries, bytes, squashed, skipped });
    },
    end: async () => undefined,
  };
}

/** In a log: what takes long, and why. */
const PLAIN: ImportListener = {
  ...SILENT_IMPORT,
  retrying(why, delay) {
    writeMessage(`boxctl: ${safe(why)}; asked again in ${readableSeconds(Math.ceil(delay / 1000))}\n`);
  },
};

/** What draws is not loaded for an import that is over before the delay. */
function drawnView(title: string, to: Screen): ImportListener {
  const since = performance.now();
  let loading: Promise<ImportList> | undefined;
  let list: ImportList | undefined;
  let last: ((on: ImportList) => void) | undefined;
  const show = (draw: (on: ImportList) => void): void => {
    if (performance.now() - since < DELAY_MS) return;
    last = draw;
    if (list !== undefined) draw(list);
    loading ??= import('./import-list.ts').then(({ drawImport }) => {
      list = drawImport(title, to, since);
      last?.(list);
      return list;
    });
  };
  return {
    ...SILENT_IMPORT,
    progress: (progress) => show((on) => on.progress(progress)),
    waiting: () => show((on) => on.waiting()),
    retrying: (why, delay) => show((on) => on.retrying(why, delay)),
    end: async (failed) => (await loading)?.end(failed),
  };
}
