/**
 * Plans that are kept for the next start, each with the record of what it was made from. The program `boxctl` (native/front)
 * starts a container by such a plan, without Node, as long as everything in the record is as it was. A kept plan holds no value
 * of the caller's environment but those of variables that boxctl itself looks up: others are put in at each start (marks.ts).
 */
import { join } from 'node:path';
import type { HostFacts } from '../host/facts.ts';
import { nameOf, type Input, type Recording } from '../inputs/record.ts';
import { sizeOf, writeStruct } from '../kernel/layout.ts';
import { KEPT_RUN_HEADER, KEPT_RUN_MAGIC, KEPT_TALLY, KEPT_VERSION } from '../kernel/wire.ts';
import { byFront, encodePlan } from '../launcher/encode.ts';
import { ownFolder } from '../native.ts';
import type { ClaimFile, NetworkClaim } from '../model/claims.ts';
import type { ImageFacts } from '../model/image.ts';
import type { Model } from '../model/model.ts';
import type { Plan } from '../plan/plan.ts';
import type { Borrowed } from '../text/borrowed.ts';
import { recordText, type KeptRecord } from './container-record.ts';
import { folderOf } from './containers.ts';
import { isForeign, keptFile, writeInputs, Writer, type Given } from './kept-bytes.ts';
import { packEnding, packModel, packPlan } from './kept-files.ts';
import { keepFiles } from './kept-folder.ts';
import { packRoot } from './kept-root.ts';
import { cutPlan, fill, fillPlan, type CutPlan, type Marks, type Place } from './marks.ts';
import { differencesOf, writePieces, type Pieces } from './numbers.ts';
import { startedFromText, type StartedFrom } from './started-from.ts';

interface Kept {
  readonly tag: number;
  readonly words: readonly string[];
  readonly inputs: readonly Input[];
  readonly plan: Plan;
  readonly dirs: HostFacts['dirs'];
  readonly background: BackgroundFiles | undefined;
  readonly claim: ClaimFile | undefined;
  readonly values: Values | undefined;
  readonly numbers: readonly Numbered[];
}

/** The file of a kept plan. */
function encodeKept({ tag, words, inputs, plan, dirs, background, claim, values, numbers }: Kept): Buffer {
  const isBackground = background !== undefined;
  const { bytes, places } = values?.plan ?? { bytes: encodePlan(plan, byFront(isBackground)), places: [] };
  const out = new Writer();
  for (const word of words) out.text(word);
  out.text(ownFolder());
  out.text(dirs.state);
  out.text(join(dirs.store, 'upper'));
  const { userIds = [], tallies = [] } = plan;
  out.ranges(userIds);
  if (isBackground) {
    out.text(folderOf({ dirs }));
    out.text(plan.name);
  }
  if (claim !== undefined) for (const text of [claim.inUse, claim.folder, claim.ranges, claim.text]) out.text(text);
  writeInputs(out, inputs, values);
  for (const { at, sizeAt, name } of places) {
    out.u32(at);
    out.u32(sizeAt);
    out.text(name);
  }
  // A number of these that is not 0 needs words at the end; the most memory that was in use does not.
  for (const { what } of plan.reports) out.u8(what === 'memory_peak' ? 0 : 1);
  for (const { of } of tallies) out.u8(KEPT_TALLY[of]);
  out.bytes(bytes);
  for (const { number, inPlan } of numbers) {
    out.u32(number);
    writePieces(out, inPlan);
  }
  const header = {
    words: words.length,
    inputs: inputs.length,
    fills: places.length,
    reports: plan.reports.length,
    plan_size: bytes.length,
    tag,
    command_at: 0,
    folders: 0,
    users: userIds.length,
    background: !isBackground ? 0 : background.leavesSame === true ? 2 : 1,
    tallies: tallies.length,
    numbers: numbers.length,
  };
  return keptFile(header, out);
}

/** What a container in the background has in its folder besides (containers.ts). */
export interface BackgroundFiles {
  readonly image: ImageFacts | undefined;
  readonly from: StartedFrom;
  /** Where one runs already that was made from the same, nothing is started. */
  readonly leavesSame?: boolean;
}

