/**
 * The steps as a list that grows while they run: one listr2 task for each group of the plan, drawn by a renderer of our
 * own, since listr2's redraws the whole list for each change and moves the cursor in what may be a narrow terminal.
 */
import {
  Listr,
  ListrTaskEventType,
  ListrTaskState,
  type ListrRenderer,
  type ListrRendererFactory,
  type ListrTaskObject,
} from 'listr2';
import type { Group, Plan } from '../plan/plan.ts';
import { formatCall } from './call-text.ts';
import { messageWriter } from './netlink-text.ts';
import { shownPlan } from './redacted.ts';
import { groupTitle } from './plan-text.ts';
import { milliseconds } from '../text/duration.ts';
import { errnoName } from '../kernel/errno.ts';
import type { LaunchEvent } from '../launcher/events.ts';
import { undoneLine, type Progress, type ProgressOptions, type Screen } from './progress-interface.ts';
import { DIM, GREEN, painter, RED, type Paint } from '../text/style.ts';
import { clip, padTo, textWidth } from '../text/width.ts';

/** What is known of a group of steps while it runs. */
class GroupRun {
  readonly group: Group;
  steps = 0;
  left = 0;
  tookNs = 0;
  failure = '';
  readonly settled: Promise<void>;
  #settle: () => void = () => undefined;

