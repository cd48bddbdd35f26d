/** What Node does for the program `boxctl` (native/front): it keeps plans, and tells how a container ended that was started without it. */
import { fstatSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { Ended } from '../container/ended.ts';
import type { StartedRun } from '../container/foreground-record.ts';
import { recordOf } from '../container/kept-record.ts';
import type { HostFacts } from '../host/facts.ts';
import { noteProcess } from '../inputs/outside.ts';
import { notePath, startRecording } from '../inputs/record.ts';
import type { Overrides } from '../model/compile.ts';
import type { ImageFacts } from '../model/image.ts';
import { ownFiles } from '../native.ts';
import type { Plan } from '../plan/plan.ts';
import type { KeptContainer } from '../state/containers.ts';
import { keepExec } from '../state/kept-exec.ts';
import { keepPlan, needsMarks, variablesOf, whyNotKept, type KeptBesides } from '../state/kept-plans.ts';
import { recordPath } from '../state/running.ts';
import type { Invocation } from './command.ts';
import type { Remake } from './marked-run.ts';
import type { Messages } from './messages.ts';

/** How a start is planned once more. */
export interface Again {
  readonly remake: Remake;
  readonly overrides: (image: ImageFacts | undefined) => Overrides;
}

/** Writes down what a plan is made from, and keeps the plan once its command runs and nothing had to be said. */
export class Keeper {
  readonly #words: readonly string[];
  readonly #recording = startRecording();
  #hasTold = false;
  #kept = Promise.resolve();

  constructor(words: readonly string[]) {
    this.#words = words;
    noteProcess(ownFiles());
  }

  /** A start that says something says it again the next time, so its plan is not kept. */
  watch(messages: Messages): Messages {
    const told =
      (say: Messages['warning']): Messages['warning'] =>
      (message, at) => {
        this.#hasTold = true;
        say(message, at);
      };
    return { ...messages, warning: told(messages.warning), notice: told(messages.notice) };
  }

  keep(run: StartedRun, again: Again): void {
    // What secrets and configs hold is in no plan: each start reads it anew.
    if (this.#hasTold || run.model.contents.length > 0) return;
    const isMarked = needsMarks(run.plan, this.#recording);
    if (isMarked || run.claims.network?.file !== undefined) this.#kept = this.#keepMore(run, again, isMarked);
    else this.#keep(run);
  }

  /** Resolves when nothing more is written. */
  get kept(): Promise<void> {
    return this.#kept;
  }

  #keep({ document, model, plan, host, claims, background }: StartedRun, more?: KeptBesides): void {
    const record = recordOf(document, model, '');
    keepPlan(this.#words, { record, plan, model, background, claim: claims.network }, host, this.#recording, more);
  }

  async #keepMore(run: StartedRun, { remake, overrides }: Again, isMarked: boolean): Promise<void> {
    // Nothing is planned once more for a plan that is not kept anyway.
    if (whyNotKept(run.plan, this.#recording, run.background !== undefined) !== undefined) return;
    if (!isMarked) {
      const { numberedRuns } = await import('./numbered-runs.ts');
      this.#keep(run, { numbered: numberedRuns(run, overrides) });
      return;
    }
    const { markedRun } = await import('./marked-run.ts');
    const marked = await markedRun(variablesOf(this.#recording), run, remake);
    if (marked !== undefined) this.#keep(run, { marked });
  }

  readonly stop = (): void => this.#recording.stop();
}

/** The same for commands in a container that runs in the background. */
export class ExecKeeper {
  readonly #words: readonly string[];
  readonly #name: string;
  readonly #recording = startRecording();
  #noted = '';

  /** Undefined where the words of the command line are not such that native/front can tell those of the command from the others. */
  static of({ front, args }: Pick<Invocation, 'front' | 'args'>): ExecKeeper | undefined {
    if (front?.hasEnded !== false) return undefined;
    const { words } = front;
    const at = words.findIndex((word, index) => index > 0 && !word.startsWith('-'));
    const [name] = args.positionals;
    const command = words.slice(words[at + 1] === '--' ? at + 2 : at + 1);
    const isPlain =
      name === words[at] &&
      command.length === args.rest.length &&
      command.every((word, index) => word === args.rest[index]);
    return isPlain && name !== undefined ? new ExecKeeper(words.slice(0, at + 1), name) : undefined;
  }

  private constructor(words: readonly string[], name: string) {
    this.#words = words;
    this.#name = name;
    noteProcess(ownFiles());
  }

  /** What the plan has of the container. To be called before any of it is read for the plan. */
  note({ folder, name, id }: KeptContainer, host: HostFacts): void {
    this.#noted = id;
    for (const file of ['container.json', 'model.json', 'paused']) notePath(join(folder, file));
    notePath(recordPath(host, name, id));
  }

  keep({ folder, name, id, isForeground }: KeptContainer, plan: Plan, host: HostFacts): void {
    // By its name alone it is found whatever other containers there are.
    if (isForeground === true || name !== this.#name || id !== this.#noted) return;
    keepExec({ words: this.#words, record: recordPath(host, name, id), folder, plan }, host, this.#recording);
  }

  readonly stop = (): void => this.#recording.stop();
}

/** As native/front leaves them: the records of the launcher, the plan, and the claim of addresses where the plan has some. */
const ENDED_FD = { records: 3, plan: 4, claim: 5 } as const;

function readAll(fd: number): Uint8Array {
  const { size } = fstatSync(fd);
  const bytes = Buffer.alloc(size);
  for (let done = 0, got = -1; got !== 0 && done < size; done += got)
    got = readSync(fd, bytes, done, size - done, done);
  return bytes;
}

export const readEnded = (): Ended => ({
  records: readAll(ENDED_FD.records),
  plan: readAll(ENDED_FD.plan),
  claim: ENDED_FD.claim,
});
