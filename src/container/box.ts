/** A container of this process, by its launcher that is already there: streams, signals, its end. */
import { EventEmitter } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import type { LaunchEvent, Outcome } from '../launcher/events.ts';
import { launch, type Launch } from '../launcher/launch.ts';
import type { LaunchTemplate } from '../launcher/start-launcher.ts';
import type { Model } from '../model/model.ts';
import type { Plan } from '../plan/plan.ts';
import type { EndReason, Ending } from '../run/ending.ts';
import { helperEnded } from '../run/explain.ts';
import { freezerOf } from '../state/paused.ts';
import { firstProcess } from '../state/running.ts';
import { sweepState } from '../state/sweep.ts';
import { BoxStreams, type StandardFiles } from './box-streams.ts';
import { parseSignal } from '../text/units.ts';
import { planExecFor, type ExecOptions } from './exec.ts';
import { SILENT } from './reporter.ts';
import { endOf } from './run.ts';
import { sampleOf, type Sample } from './stats.ts';

export interface BoxOptions extends StandardFiles {
  /** Kills the container with all of its processes. A start that is aborted rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Gets each step as it is made, and all else that happens. Without it steps are not told, which costs less. */
  readonly onEvent?: (event: LaunchEvent) => void;
}

/** A published port for which the kernel has chosen a free one of the host. */
export interface BoxPort {
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
  readonly hostAddress: string | undefined;
  readonly hostPort: number;
}

/** How a box has ended: with its reason, as `boxctl up` tells it. */
export interface BoxResult extends Omit<Ending, 'reason'> {
  /** `aborted`: by the caller's AbortSignal, or because the box was disposed of. */
  readonly reason: EndReason | 'aborted';
  /** Milliseconds from the start of the command to its end. */
  readonly durationMs: number;
  /** What there was to be told of the run beyond its end. */
  readonly notices: readonly string[];
}

export interface BoxEvents {
  /** Something about the run that the result alone does not tell, in a sentence. */
  notice: [message: string];
  /** Once, after everything is undone. Not emitted where `ended` rejects. */
  ended: [result: BoxResult];
}

/** What a box is made from. @internal */
export interface BoxSource {
  readonly plan: Plan;
  readonly model: Model;
  readonly host: HostFacts;
  readonly template?: LaunchTemplate;
  readonly showValues?: boolean;
  /** Of a command in a container: that one. */
  readonly container?: { readonly name: string; readonly id: string };
}

/** A number, or a name such as `SIGTERM`. */
export type SignalName = NodeJS.Signals | number;

function numberOf(signal: SignalName): number {
  const number = parseSignal(String(signal));
  if (number === undefined) {
    throw new BoxctlError('E_USAGE', `${String(signal)} is no signal`, { hint: 'a name such as SIGTERM, or 1 to 64' });
  }
  return number;
}

const SIGKILL = 9;

/**
 * A running container, or a command in one. It ends with this process, and with `await using`. Its streams are those of its
 * first process.
 */
export class Box extends EventEmitter<BoxEvents> {
  readonly name: string;
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
  /**
   * Resolves when the container has ended and nothing is left of it. Rejects with a BoxctlError where nobody knows how it ended:
   * its launcher was killed, or the archive that it ran from was changed.
   */
  readonly ended: Promise<BoxResult>;
  readonly #source: BoxSource;
  readonly #streams: BoxStreams;
  readonly #launched: Launch;
  readonly #notices: string[] = [];
  readonly #ports: BoxPort[] = [];
  readonly #signal: AbortSignal | undefined;
  readonly #onEvent: ((event: LaunchEvent) => void) | undefined;
  #id = '';
  #pid: number | undefined;
  #startedAt = 0;
  #endedAt = 0;
  #isAborted = false;
  #hasStarted: () => void = () => undefined;