/** What the launcher's parent writes down of a container that runs, with places for the id and the time of a run. */
export interface RunFiles {
  readonly record: KeptRecord;
  readonly plan: Plan;
  readonly model: Model;
  readonly background?: BackgroundFiles | undefined;
  readonly claim?: NetworkClaim | undefined;
}

/** The same start with another number of addresses. */
export interface NumberedRun {
  readonly number: number;
  readonly run: RunFiles;
}

/** A number that the plan can be started with, and what is otherwise then. */
interface Numbered {
  readonly number: number;
  readonly inPlan: Pieces;
  readonly inRun: Pieces;
}

const ANY_ID = '0123456789ab';
/** Milliseconds since 1970 have as many digits until the year 2286. */
const ANY_TIME = 1_111_111_111_111;

/** By the names of RUN_FILES. */
const textsOf = ({ record, plan, model, background }: RunFiles): readonly string[] => [
  recordText({ ...record, id: ANY_ID, created: ANY_TIME }),
  packPlan(plan),
  packModel(model),
  ...(background === undefined ? [] : [packEnding(plan), startedFromText(background.from)]),
  ...(background?.image === undefined ? [] : [packRoot(model, background.image)]),
];

function encodeRun(tag: number, run: RunFiles, numbers: readonly Numbered[], values?: Values): Buffer {
  const { texts, places } = values?.run ?? { texts: textsOf(run), places: [] };
  const [record = ''] = texts;
  const placeOf = (word: string): number => Buffer.byteLength(record.slice(0, record.indexOf(word)));
  const header = new Uint8Array(sizeOf(KEPT_RUN_HEADER));
  writeStruct(new DataView(header.buffer), 0, KEPT_RUN_HEADER, {
    magic: KEPT_RUN_MAGIC,
    version: KEPT_VERSION,
    tag,
    id_at: placeOf(ANY_ID),
    created_at: placeOf(String(ANY_TIME)),
    files: texts.length,
    fills: places.length,
    numbers: numbers.length,
  });
  const out = new Writer();
  out.bytes(header);
  for (const text of texts) out.u32(Buffer.byteLength(text));
  for (const text of texts) out.bytes(Buffer.from(text));
  for (const { at, name } of places) {
    out.u32(at);
    out.text(name);
  }
  for (const { inRun } of numbers) writePieces(out, inRun);
  return out.done();
}

const bytesOf = (run: RunFiles): readonly [plan: Buffer, texts: readonly Buffer[]] => [
  Buffer.from(encodePlan(run.plan, byFront(run.background !== undefined))),
  textsOf(run).map((text) => Buffer.from(text)),
];

/** The claimed number, and others with which plan and texts are of the same size. None where nothing was claimed. */
function numbersOf(run: RunFiles, others: readonly NumberedRun[]): readonly Numbered[] {
  if (run.claim?.file === undefined) return [];
  const own: Numbered = { number: run.claim.index, inPlan: [], inRun: [] };
  if (others.length === 0) return [own];
  const [plan, texts] = bytesOf(run);
  const found = others.flatMap(({ number, run: other }): readonly Numbered[] => {
    const [otherPlan, otherTexts] = bytesOf(other);
    const isLike = texts.every((text, index) => text.length === otherTexts[index]?.length);
    const inPlan = differencesOf(plan, otherPlan);
    const inRun = differencesOf(Buffer.concat(texts), Buffer.concat(otherTexts));
    return isLike && inPlan !== undefined && inRun !== undefined ? [{ number, inPlan, inRun }] : [];
  });
  return [own, ...found];
}

/** The same start, made with marks in place of values of the environment. */
export interface MarkedRun extends RunFiles {
  readonly marks: Marks;
  /** Whoever judged the marks did not take them for secrets: a value that looks like one was not judged. */
  readonly mustBePlain: boolean;
}

/** Where values of the environment go. */
interface Values extends Given {
  readonly plan: CutPlan;
  readonly run: { readonly texts: readonly string[]; readonly places: readonly Place[] };
}

