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
import { DIM, GREEN, painter, RED, type Paint } from '../text/style.ts';
import { clip, textWidth } from '../text/width.ts';

export interface ImportList {
  progress(progress: ImportProgress): void;
  waiting(): void;
  retrying(why: string, delay: number): void;
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

/**
 * listr2 redraws a whole list for each change. Here only the tasks at work have lines that change, which are the last ones on
 * the screen; what is over is written above them once.
 */
class Block {
  readonly #screen: Screen;
  readonly #paint: Paint;
  /** Of the tasks at work, what was told last. */
  readonly #atWork = new Map<Task, string>();
  /** Lines of them on the screen. */
  #drawn = 0;

  constructor(screen: Screen) {
    this.#screen = screen;
    this.#paint = painter(screen.color);
  }

  follow(task: Task): void {
    task.on(ListrTaskEventType.OUTPUT, (text) => {
      this.#atWork.set(task, text);
      this.#draw();
    });
    task.on(ListrTaskEventType.STATE, (state) => {
      const facts = this.#atWork.get(task);
      // A task that has told nothing has never been on the screen.
      if (facts === undefined || state === ListrTaskState.STARTED) return;
      this.#atWork.delete(task);
      if (state === ListrTaskState.COMPLETED) this.#draw(this.#line(GREEN, '✔', task, facts));
      else if (state === ListrTaskState.FAILED) this.#draw(this.#line(RED, '✖', task, facts));
      else this.#draw();
    });
  }

  /** `over`: the line of a task that has ended. */
  #draw(over?: string): void {
    const lines = [...this.#atWork].map(([task, facts]) => this.#line(DIM, '○', task, facts));
    // The cursor stays at the end of the last line that changes, or at the beginning of an empty one.
    const text = `${over === undefined ? '' : `${over}\n`}${lines.join('\n')}`;
    this.#screen.redraw(text, Math.max(0, this.#drawn - 1));
    this.#drawn = lines.length;
  }

  #line(color: number, sign: string, task: Task, facts: string): string {
    // A line that wraps cannot be drawn over.
    const room = this.#screen.columns() - 1 - INDENT;
    const shown = clip(task.initialTitle ?? '', room);
    const rest = room - textWidth(shown) - 2;
    const told = facts === '' || rest < LEAST_FACTS ? '' : `  ${this.#paint(DIM, clip(facts, rest))}`;
    return `  ${this.#paint(color, sign)} ${shown}${told}`;
  }
}

function rendererFor(screen: Screen): ListrRendererFactory {
  return class implements ListrRenderer {
    static readonly nonTTY = true;
    static readonly rendererOptions = {};
    static readonly rendererTaskOptions = {};
    readonly #tasks: readonly Task[];
    constructor(tasks: Task[]) {
      this.#tasks = tasks;
    }
    render(): void {
      const block = new Block(screen);
      for (const task of this.#tasks) block.follow(task);
    }
    end(): void {
      // Every line was written when its task ended.
    }
  };
}

type End = 'done' | 'there' | 'failed' | 'skipped';

/** One line of the list: what it stands for, and how it gets to its end. */
class Line {
  /** Of the list, which is told when the task runs and when it is over. */
  #output: (text: string) => void = () => undefined;
  #settle: (how: End) => void = () => undefined;
  readonly #settled = new Promise<End>((resolve) => (this.#settle = resolve));
  readonly #rate = new Rate();
  #text = '';
  #size = 0;
  #since: number | undefined;

  /** `since`: when its work began, where that was before anything was told of it. */
  constructor(since?: number) {
    this.#since = since;
  }

  say(text: string): void {
    this.#since ??= performance.now();
    this.#text = text;
    this.#output(text);
  }

  progress(progress: ImportProgress): void {
    this.#size = Math.max(this.#size, progress.total, progress.read);
    this.say(describe(progress, this.#rate));
  }

  settle(how: End): void {
    const took = `${((performance.now() - (this.#since ?? 0)) / 1000).toFixed(1)} s`;
    if (how === 'there') this.say('the store has it');
    // A task that reported no progress has no numbers to show.
    else if (how === 'done' && this.#text !== '') this.#output(`${readableBytes(this.#size)} in ${took}`);
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
  const renderer = rendererFor(screen);
  let drawn: Promise<unknown> = Promise.resolve();
  let lines: readonly Line[] = [];
  let last: Line | undefined;
  let isWaiting = false;

  const begin = (titles: readonly string[], began?: number): void => {
    lines = titles.map(() => new Line(began));
    const tasks = titles.map((each, index) => ({
      title: each,
      task: (_: undefined, task: { output: string; skip(message?: string): void }) => lines[index]?.run(task),
    }));
    const list = new Listr<undefined, ListrRendererFactory, ListrRendererFactory>(tasks, {
      concurrent: true,
      exitOnError: false,
      // Its handler would end the process.
      registerSignalListeners: false,
      renderer,
      fallbackRenderer: renderer,
    });
    // A failure is drawn here; the caller of the import reports it.
    drawn = list.run().catch(() => undefined);
  };
  const layerTitle = (number: number, of: number): string =>
    of === 1 ? `${name}, its layer` : `${name}, layer ${number} of ${of}`;

  return {
    progress(progress) {
      const { layer } = progress;
      if (isWaiting) {
        isWaiting = false;
        for (const line of lines) line.settle('skipped');
        lines = [];
      }
      if (lines.length === 0 || (layer !== undefined && lines.length !== layer.of)) {
        // What was drawn first is the archive as a whole, which had to be decompressed.
        for (const line of lines) line.settle('done');
        if (layer === undefined) begin([`importing ${name}`], since);
        else begin(Array.from({ length: layer.of }, (_, index) => layerTitle(index + 1, layer.of)));
      }
      const line = lines[(layer?.number ?? 1) - 1];
      last = line;
      if (layer?.state === undefined) line?.progress(progress);
      else line?.settle(layer.state);
    },
    waiting() {
      if (isWaiting || lines.length > 0) return;
      isWaiting = true;
      begin([`waiting for another boxctl that imports ${name}`]);
      lines[0]?.say('…');
    },
    retrying(why, delay) {
      const text = `${safe(why)}; asked again in ${readableSeconds(Math.ceil(delay / 1000))}`;
      if (lines.length === 0) begin([`asking for ${name}`]);
      (last ?? lines[0])?.say(text);
    },
    async end(failed) {
      for (const line of lines) line.settle(isWaiting ? 'skipped' : failed ? 'failed' : 'done');
      await drawn;
    },
  };
}
