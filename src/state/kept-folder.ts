/** The folder of kept plans: how a plan is written into it, and what makes room for it. */
import { closeSync, fstatSync, lstatSync, readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from '../files/atomic-write.ts';
import { makeFolders } from '../files/folders.ts';
import { openOwnFolder } from '../files/own-folder.ts';
import { behind } from '../files/read.ts';
import type { HostFacts } from '../host/facts.ts';
import { notePath, startRecording, type Input, type Recording } from '../inputs/record.ts';
import { MAX_KEPT } from '../kernel/wire.ts';
import { distantInput } from './kept-distant.ts';

/** The oldest are removed beyond this. */
const MOST_PLANS = 256;
const FILES_OF_PLAN = 2;

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

type Files = { readonly bytes: Uint8Array; readonly files?: Uint8Array };

/** Writes what `encode` gives under the name of these words. Returns why not. */
export function keepFiles(
  words: readonly string[],
  host: HostFacts,
  recording: Recording,
  encode: (tag: number, inputs: readonly Input[]) => Files,
): string | undefined {
  const cwd = recording.inputs.find((input) => input.kind === 'fact' && input.name === 'folder');
  if (cwd?.kind !== 'fact') return 'the current folder is not in the record';
  const folder = plansFolder(host);
  try {
    const distant = distantInput(recording.inputs);
    if (distant !== undefined) return `${distant} is on a file system of another host, of a program, or in an image`;
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
