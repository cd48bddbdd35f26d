/**
 * Plans that are kept for the next start, each with the record of what it was made from. The program `boxctl` (native/front)
 * starts a container by such a plan, without Node, as long as everything in the record is as it was. A kept plan holds no value
 * of the caller's environment but those of variables that boxctl itself looks up: others are put in at each start (marks.ts).
 */
import { closeSync, fstatSync, lstatSync, readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from '../files/atomic-write.ts';
import { makeFolders } from '../files/folders.ts';
import { openOwnFolder } from '../files/own-folder.ts';
import { behind } from '../files/read.ts';
import type { HostFacts } from '../host/facts.ts';
import { isIdentity, notePath, startRecording, type Input, type Recording } from '../inputs/record.ts';
import { ERRNO } from '../kernel/constants.ts';
import { sizeOf, writeStruct } from '../kernel/layout.ts';
import {
  KEPT_FLAGS,
  KEPT_HEADER,
  KEPT_IDENTITY,
  KEPT_INPUT,
  KEPT_MAGIC,
  KEPT_RUN_HEADER,
  KEPT_RUN_MAGIC,
  KEPT_VERSION,
  MAX_KEPT,
} from '../kernel/wire.ts';
import { encodeParts, encodePlan, listsOfCommand } from '../launcher/encode.ts';
import { foldersOfPath } from '../plan/command.ts';
import { ownFolder } from '../native.ts';
import type { Plan } from '../plan/plan.ts';
import type { Model } from '../model/model.ts';
import type { Borrowed } from '../text/borrowed.ts';
import { recordText, type KeptRecord } from './container-record.ts';
import { packModel, packPlan } from './kept-files.ts';
import { cutPlan, fill, fillPlan, type CutPlan, type Marks, type Place } from './marks.ts';

/** The oldest are removed beyond this. */
const MOST_PLANS = 256;
const FILES_OF_PLAN = 2;

/** Variables that boxctl looks up for itself. Any other that is set may be a secret: its value is not kept. */
const OWN_VARIABLE =
  /^(?:HOME|PATH|CI|TERM|COLUMNS|NO_COLOR|FORCE_COLOR|XDG_[A-Z]+(?:_HOME|_DIRS?)|BOXCTL_(?:STORE|PROGRESS|LAUNCHER)|CONTAINERS_REGISTRIES_CONF(?:_DIR)?)$/u;

/** Whether a variable has a value that must not be in a file. */
export const isForeign = (input: Input): input is Input & { readonly kind: 'variable'; readonly value: string } =>
  input.kind === 'variable' && input.value !== undefined && !OWN_VARIABLE.test(input.name);

export const plansFolder = (host: Pick<HostFacts, 'dirs'>): string => join(host.dirs.store, 'plans');

const FNV_START = 0xcbf2_9ce4_8422_2325n;
const FNV_PRIME = 0x0000_0100_0000_01b3n;

/** The name of the file for a command line in a folder: FNV-1a of 64 bits. What is in the file is compared as well. */
export function keptName(folder: string, words: readonly string[]): string {
  let hash = FNV_START;
  for (const byte of Buffer.from([folder, ...words].map((word) => `${word}\0`).join(''))) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * FNV_PRIME);
  }
  return hash.toString(16).padStart(16, '0');
}

class Writer {
  readonly #parts: Uint8Array[] = [];
  #size = 0;

