/** How an import of an image is shown: a list on a terminal, JSON lines to a program, and nothing to others. */
import type { ImportListener } from '../container/reporter.ts';
import { SILENT_IMPORT } from '../container/reporter.ts';
import type { ProgressMode, Screen } from '../show/progress-interface.ts';
import { safeJson } from '../text/safe.ts';
import type { Invocation } from './command.ts';
import type { ImportList } from './import-list.ts';
import { isWatched, screen, writeMessage } from './output.ts';
import { Rate } from './rate.ts';

/** An import that is over sooner is not drawn. */
const DELAY_MS = 300;

export function importView(title: string, mode: ProgressMode, env: Invocation['env']): ImportListener {
  if (mode === 'json') return jsonView(title);
  return mode !== 'quiet' && isWatched(env) ? drawnView(title, screen(env)) : SILENT_IMPORT;
}

function jsonView(source: string): ImportListener {
  const rate = new Rate();
  let isWaiting = false;
  const line = (event: object): void => writeMessage(`${safeJson(event)}\n`);
  return {
    progress(progress) {
      const { read, total, entries, layer } = progress;
      const { bytesPerSecond, secondsLeft } = rate.at(progress);
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
    end: async (failed) => (await loading)?.end(failed),
  };
}
