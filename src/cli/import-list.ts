/** An import as a list of listr2: one task, or one for each layer, with a line that follows what is done of it. */
import {
  Listr,
  ListrTaskEventType,
  ListrTaskState,
  type ListrRenderer,
  type ListrRendererFactory,
  type ListrTaskObject,
} from 'listr2';
import type { ImportProgress } from '../image/import-job.ts';
import { Rate } from './rate.ts';
import { readableBytes, readableSeconds } from '../text/sizes.ts';
import type { Screen } from '../show/progress-interface.ts';
import { safe } from '../text/safe.ts';
import { DIM, GREEN, painter, RED } from '../text/style.ts';
import { clip, textWidth } from '../text/width.ts';

export interface ImportList {
  progress(progress: ImportProgress): void;
  waiting(): void;
  /** Resolves when the list is complete on the screen, or gone where it was only about waiting. */
  end(failed: boolean): Promise<void>;
}

/** Columns of a name at most, so that there is room for how far it is. */
const MAX_TITLE = 36;
/** Columns before a title: two spaces, a sign, a space. */
const INDENT = 4;
/** Fewer columns than these have no room for anything but the title. */
const LEAST_FACTS = 5;

type Task = ListrTaskObject<undefined, ListrRendererFactory, ListrRendererFactory>;

/** listr2 redraws a whole list for each change; here, only the task at work has a line that changes. */
function rendererFor(screen: Screen): ListrRendererFactory {
  const paint = painter(screen.color);
  const follow = (task: Task): void => {
    const title = task.initialTitle ?? '';
    let last = '';
    const draw = (color: number, sign: string, end: string): void => {
      // A line that wraps cannot be drawn over.
      const room = screen.columns() - 1 - INDENT;
      const shown = clip(title, room);
      const rest = room - textWidth(shown) - 2;
      const facts = last === '' || rest < LEAST_FACTS ? '' : `  ${paint(DIM, clip(last, rest))}`;
      screen.redraw(`  ${paint(color, sign)} ${shown}${facts}${end}`);
    };
    task.on(ListrTaskEventType.OUTPUT, (text) => {
      last = text;
      draw(DIM, '○', '');
    });
    task.on(ListrTaskEventType.STATE, (state) => {
      if (state === ListrTaskState.STARTED) draw(DIM, '○', '');
      else if (state === ListrTaskState.COMPLETED) draw(GREEN, '✔', '\n');
      else if (state === ListrTaskState.FAILED) draw(RED, '✖', '\n');
      else if (state === ListrTaskState.SKIPPED) screen.redraw('');
    });
  };
  return class implements ListrRenderer {
    static readonly nonTTY = true;
    static readonly rendererOptions = {};
    static readonly rendererTaskOptions = {};
    readonly #tasks: readonly Task[];
    constructor(tasks: Task[]) {
      this.#tasks = tasks;
    }
    render(): void {
      for (const task of this.#tasks) follow(task);
    }
    end(): void {
      // Every line was written when its task ended.
    }
  };
}

/** One line of the list: what it stands for, and how it gets to its end. */
class Line {
  /** Of the list, which is told when the task runs and when it is over. */
  #output: (text: string) => void = () => undefined;
  #settle: (how: 'done' | 'failed' | 'skipped') => void = () => undefined;
  readonly #settled = new Promise<'done' | 'failed' | 'skipped'>((resolve) => (this.#settle = resolve));
  #text = '';
  #size = 0;
  #since = 0;

  begin(since: number): void {
    this.#since = since;
  }
  say(text: string, size: number): void {
    this.#text = text;
    this.#size = size;
    this.#output(text);
  }
  settle(how: 'done' | 'failed' | 'skipped'): void {
    const took = `${((performance.now() - this.#since) / 1000).toFixed(1)} s`;
    // A task that reported no progress has no numbers to show.
    if (how === 'done' && this.#text !== '') this.#output(`${readableBytes(this.#size)} in ${took}`);
    this.#settle(how);
  }
  async run(task: { output: string; skip(message?: string): void }): Promise<void> {
    this.#output = (text) => (task.output = text);
    if (this.#text !== '') this.#output(this.#text);
    const how = await this.#settled;
    if (how === 'failed') throw new Error(this.#text);
    if (how === 'skipped') task.skip();
  }
}

function describe(progress: ImportProgress, rate: Rate): string {
  const { read, total, entries } = progress;
  const { bytesPerSecond, secondsLeft } = rate.at(progress);
  const done = total > 0 ? `${readableBytes(read)} of ${readableBytes(total)}` : readableBytes(read);
  return [
    total > 0 ? `${Math.min(100, Math.floor((read / total) * 100))} %` : '',
    done,
    entries === undefined || entries === 0 ? '' : `${entries} files`,
    bytesPerSecond === undefined ? '' : `${readableBytes(bytesPerSecond)}/s`,
    secondsLeft === undefined ? '' : `${readableSeconds(Math.ceil(secondsLeft))} left`,
  ]
    .filter((part) => part !== '')
    .join(', ');
}

/** Starts to draw an import that began at `since`. What the tasks are is known with the first thing that is told. */
export function drawImport(title: string, screen: Screen, since: number): ImportList {
  const name = clip(safe(title), MAX_TITLE);
  const rate = new Rate();
  const renderer = rendererFor(screen);
  let drawn: Promise<unknown> = Promise.resolve();
  let lines: readonly Line[] = [];
  let at = 0;
  let began = since;
  let isWaiting = false;

  const begin = (titles: readonly string[]): void => {
    lines = titles.map(() => new Line());
    at = 0;
    lines[0]?.begin(began);
    const tasks = titles.map((each, index) => ({
      title: each,
      task: (_: undefined, task: { output: string; skip(message?: string): void }) => lines[index]?.run(task),
    }));
    const list = new Listr<undefined, ListrRendererFactory, ListrRendererFactory>(tasks, {
      concurrent: false,
      exitOnError: true,
      // Its handler would end the process.
      registerSignalListeners: false,
      renderer,
      fallbackRenderer: renderer,
    });
    // A failure is drawn here; the caller of the import reports it.
    drawn = list.run().catch(() => undefined);
  };
  const settleAll = async (how: 'done' | 'failed' | 'skipped'): Promise<void> => {
    for (const line of lines) line.settle(how);
    await drawn;
  };

  return {
    progress(progress) {
      const { layer } = progress;
      if (isWaiting) {
        isWaiting = false;
        for (const line of lines) line.settle('skipped');
        lines = [];
        began = performance.now();
      }
      if (lines.length === 0 || (layer !== undefined && lines.length !== layer.of)) {
        // What was drawn first is the archive as a whole, which had to be decompressed.
        for (const line of lines) line.settle('done');
        if (lines.length > 0) began = performance.now();
        begin(
          layer === undefined
            ? [`importing ${name}`]
            : Array.from({ length: layer.of }, (_, index) => `${name}, layer ${index + 1} of ${layer.of}`),
        );
      }
      const now = (layer?.number ?? 1) - 1;
      for (; at < now; at++) {
        lines[at]?.settle('done');
        lines[at + 1]?.begin(performance.now());
      }
      lines[now]?.say(describe(progress, rate), Math.max(progress.total, progress.read));
    },
    waiting() {
      if (isWaiting) return;
      isWaiting = true;
      begin([`waiting for another boxctl that imports ${name}`]);
    },
    async end(failed) {
      await settleAll(isWaiting ? 'skipped' : failed ? 'failed' : 'done');
    },
  };
}
