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
import { formatCall } from '../plan/format.ts';
import { groupTitle } from '../plan/print.ts';
import { milliseconds } from './duration.ts';
import { errnoName } from './errno.ts';
import type { LaunchEvent } from './launch.ts';
import type { Progress, ProgressOptions } from './progress.ts';

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

interface Pen {
  readonly write: (text: string) => void;
  readonly paint: (code: number, text: string) => string;
}

interface ListContext {
  readonly groups: ReadonlyMap<string, GroupRun>;
}

function rendererFor(groups: ReadonlyMap<string, GroupRun>, { write, paint }: Pen): ListrRendererFactory {
  const titleWidth = Math.max(...[...groups.keys()].map((title) => title.length));
  const draw = (title: string, state: ListrTaskState): void => {
    const run = groups.get(title);
    if (run === undefined) return;
    if (state === ListrTaskState.STARTED) {
      write(`  ${paint(2, '○')} ${title}`);
    } else if (state === ListrTaskState.COMPLETED) {
      const steps = `${String(run.steps).padStart(3)} step${run.steps === 1 ? ' ' : 's'}`;
      const took = milliseconds(run.tookNs).padStart(9);
      write(`\r\u001b[K  ${paint(32, '✔')} ${title.padEnd(titleWidth)}  ${paint(2, `${steps} ${took}`)}\n`);
    } else if (state === ListrTaskState.FAILED) {
      write(`\r\u001b[K  ${paint(31, '✖')} ${title}\n      ${paint(31, run.failure)}\n`);
    } else if (state === ListrTaskState.SKIPPED) {
      write(`\r\u001b[K  ${paint(2, `- ${title}: stopped`)}\n`);
    }
  };
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
        task.on(ListrTaskEventType.STATE, (state) => draw(task.initialTitle ?? '', state));
      }
    }
    end(): void {
      // Every line was written when its task ended.
    }
  };
}

/** Starts to draw. A group is done when its last step is, also where others were done in between. */
export function drawGroups({ plan, color, write }: ProgressOptions): Progress {
  const groups = groupsOf(plan);
  const byTitle = new Map([...groups.values()].map((run) => [groupTitle(run.group), run]));
  const paint = (code: number, text: string): string => (color ? `\u001b[${code}m${text}\u001b[0m` : text);
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
    renderer: rendererFor(byTitle, { write, paint }),
    fallbackRenderer: rendererFor(byTitle, { write, paint }),
  });
  // A failure is drawn here and told by whoever waits for the launch.
  const drawn = list.run({ groups: byTitle }).then(
    () => undefined,
    () => undefined,
  );
  const afterwards: string[] = [];
  let isOver = false;
  let failed = false;

  const say = (text: string): void => {
    if (isOver) write(text);
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
      // Told in full by the error that follows, when the list is over.
      if (run === undefined || isOver) return;
      run.failure = `${formatCall(step.call)}: ${errnoName(happened.errno)}`;
      failed = true;
      settleAll();
    } else {
      // After a run that went well, what is undone is nobody's concern, unless it could not be.
      if (happened.errno === 0 && !failed) return;
      const result = happened.errno === 0 ? 'undone' : `not undone (${errnoName(happened.errno)})`;
      say(`  ${paint(33, '↶')} ${result}: ${step.id}\n`);
    }
  };
  const finish = async (): Promise<void> => {
    settleAll();
    await drawn;
    isOver = true;
    for (const text of afterwards.splice(0)) write(text);
  };
  return { draws: true, event, finish };
}
