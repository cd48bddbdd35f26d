/** Programs of tests, and the unpacker as one (unpack-main.cc). */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';

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

const filesOf = (folder: string, end: string): string[] =>
  readdirSync(join(native, folder))
    .filter((name) => name.endsWith(end))
    .map((name) => join(native, folder, name));
/** What sources include, and which zstd they are linked with. */
const included = [
  ...['codec', 'front', 'image', 'launcher', 'libc', 'libc/include', 'shared', 'wire'].flatMap((folder) =>
    filesOf(folder, '.h'),
  ),
  ...filesOf('libc', '.cc'),
  join(native, 'zstd/package-lock.json'),
];
export const CODEC_SOURCES = filesOf('codec', '.cc');
/** For users who cannot read the project, too. */
const FOLDER = join(tmpdir(), `boxctl-test-native-${process.getuid?.() ?? 0}`);
const built = new Map<string, string>();

/** Calls `make` once for each state of the sources, with a path to write to; gives the program's path. */
function once(what: readonly string[], inputs: readonly string[], make: (program: string) => void): string {
  const key = JSON.stringify([what, inputs]);
  const known = built.get(key);
  if (known !== undefined) return known;
  const hash = createHash('sha256').update(what.join(' '));
  for (const path of [...inputs, ...included]) hash.update(readFileSync(path));
  const program = join(FOLDER, hash.digest('hex').slice(0, 24));
  if (!existsSync(program)) {
    mkdirSync(FOLDER, { recursive: true, mode: 0o755 });
    const unfinished = `${program}.${process.pid}`;
    make(unfinished);
    renameSync(unfinished, program);
  }
  built.set(key, program);
  return program;
}

/** Compiles it by itself, with flags of its own. */
export function build(main: string, flags: readonly string[], more: readonly string[]): string {
  const inputs = [main, ...more];
  const common = ['-std=c++20', '-O1', '-g', '-Wall', '-Wextra', '-Werror', '-fno-exceptions', '-fno-rtti'];
  return once(flags, inputs, (program) => {
    execFileSync('g++', [...common, ...flags, ...inputs, '-o', program], { stdio: ['ignore', 'ignore', 'inherit'] });
  });
}

/**
 * With AddressSanitizer and UBSan, of objects that all such programs and the sanitized imager share. `options` are words of
 * native/build.mjs. One build at a time: two would compile the same objects.
 */
export function sanitized(main: string, more: readonly string[], options: readonly string[] = []): string {
  const inputs = [main, ...more].map((path) => relative(root, path));
  return once(['sanitized', ...options], [main, ...more], (program) => {
    const builds = join(native, 'build');
    const words = [process.execPath, 'native/build.mjs', '--sanitize', ...inputs, ...options];
    execFileSync('flock', [join(builds, 'sanitize.lock'), ...words], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    copyFileSync(join(builds, 'sanitize', basename(main, '.cc')), program);
  });
}

export const unpackMain = (): string => sanitized(join(import.meta.dirname, 'unpack-main.cc'), sources);

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