/** Undefined where the plan depends on a value otherwise than by having it as a value of a variable of the command. */
function valuesOf(
  run: RunFiles,
  { marks, mustBePlain, ...marked }: MarkedRun,
  valueOf: (name: string) => string,
): Values | undefined {
  const isOfVariable = ({ path, value, shown }: Borrowed): boolean =>
    value === shown || (/^environment\b/u.test(path) && marks.isIn(value));
  if (!marked.plan.borrowed.every(isOfVariable)) return undefined;
  const encoding = byFront(run.background !== undefined);
  const plan = cutPlan(marked.plan, marks, encoding);
  if (plan === undefined) return undefined;
  if (!fillPlan(plan, valueOf).equals(encodePlan(run.plan, encoding))) return undefined;
  const inJson = (name: string): string => JSON.stringify(valueOf(name)).slice(1, -1);
  // That a value is demanded depends on what it looks like, and only that.
  const cut = textsOf({ ...marked, plan: { ...marked.plan, demands: run.plan.demands } }).map((text) =>
    marks.cut(text),
  );
  const isSame = textsOf(run).every((text, index) => {
    const { text: kept = '', places = [] } = cut[index] ?? {};
    return fill(Buffer.from(kept), places, inJson).equals(Buffer.from(text));
  });
  if (!isSame) return undefined;
  let before = 0;
  const places = cut.flatMap(({ text, places: own }) => {
    const start = before;
    before += Buffer.byteLength(text);
    return own.map(({ at, name }) => ({ at: start + at, name }));
  });
  return { names: new Set(marks.names), mustBePlain, plan, run: { texts: cut.map(({ text }) => text), places } };
}

/** All variables that were looked up and are set. */
export const variablesOf = ({ inputs }: Recording): ReadonlyMap<string, string> =>
  new Map(
    inputs.flatMap((input) =>
      input.kind === 'variable' && input.value !== undefined ? [[input.name, input.value] as const] : [],
    ),
  );

/** Whether a plan is kept only if values can be put into it at each start. */
export const needsMarks = (plan: Plan, { inputs }: Recording): boolean =>
  plan.borrowed.length > 0 || inputs.some(isForeign);

/** Why a plan is not kept, whatever its values are; undefined: it can be. */
export function whyNotKept(plan: Plan, recording: Recording, isBackground: boolean): string | undefined {
  const [gap] = recording.gaps;
  if (gap !== undefined) return gap;
  const [unsettled] = recording.unsettled;
  if (unsettled !== undefined) return `${nameOf(unsettled)} has just changed`;
  if (plan.sockets !== undefined) return 'it has sockets of its caller';
  if (plan.steps.some(({ publishes }) => publishes !== undefined)) return 'it has a port that is chosen at the start';
  // What these tell is for whoever waits for the container, or for its start. In the background it is in the container's folder.
  const awaited = (plan.execs ?? []).filter(({ kind }) => !isBackground || kind === 'post_start');
  if (awaited.length > 0) return 'it has hooks or a health check';
  if (plan.demands.some(({ unread }) => unread === true)) return 'it was made without a file';
  return undefined;
}

/** What is kept beside a start itself. */
export interface KeptBesides {
  readonly marked?: MarkedRun;
  readonly numbered?: readonly NumberedRun[];
}

/**
 * Keeps the plan of a command line for the next start. Returns why it was not kept; undefined: it was. Never throws: nobody has
 * asked for it.
 */
export function keepPlan(
  words: readonly string[],
  run: RunFiles,
  host: HostFacts,
  recording: Recording,
  { marked, numbered = [] }: KeptBesides = {},
): string | undefined {
  const { plan } = run;
  const why = whyNotKept(plan, recording, run.background !== undefined);
  if (why !== undefined) return why;
  const variables = variablesOf(recording);
  const values = marked === undefined ? undefined : valuesOf(run, marked, (name) => variables.get(name) ?? '');
  if (plan.borrowed.length > 0 && values === undefined) return 'it has values of the environment or of an env_file';
  const isKnown = ({ name, value }: { readonly name: string; readonly value: string }): boolean =>
    value === '' || values?.names.has(name) === true;
  if (!recording.inputs.filter(isForeign).every(isKnown)) return 'it depends on a variable of the environment';
  return keepFiles(words, host, recording, (tag, inputs) => {
    const { background, claim } = run;
    const numbers = numbersOf(run, numbered);
    const { dirs } = host;
    const bytes = encodeKept({ tag, words, inputs, plan, dirs, background, claim: claim?.file, values, numbers });
    const files = encodeRun(tag, run, numbers, values);
    return { bytes, files };
  });
}
