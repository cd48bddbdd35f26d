/** The unpacker as a program of its own (unpack-main.cc), built once with the sanitizers where the compiler has them. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What the unpacker says at its end (native/image/unpack.h). */
export type UnpackReport =
  | {
      readonly ok: true;
      readonly entries: number;
      readonly bytes: number;
      readonly squashed: number;
      readonly skipped: number;
      readonly implied: readonly string[];
    }
  | { readonly ok: false; readonly error: string; readonly entry: string; readonly errno: number };

/** The one line of JSON; undefined when it is none. */
export function parseReport(text: string): UnpackReport | undefined {
  try {
    const report = JSON.parse(text) as Record<string, unknown>;
    return { ok: !('error' in report), ...report } as UnpackReport;
  } catch {
    return undefined;
  }
}

const root = join(import.meta.dirname, '../../..');
const native = join(root, 'native');
/** The reader of tar archives. */
export const TAR_SOURCES = ['foreign', 'tar', 'tar_numbers', 'tar_pax', 'tar_sparse', 'tar_stream'].map((name) =>
  join(native, `image/${name}.cc`),
);
const sources = [
  'image/owners.cc',
  'image/late.cc',
  'image/names.cc',
  'image/report.cc',
  'image/fill.cc',
  'image/flow.cc',
  'image/stage_readers.cc',
  'image/owner.cc',
  'image/unpack.cc',
  'image/walk.cc',
  'codec/sha256.cc',
  'launcher/rmtree.cc',
]
  .map((name) => join(native, name))
  .concat(TAR_SOURCES);

/** Compiles once for each state of the sources; returns the program's path. */
export function build(main: string, flags: readonly string[], more: readonly string[] = sources): string {
  const inputs = [main, ...more];
  const headers = ['codec', 'front', 'image', 'launcher', 'shared', 'wire'].flatMap((folder) =>
    readdirSync(join(native, folder))
      .filter((name) => name.endsWith('.h'))
      .map((name) => join(native, folder, name)),
  );
  const hash = createHash('sha256').update(flags.join(' '));
  for (const path of [...inputs, ...headers]) hash.update(readFileSync(path));
  const folder = join(tmpdir(), `boxctl-test-native-${process.getuid?.() ?? 0}`);
  const program = join(folder, hash.digest('hex').slice(0, 24));
  if (existsSync(program)) return program;
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const unfinished = `${program}.${process.pid}`;
  const common = ['-std=c++20', '-O1', '-g', '-Wall', '-Wextra', '-Werror', '-fno-exceptions', '-fno-rtti'];
  execFileSync('g++', [...common, ...flags, ...inputs, '-o', unfinished], { stdio: ['ignore', 'ignore', 'inherit'] });
  renameSync(unfinished, program);
  return program;
}

export const SANITIZE = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

export const unpackMain = (): string => build(join(import.meta.dirname, 'unpack-main.cc'), SANITIZE);

/** As root of a user namespace where the caller is not root: only there files get the owners that the archive says. */
function runMain(args: readonly string[], input?: Buffer) {
  const command = process.geteuid?.() === 0 ? [] : ['unshare', '--user', '--map-root-user'];
  const [program = '', ...words] = [...command, unpackMain(), ...args];
  return spawnSync(program, words, { encoding: 'utf8', ...(input === undefined ? {} : { input }) });
}

/** Unpacks into a folder; also returns what else the program has said (a sanitizer's complaint, say). */
export function unpackInto(folder: string, archive: Buffer, ...limits: readonly string[]): UnpackReport {
  const { stderr } = runMain(['unpack', folder, ...limits], archive);
  const report = parseReport(stderr);
  if (report === undefined || stderr.trimEnd().includes('\n')) throw new Error(`no report, but: ${stderr}`);
  return report;
}

/** Returns the errno, 0 when the tree is gone. */
export function removeTree(folder: string, name: string): number {
  const { status, stderr } = runMain(['rmtree', folder, name]);
  if (status === null || stderr !== '') throw new Error(`rmtree: ${stderr}`);
  return status;
}