  bytes(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#size += bytes.length;
  }
  u8(value: number): void {
    this.bytes(Uint8Array.of(value));
  }
  u32(value: number): void {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    this.bytes(bytes);
  }
  text(text: string): void {
    const bytes = Buffer.from(text);
    this.u32(bytes.length);
    this.bytes(bytes);
    this.u8(0);
  }
  get size(): number {
    return this.#size;
  }
  done(): Buffer {
    return Buffer.concat(this.#parts, this.#size);
  }
}

/** The fields of 64 bits come first in the structure, and then those of 32. */
function writeIdentity(out: Writer, input: Input & { readonly kind: 'path' }): void {
  const { found } = input;
  if (!isIdentity(found)) return;
  const bytes = new Uint8Array(sizeOf(KEPT_IDENTITY));
  const view = new DataView(bytes.buffer);
  const { mode, uid, gid } = found;
  const none = { dev: 0, ino: 0, rdev: 0, file_size: 0, mtime: 0, ctime: 0, reserved: 0 };
  writeStruct(view, 0, KEPT_IDENTITY, { ...none, mode, uid, gid });
  const wide = [found.dev, found.ino, found.rdev, found.size, found.mtime, found.ctime];
  for (const [index, value] of wide.entries()) view.setBigUint64(index * 8, BigInt.asUintN(64, value), true);
  out.bytes(bytes);
}

function writeInput(out: Writer, input: Input, values: Values | undefined): void {
  const head = (kind: number, flags: number, name: string): void => {
    out.u8(kind);
    out.u8(flags);
    out.text(name);
  };
  const optional = (kind: number, name: string, value: string | undefined): void => {
    head(kind, value === undefined ? KEPT_FLAGS.absent : 0, name);
    if (value !== undefined) out.text(value);
  };
  switch (input.kind) {
    case 'path': {
      const isThere = isIdentity(input.found);
      const follows = input.follows ? KEPT_FLAGS.follows : 0;
      head(
        KEPT_INPUT.path,
        follows | (input.isWhole ? KEPT_FLAGS.whole : 0) | (isThere ? 0 : KEPT_FLAGS.absent),
        input.path,
      );
      if (typeof input.found === 'string') out.u32(ERRNO[input.found] ?? 0);
      else writeIdentity(out, input);
      break;
    }
    case 'real':
      optional(KEPT_INPUT.real, input.path, input.leads);
      break;
    case 'access':
      head(KEPT_INPUT.access, input.isAllowed ? 0 : KEPT_FLAGS.absent, input.path);
      out.u32(input.mode);
      break;
    case 'text':
      head(KEPT_INPUT.text, input.text === undefined ? KEPT_FLAGS.absent : 0, input.path);
      out.u32(input.lines?.length ?? 0);
      for (const line of input.lines ?? []) out.text(`${line}:`);
      if (input.text !== undefined) out.text(input.text);
      break;
    case 'file_system':
      head(KEPT_INPUT.fileSystem, input.type === undefined ? KEPT_FLAGS.absent : 0, input.path);
      if (input.type !== undefined) out.u32(input.type);
      break;
    case 'fact':
      optional(KEPT_INPUT.fact, input.name, input.value);
      break;
    case 'variable':
      if (isForeign(input) && input.value !== '' && values?.names.has(input.name) === true) {
        head(KEPT_INPUT.variable, KEPT_FLAGS.given | (values.mustBePlain ? KEPT_FLAGS.plain : 0), input.name);
      } else {
        optional(KEPT_INPUT.variable, input.name, input.value);
      }
  }
}

/** Before other inputs: what differs most often, and what costs least to look at. */
const ORDER: Readonly<Record<Input['kind'], number>> = {
  variable: 0,
  fact: 1,
  path: 2,
  real: 3,
  access: 4,
  file_system: 5,
  text: 6,
};

function writeInputs(out: Writer, inputs: readonly Input[], values?: Values): void {
  for (const input of inputs.toSorted((a, b) => ORDER[a.kind] - ORDER[b.kind])) writeInput(out, input, values);
}

interface Kept {
  readonly tag: number;
  readonly words: readonly string[];
  readonly inputs: readonly Input[];
  readonly plan: Plan;
  readonly dirs: HostFacts['dirs'];
  readonly values?: Values | undefined;
}

/** The file of a kept plan. */
export function encodeKept({ tag, words, inputs, plan, dirs, values }: Kept): Buffer {
  // Nothing is shown of the steps of such a start.
  const { bytes, places } = values?.plan ?? { bytes: encodePlan(plan, { terse: true }), places: [] };
  const out = new Writer();
  for (const word of words) out.text(word);
  out.text(ownFolder());
  out.text(dirs.state);
  out.text(join(dirs.store, 'upper'));
  writeInputs(out, inputs, values);
  for (const { at, sizeAt, name } of places) {
    out.u32(at);
    out.u32(sizeAt);
    out.text(name);
  }
  // A number of these that is not 0 needs words at the end; the most memory that was in use does not.
  for (const { what } of plan.reports) out.u8(what === 'memory_peak' ? 0 : 1);
  out.bytes(bytes);
  const header = new Uint8Array(sizeOf(KEPT_HEADER));
  writeStruct(new DataView(header.buffer), 0, KEPT_HEADER, {
    magic: KEPT_MAGIC,
    version: KEPT_VERSION,
    size: header.length + out.size,
    words: words.length,
    inputs: inputs.length,
    fills: places.length,
    reports: plan.reports.length,
    plan_size: bytes.length,
    tag,
    command_at: 0,
    folders: 0,
  });
  return Buffer.concat([header, out.done()]);
}

/** What the launcher's parent writes down of a container that runs, with places for the id and the time of a run. */
export interface RunFiles {
  readonly record: KeptRecord;
  readonly plan: Plan;
  readonly model: Model;
}

const ANY_ID = '0123456789ab';
/** Milliseconds since 1970 have as many digits until the year 2286. */
const ANY_TIME = 1_111_111_111_111;

const textsOf = ({ record, plan, model }: RunFiles): readonly string[] => [
  recordText({ ...record, id: ANY_ID, created: ANY_TIME }),
  packPlan(plan),
  packModel(model),
];

export function encodeRun(tag: number, run: RunFiles, values?: Values): Buffer {
  const { texts, places } = values?.run ?? { texts: textsOf(run), places: [] };
  const [record = ''] = texts;
  const placeOf = (word: string): number => Buffer.byteLength(record.slice(0, record.indexOf(word)));
  const sizes = texts.map((text) => Buffer.byteLength(text));
  const [recordSize = 0, planSize = 0, modelSize = 0] = sizes;
  const header = new Uint8Array(sizeOf(KEPT_RUN_HEADER));
  writeStruct(new DataView(header.buffer), 0, KEPT_RUN_HEADER, {
    magic: KEPT_RUN_MAGIC,
    version: KEPT_VERSION,
    tag,
    id_at: placeOf(ANY_ID),
    created_at: placeOf(String(ANY_TIME)),
    record_size: recordSize,
    plan_size: planSize,
    model_size: modelSize,
    fills: places.length,
  });
  const out = new Writer();
  out.bytes(header);
  for (const text of texts) out.bytes(Buffer.from(text));
  for (const { at, name } of places) {
    out.u32(at);
    out.text(name);
  }
  return out.done();
}

/** The same start, made with marks in place of values of the environment. */
export interface MarkedRun extends RunFiles {
  readonly marks: Marks;
  /** Whoever judged the marks did not take them for secrets: a value that looks like one was not judged. */
  readonly mustBePlain: boolean;
}

/** Where values of the environment go. */
interface Values {
  readonly names: ReadonlySet<string>;
  readonly mustBePlain: boolean;
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
  const plan = cutPlan(marked.plan, marks);
  if (plan === undefined) return undefined;
  if (!fillPlan(plan, valueOf).equals(encodePlan(run.plan, { terse: true }))) return undefined;
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
export function whyNotKept(plan: Plan, recording: Recording): string | undefined {
  const [gap] = recording.gaps;
  if (gap !== undefined) return gap;
  const [unsettled] = recording.unsettled;
  if (unsettled !== undefined) return `${'path' in unsettled ? unsettled.path : unsettled.name} has just changed`;
  if (plan.sockets !== undefined) return 'it has sockets of its caller';
  if (plan.terminal !== undefined) return 'it has a terminal';
  if ((plan.tallies ?? []).length > 0) return 'it has a network';
  if ((plan.execs ?? []).length > 0) return 'it has hooks';
  if (plan.demands.some(({ unread }) => unread === true)) return 'it was made without a file';
  return undefined;
}

const isMissing = (input: Input, path: string): boolean =>
  input.kind === 'path' && input.path === path && input.found === 'ENOENT';

/** The folder of kept plans was not there when the plan was made, and this process has made it since. */
function lookAgain(folder: string): Input {
  const recording = startRecording();
  notePath(folder, { follows: false });
  recording.stop();
  const [found] = recording.inputs;
  if (found === undefined) throw new Error(`${folder} is gone`);
  return found;
}

/** Removes the oldest where there are too many. */
function makeRoom(folder: string): void {
  const names = readdirSync(folder);
  const most = MOST_PLANS * FILES_OF_PLAN;
  if (names.length < most) return;
  const timeOf = (name: string): number => lstatSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const oldest = names.map((name) => ({ name, time: timeOf(name) })).toSorted((a, b) => a.time - b.time);
  for (const { name } of oldest.slice(0, names.length - most + FILES_OF_PLAN)) unlinkSync(join(folder, name));
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
  marked?: MarkedRun,
): string | undefined {
  const { plan } = run;
  const why = whyNotKept(plan, recording);
  if (why !== undefined) return why;
  const variables = variablesOf(recording);
  const values = marked === undefined ? undefined : valuesOf(run, marked, (name) => variables.get(name) ?? '');
  if (plan.borrowed.length > 0 && values === undefined) return 'it has values of the environment or of an env_file';
  const isKnown = ({ name, value }: { readonly name: string; readonly value: string }): boolean =>
    value === '' || values?.names.has(name) === true;
  if (!recording.inputs.filter(isForeign).every(isKnown)) return 'it depends on a variable of the environment';
  return keepFiles(words, host, recording, (tag, inputs) => {
    const bytes = encodeKept({ tag, words, inputs, plan, dirs: host.dirs, values });
    const files = encodeRun(tag, run, values);
    return { bytes, files };
  });
}

type Files = { readonly bytes: Uint8Array; readonly files?: Uint8Array };

/** Writes what `encode` gives under the name of these words. Returns why not. */
function keepFiles(
  words: readonly string[],
  host: HostFacts,
  recording: Recording,
  encode: (tag: number, inputs: readonly Input[]) => Files,
): string | undefined {
  const cwd = recording.inputs.find((input) => input.kind === 'fact' && input.name === 'folder');
  if (cwd?.kind !== 'fact') return 'the current folder is not in the record';
  const folder = plansFolder(host);
  try {
    makeFolders(folder, 0o700);
    const opened = openOwnFolder(folder, host.euid);
    if (opened.kind !== 'own') return `${folder} is not used`;
    try {
      if ((fstatSync(opened.fd).mode & 0o077) !== 0) return `others can look into ${folder}`;
      const tag = Number(process.hrtime.bigint() & 0xffff_ffffn);
      const inputs = recording.inputs.map((input) => (isMissing(input, folder) ? lookAgain(folder) : input));
      const { bytes, files } = encode(tag, inputs);
      if (bytes.length > MAX_KEPT || (files?.length ?? 0) > MAX_KEPT) return 'it is too large';
      makeRoom(behind(opened.fd));
      const path = join(behind(opened.fd), keptName(cwd.value, words));
      if (files !== undefined) writeWhole(`${path}.run`, files);
      writeWhole(path, bytes);
      return undefined;
    } finally {
      closeSync(opened.fd);
    }
  } catch (error) {
    return String(error);
  }
}

/** The plan of commands in a container in the background, as it was made for one of them. */
export interface KeptExec {
  /** Up to the container's. */
  readonly words: readonly string[];
  /** The record of its run, which is locked as long as its launcher lives. */
  readonly record: string;
  /** The container's own, for what has values of its environment. */
  readonly folder: string;
  readonly plan: Plan;
}

/** Beginning of the names of files in a container's folder. */
const EXEC = 'exec-';

/**
 * Keeps the plan for the next command in the same container. The container's environment may have secrets: the plan lies beside the
 * others that have it, in the container's folder, and what is kept in the folder of plans leads there.
 */
export function keepExec({ words, record, folder, plan }: KeptExec, host: HostFacts, recording: Recording): void {
  const last = plan.steps.at(-1);
  const [gap] = recording.gaps;
  if (last?.call.name !== 'execve' || gap !== undefined || recording.unsettled.length > 0) return;
  if (recording.inputs.some((input) => isForeign(input))) return;
  const env = last.call.args.envp.filter((entry) => typeof entry === 'string');
  const encoded = encodeParts(plan, { terse: true });
  const [pathname, argv] = listsOfCommand(encoded);
  if (pathname === undefined || argv === undefined) return;
  const bytes = Buffer.concat([encoded.bytes.subarray(0, pathname.start), encoded.bytes.subarray(argv.end)]);
  const name = `${EXEC}${keptName('', words)}`;
  keepFiles(words, host, recording, (tag, inputs) => {
    const head = new Writer();
    head.u32(tag);
    head.bytes(bytes);
    const path = join(folder, name);
    writeWhole(path, head.done());
    const folders = foldersOfPath(env);
    const out = new Writer();
    for (const text of [...words, ownFolder(), record, path, ...folders]) out.text(text);
    writeInputs(out, inputs);
    const header = new Uint8Array(sizeOf(KEPT_HEADER));
    writeStruct(new DataView(header.buffer), 0, KEPT_HEADER, {
      magic: KEPT_MAGIC,
      version: KEPT_VERSION,
      size: header.length + out.size,
      words: words.length,
      inputs: inputs.length,
      fills: 0,
      reports: 0,
      plan_size: bytes.length,
      tag,
      command_at: pathname.start,
      folders: folders.length,
    });
    return { bytes: Buffer.concat([header, out.done()]) };
  });
}
