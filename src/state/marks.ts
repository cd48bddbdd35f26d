/**
 * Values of the caller's environment in a kept plan. The plan is made once more with marks in their places. The marks are cut out, so
 * that the plan that is kept never had the values, and the places are listed: the front (native/front/fill.cc) puts in there what its
 * own environment has.
 */
import type { Environment } from '../inputs/environment.ts';
import { offsetOf } from '../kernel/layout.ts';
import { PLAN_HEADER } from '../kernel/wire.ts';
import { encodeParts, listsOfCommand, type EncodeOptions } from '../launcher/encode.ts';
import type { Plan } from '../plan/plan.ts';

/** Read by the loader itself, as a path. */
const NOT_MARKED: ReadonlySet<string> = new Set(['XDG_CONFIG_HOME']);

/** Where a value goes in bytes that do not have it. */
export interface Place {
  readonly at: number;
  readonly name: string;
}

/** In an encoded plan: where the length of the text is that becomes longer. */
export interface PlanPlace extends Place {
  readonly sizeAt: number;
}

export class Marks {
  /** An environment in which each of the variables that is not empty has a mark for its value. */
  readonly env: Environment;
  readonly #word: string;
  readonly #pattern: RegExp;
  readonly #taken: string[] = [];

  /**
   * `word`: random hex digits, which stand nowhere else. `asSecrets`: the marks look like secrets, so that whoever judges the values
   * judges these as such.
   */
  constructor(word: string, variables: ReadonlyMap<string, string>, asSecrets: boolean) {
    this.#word = word;
    const [before, after] = asSecrets ? ['x://x:', '@x'] : ['x.', '.x'];
    this.#pattern = new RegExp(`${before}${this.#word}(\\d+)${after}`, 'u');
    const valueOf = (name: string | symbol): string | undefined => {
      const value = typeof name === 'string' ? variables.get(name) : undefined;
      if (typeof name !== 'string' || value === undefined || value === '' || NOT_MARKED.has(name)) return value;
      if (!this.#taken.includes(name)) this.#taken.push(name);
      return `${before}${this.#word}${this.#taken.indexOf(name)}${after}`;
    };
    this.env = new Proxy<Record<string, string | undefined>>(
      {},
      {
        get: (_, name) => valueOf(name),
        has: (_, name) => valueOf(name) !== undefined,
        getOwnPropertyDescriptor: (_, name) => {
          const value = valueOf(name);
          return value === undefined ? undefined : { value, configurable: true, enumerable: true, writable: false };
        },
      },
    );
  }

  /** Variables that were looked up, and have marks. */
  get names(): readonly string[] {
    return this.#taken;
  }

  isIn(text: string): boolean {
    return text.includes(this.#word);
  }

  /** The text without marks, and where they were, in bytes. */
  cut(text: string): { readonly text: string; readonly places: readonly Place[] } {
    const places: Place[] = [];
    let kept = '';
    // A pattern with one group splits a text into what is kept and what the group has, by turns.
    for (const [index, part] of text.split(this.#pattern).entries()) {
      if (index % 2 === 0) kept += part;
      else places.push({ at: Buffer.byteLength(kept), name: this.#taken[Number(part)] ?? '' });
    }
    return { text: kept, places };
  }
}

/** Bytes with values put in. */
export function fill(bytes: Uint8Array, places: readonly Place[], valueOf: (name: string) => string): Buffer {
  const parts: Uint8Array[] = [];
  let from = 0;
  for (const { at, name } of places) {
    parts.push(bytes.subarray(from, at), Buffer.from(valueOf(name)));
    from = at;
  }
  return Buffer.concat([...parts, bytes.subarray(from)]);
}

export interface CutPlan {
  readonly bytes: Uint8Array;
  readonly places: readonly PlanPlace[];
}

/** The encoded plan without its marks; undefined where a mark is elsewhere than in the value of a variable of the command. */
export function cutPlan(plan: Plan, marks: Marks, options: EncodeOptions): CutPlan | undefined {
  const last = plan.steps.at(-1);
  if (last?.call.name !== 'execve') return undefined;
  const envp = last.call.args.envp.map((entry) => {
    if (typeof entry !== 'string') return { entry, places: [] };
    const { text, places } = marks.cut(entry);
    return { entry: text, places };
  });
  const call = { ...last.call, args: { ...last.call.args, envp: envp.map(({ entry }) => entry) } };
  const encoded = encodeParts({ ...plan, steps: [...plan.steps.slice(0, -1), { ...last, call }] }, options);
  const { bytes } = encoded;
  if (marks.isIn(Buffer.from(bytes).toString('latin1'))) return undefined;
  const isInName = ({ entry, places: [first] }: (typeof envp)[number]): boolean =>
    first !== undefined && !(typeof entry === 'string' && Buffer.from(entry).subarray(0, first.at).includes('='));
  if (envp.some(isInName)) return undefined;
  const texts = listsOfCommand(encoded)[2]?.texts ?? [];
  const places = envp.flatMap(({ places: inEntry }, index) => {
    const { sizeAt = 0, at: start = 0 } = texts[index] ?? {};
    return inEntry.map(({ at, name }) => ({ at: start + at, sizeAt, name }));
  });
  return { bytes, places };
}

/** The plan with values put in, as the front gives it to the launcher. */
export function fillPlan({ bytes, places }: CutPlan, valueOf: (name: string) => string): Buffer {
  const copy = Uint8Array.from(bytes);
  const view = new DataView(copy.buffer);
  const grow = (at: number, more: number): void => view.setUint32(at, view.getUint32(at, true) + more, true);
  for (const { sizeAt, name } of places) {
    const size = Buffer.byteLength(valueOf(name));
    grow(sizeAt, size);
    grow(offsetOf(PLAN_HEADER, 'size'), size);
  }
  return fill(copy, places, valueOf);
}