  constructor(group: Group) {
    this.group = group;
    this.settled = new Promise((resolve) => (this.#settle = resolve));
  }

  settle(): void {
    this.#settle();
  }
}

/**
 * The last step is the command itself, which starts when the drawing is over; a filter before it is told of afterwards,
 * since it might refuse even that (native/launcher/plan.cc, `quiet`).
 */
function groupsOf(plan: Plan): Map<Group, GroupRun> {
  const groups = new Map<Group, GroupRun>();
  const shared = plan.steps.findLastIndex(({ side, call }) => side === 'host' || call.name === 'fork');
  const filter = plan.steps.findIndex(({ call }, index) => index > shared && call.name.startsWith('seccomp'));
  for (const { group } of plan.steps.slice(0, filter === -1 ? -1 : filter)) {
    const run = groups.get(group) ?? new GroupRun(group);
    run.steps++;
    run.left++;
    groups.set(group, run);
  }
  return groups;
}

interface ListContext {
  readonly groups: ReadonlyMap<string, GroupRun>;
}

/** Columns before a title: two spaces, a sign, a space. */
const INDENT = 4;

/** How the groups are drawn, each at most as wide as the screen: a line that wraps cannot be written over. */
class Drawing {
  readonly #groups: ReadonlyMap<string, GroupRun>;
  readonly #screen: Screen;
  readonly #paint: Paint;
  readonly #titleWidth: number;
  /** Lines that are kept back, where only the group at work is shown; undefined once all is shown. */
  #folded: string[] | undefined;
  #isDrawn = false;

  constructor(groups: ReadonlyMap<string, GroupRun>, screen: Screen, folds: boolean) {
    this.#groups = groups;
    this.#screen = screen;
    this.#paint = painter(screen.color);
    this.#titleWidth = Math.max(...[...groups.keys()].map(textWidth));
    this.#folded = folds ? [] : undefined;
  }

  state(title: string, state: ListrTaskState): void {
    const run = this.#groups.get(title);
    if (run === undefined) return;
    if (state === ListrTaskState.STARTED) {
      if (this.#screen.isTerminal) this.#screen.redraw(this.#line(DIM, '○', title));
      this.#isDrawn = true;
    } else if (state === ListrTaskState.COMPLETED) {
      this.#end(this.#line(GREEN, '✔', title, run));
    } else if (state === ListrTaskState.FAILED) {
      this.#unfold();
      this.#end(`${this.#line(RED, '✖', title)}\n      ${this.#paint(RED, run.failure)}`);
    } else if (state === ListrTaskState.SKIPPED) {
      this.#end(this.#line(DIM, '-', `${title}: stopped`));
    }
  }

  /** What was folded is gone then. */
  end(): void {
    if (this.#isDrawn && this.#folded !== undefined && this.#screen.isTerminal) this.#screen.redraw('');
    this.#isDrawn = false;
  }

  #line(color: number, sign: string, title: string, run?: GroupRun): string {
    const room = this.#screen.columns() - 1 - INDENT;
    const facts = run === undefined ? '' : factsOf(run);
    const isRoomy = facts !== '' && this.#titleWidth + 2 + facts.length <= room;
    const rest = isRoomy ? `${padTo(title, this.#titleWidth)}  ${this.#paint(DIM, facts)}` : clip(title, room);
    return `  ${this.#paint(color, sign)} ${rest}`;
  }

  #end(line: string): void {
    if (this.#folded !== undefined) this.#folded.push(line);
    else if (this.#screen.isTerminal) this.#screen.redraw(`${line}\n`);
    else this.#screen.write(`${line}\n`);
  }

  #unfold(): void {
    const lines = this.#folded ?? [];
    this.#folded = undefined;
    for (const line of lines) this.#end(line);
  }
}

function factsOf({ steps, tookNs }: GroupRun): string {
  return `${String(steps).padStart(3)} step${steps === 1 ? ' ' : 's'} ${milliseconds(tookNs).padStart(9)}`;
}

function rendererFor(drawing: Drawing): ListrRendererFactory {
  return class implements ListrRenderer {
    static readonly nonTTY = true;
    static readonly rendererOptions = {};
    static readonly rendererTaskOptions = {};
    readonly #tasks: readonly ListrTaskObject<ListContext, ListrRendererFactory, ListrRendererFactory>[];
    constructor(tasks: ListrTaskObject<ListContext, ListrRendererFactory, ListrRendererFactory>[]) {
      this.#tasks = tasks;
    }
    render(): void {
      for (const task of this.#tasks) {
        task.on(ListrTaskEventType.STATE, (state) => drawing.state(task.initialTitle ?? '', state));
      }
    }
    end(): void {
      // Every line was written when its task ended.
    }
  };
}

/** Starts to draw. A group is done when its last step is, also where others were done in between. */
export function drawGroups({ mode, plan, screen, showValues = false }: ProgressOptions): Progress {
  const groups = groupsOf(plan);
  const byTitle = new Map([...groups.values()].map((run) => [groupTitle(run.group), run]));
  const paint = painter(screen.color);
  const drawing = new Drawing(byTitle, screen, mode === 'auto');
  const renderer = rendererFor(drawing);
  const tasks = [...byTitle].map(([title, run]) => ({
    title,
    task: async (_: ListContext, task: { skip(message?: string): void }): Promise<void> => {
      await run.settled;
      if (run.failure !== '') throw new Error(run.failure);
      if (run.left > 0) task.skip();
    },
  }));
  const list = new Listr<ListContext, ListrRendererFactory, ListrRendererFactory>(tasks, {
    concurrent: false,
    exitOnError: true,
    // Its handler would end the process: signals belong to the command.
    registerSignalListeners: false,
    renderer,
    fallbackRenderer: renderer,
  });
  // A failure is drawn here; the caller of `launch` reports it.
  const drawn = list.run({ groups: byTitle }).then(
    () => undefined,
    () => undefined,
  );
  const afterwards: string[] = [];
  let isOver = false;
  let failed = false;

  const say = (text: string): void => {
    if (isOver) screen.write(text);
    else afterwards.push(text);
  };
  const settleAll = (): void => {
    for (const run of groups.values()) run.settle();
  };
  const event = (happened: LaunchEvent): void => {
    if (happened.kind !== 'step' && happened.kind !== 'failed' && happened.kind !== 'undo') return;
    const step = plan.steps[happened.index];
    if (step === undefined) return;
    const run = groups.get(step.group);
    if (happened.kind === 'step') {
      if (run === undefined) return;
      run.tookNs += happened.endNs - happened.startNs;
      if (--run.left === 0) run.settle();
    } else if (happened.kind === 'failed') {
      // The error that follows the list has the details.
      if (run === undefined || isOver) return;
      const printed = showValues ? plan : shownPlan(plan);
      const shown = printed.steps[happened.index] ?? step;
      const words = messageWriter(plan, printed);
      const call = formatCall(shown.call, (message) => words(message, step.because));
      run.failure = `${call}: ${errnoName(happened.errno)}`;
      failed = true;
      settleAll();
    } else {
      // After a run without failure, only what could not be undone is shown.
      if (happened.errno === 0 && !failed) return;
      say(undoneLine(step, happened.errno, paint));
    }
  };
  const finish = async (): Promise<void> => {
    settleAll();
    await drawn;
    drawing.end();
    isOver = true;
    for (const text of afterwards.splice(0)) screen.write(text);
  };
  return { draws: true, event, finish };
}