  private constructor(source: BoxSource, options: BoxOptions) {
    super();
    this.name = source.plan.name;
    this.#source = source;
    this.#signal = options.signal;
    this.#onEvent = options.onEvent;
    this.#streams = new BoxStreams(options);
    const { stdin, stdout, stderr } = this.#streams;
    this.stdin = stdin;
    this.stdout = stdout;
    this.stderr = stderr;
    this.#launched = launch(source.plan, {
      by: 'shared',
      stdio: this.#streams.descriptors,
      terse: options.onEvent === undefined,
      contents: source.model.contents,
      ...(source.template === undefined ? {} : { template: source.template }),
      onEvent: (event) => this.#take(event),
      onTaken: (id) => {
        this.#id = id;
        this.#streams.taken();
      },
    });
    this.#signal?.addEventListener('abort', this.#abort, { once: true });
    this.ended = this.#launched.done
      .finally(() => this.#release())
      .then((outcome) => this.#result(outcome))
      .catch(async (error: unknown) => {
        // A container can arrange that it does not die with its launcher.
        if (error instanceof BoxctlError && error.code === 'E_LAUNCHER_DIED') await sweepState(source.host);
        throw error;
      });
    void this.ended.then(
      (result) => this.emit('ended', result),
      // Who waits for `ended` is told of it. It must not end this process.
      () => undefined,
    );
  }

  /**
   * Resolves when the command runs. @internal
   *
   * @throws BoxctlError where it cannot be started; the signal's reason where that was given up
   */
  static async start(source: BoxSource, options: BoxOptions): Promise<Box> {
    options.signal?.throwIfAborted();
    const box = new Box(source, options);
    const started = new Promise<'started'>((resolve) => {
      box.#hasStarted = () => resolve('started');
    });
    try {
      await Promise.race([started, box.#launched.done]);
      // Given up while it started: it is being killed.
      if (box.#pid !== undefined && !box.#isAborted) return box;
      await box.ended;
      throw new Error('the container ended before its command was started');
    } catch (error) {
      box.#streams.destroy();
      throw box.#isAborted && options.signal?.aborted === true ? options.signal.reason : error;
    }
  }

  /** 12 hex digits, as in `boxctl ps`. */
  get id(): string {
    return this.#id;
  }

  /** The first process, as this process's process namespace numbers it. */
  get pid(): number | undefined {
    return this.#pid;
  }

  /** Ports of the host that the kernel has chosen. */
  get ports(): readonly BoxPort[] {
    return this.#ports;
  }

  /** Sends the first process a signal. SIGTERM stops the container as `stop` does. Nothing happens where it has ended. */
  kill(signal: SignalName = 'SIGTERM'): void {
    this.#launched.signal(numberOf(signal));
  }

  /** Sends the stop signal of the file, and SIGKILL after `graceMs`; by default after the file's `stop_grace_period`. */
  async stop(graceMs?: number): Promise<BoxResult> {
    this.#launched.stop(graceMs);
    return this.ended;
  }

  /** What the container uses at this moment, by the kernel's counters; undefined where it has ended. */
  stats(): Sample | undefined {
    const { name, id } = this.#source.container ?? this;
    const first = firstProcess(this.#source.host, name, id);
    return first === undefined ? undefined : sampleOf({ id, first });
  }

  /**
   * Starts another command in the container: a box as well, which ends with it.
   *
   * @throws BoxctlError `E_CONTAINER_NOT_RUNNING`; as the start of a container does
   */
  async exec(command: readonly string[], options: Omit<ExecOptions, 'command'> & BoxOptions = {}): Promise<Box> {
    const { host, model, showValues = false } = this.#source;
    const { name, id } = this.#source.container ?? this;
    const first = firstProcess(host, name, id);
    if (first === undefined) {
      throw new BoxctlError('E_CONTAINER_NOT_RUNNING', `the container ${this.name} does not run`, {
        hint: 'it has ended: `ended` tells how',
      });
    }
    if (freezerOf(id, first.pid)?.isFrozen() === true) {
      throw new BoxctlError('E_CONTAINER_PAUSED', `the container ${name} is paused: nothing runs in it`, {
        hint: `let it go on first: boxctl unpause ${id}`,
      });
    }
    const { plan, model: inside } = planExecFor(host, model, first, { ...options, command });
    return Box.start({ plan, model: inside, host, showValues, container: { name, id } }, options);
  }

  /** Kills the container, if it runs, and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort();
    await this.ended.catch(() => undefined);
    this.#streams.destroy();
  }

  readonly #abort = (): void => {
    this.#isAborted = true;
    this.#launched.signal(SIGKILL);
  };

  #take(event: LaunchEvent): void {
    if (event.kind === 'started') {
      this.#pid = event.pid;
      this.#startedAt = event.at;
      this.#hasStarted();
    } else if (event.kind === 'helper') {
      this.#tell(helperEnded(this.#source.plan, event));
    } else if (event.kind === 'port') {
      const published = this.#source.plan.steps[event.index]?.publishes;
      if (published !== undefined) this.#ports.push({ ...published, hostPort: event.port });
    } else if (event.kind === 'ended') {
      this.#endedAt = event.at;
    }
    this.#onEvent?.(event);
  }

  #tell(message: string): void {
    this.#notices.push(message);
    this.emit('notice', message);
  }

  #release(): void {
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#streams.taken();
    this.#streams.drain();
  }

  #result(outcome: Outcome): BoxResult {
    const { plan, model, host, showValues = false } = this.#source;
    const reporter = { ...SILENT, notice: (message: string) => this.#tell(message) };
    const ending = endOf({ plan, model, host, outcome }, { reporter, showValues });
    const isKilled = outcome.kind === 'signaled' && outcome.signal === SIGKILL;
    return {
      ...ending,
      reason: this.#isAborted && isKilled ? 'aborted' : ending.reason,
      durationMs: Math.max(0, this.#endedAt - this.#startedAt),
      notices: this.#notices,
    };
  }
}
