/** The index of an archive as a program (erofs-main.cc), and the trees that come of it, in namespaces of their own. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseReport, sanitized, TAR_SOURCES, unpackMain, type UnpackReport } from '../unit/image/worker.ts';
import { PROJECT } from './boxctl.ts';

const native = join(PROJECT, 'native/image');
/** What the unpacker and the imager's main function need is not needed here. */
export const INDEX_SOURCES = [
  'attributes',
  'erofs',
  'erofs_folder',
  'erofs_layout',
  'erofs_writer',
  'names',
  'owners',
  'scan',
  'sparse',
  'tree',
  'walk',
]
  .map((name) => join(native, `${name}.cc`))
  .concat(TAR_SOURCES);
export const erofsMain = (): string => sanitized(join(import.meta.dirname, 'erofs-main.cc'), INDEX_SOURCES);

export type IndexReport =
  | {
      readonly ok: true;
      readonly entries: number;
      readonly bytes: number;
      readonly skipped: number;
      readonly opaqueRoot: boolean;
      readonly implied: readonly string[];
      readonly wanted: readonly string[];
      readonly microseconds: number;
    }
  | {
      readonly ok: false;
      readonly unsuitable: boolean;
      readonly error: string;
      readonly entry: string;
      readonly errno: number;
    };

/** The numbers of `Whiteouts` in native/image/scan.h. */
export const WHITEOUTS = { names: 0, marks: 1, dropped: 2 } as const;

export interface IndexOptions {
  readonly offset?: number;
  readonly size?: number;
  readonly whiteouts?: keyof typeof WHITEOUTS;
  /** Entries, bytes, bytes of the index. */
  readonly limits?: readonly [number, number, number];
}

/** Makes the index; throws when a sanitizer had something to say. */
export function makeIndex(tar: string, index: string, options: IndexOptions = {}): IndexReport {
  const { offset = 0, size = '-', whiteouts = 'names', limits = [] } = options;
  const args = ['index', tar, offset, size, index, WHITEOUTS[whiteouts], ...limits].map(String);
  const { stdout, stderr, status } = spawnSync(erofsMain(), args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (stderr !== '' || (status !== 0 && status !== 1)) throw new Error(`erofs-main index: ${status} ${stderr}`);
  return JSON.parse(stdout) as IndexReport;
}

/** Runs a script as root in a mount namespace of its own, with $ERO and $UNPACK for the two programs. */
export function inNamespace(script: string, cwd: string): string {
  const env = { ...process.env, ERO: erofsMain(), UNPACK: unpackMain() };
  const args = ['--mount', '--propagation', 'private', 'sh', '-euc', script];
  const { stdout, stderr, status } = spawnSync('unshare', args, { cwd, env, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(`${script}\nended with ${status}: ${stderr}`);
  return stdout;
}

/** Lines about EROFS in the kernel's log, without those about mounts, and without the known ones. */
export function kernelComplaints(known: readonly string[] = []): string[] {
  const { stdout } = spawnSync('dmesg', { encoding: 'utf8', maxBuffer: 1 << 28 });
  const lines = stdout.split('\n').filter((line) => /erofs|BUG:/u.test(line) && !known.includes(line));
  return lines.filter((line) => !line.includes('mounted with root inode'));
}

export interface Trees {
  readonly report: IndexReport;
  /** A line for each file, of the mounted pair and of what was unpacked. */
  readonly mounted: readonly string[];
  readonly unpacked: readonly string[];
}

/** How GNU tar keeps all that an archive says. */
export const GNU_TAR = "tar -x --xattrs --xattrs-include='*' --numeric-owner -p -f";

/** Mounts the index of an archive and unpacks it into a tmpfs, by the given command, and looks at both. */
export function bothTrees(archive: Buffer | string, folder: string, unpack: string, options: IndexOptions = {}): Trees {
  const tar = typeof archive === 'string' ? archive : join(folder, 'a.tar');
  if (typeof archive !== 'string') writeFileSync(tar, archive);
  const report = makeIndex(tar, join(folder, 'index'), options);
  if (!report.ok) return { report, mounted: [], unpacked: [] };
  const script = `
    mkdir -p mounted unpacked
    "$ERO" mount "$PWD/index" "${tar}" mounted
    mount -t tmpfs -o mode=755 none unpacked
    cd unpacked
    mkdir tree
    cd tree
    ${unpack} "${tar}"
    cd ../..
    "$ERO" snapshot mounted
    echo
    "$ERO" snapshot unpacked/tree`;
  const [mounted = '', unpacked = ''] = inNamespace(script, folder).split('\n\n');
  return { report, mounted: mounted.trimEnd().split('\n'), unpacked: unpacked.trimEnd().split('\n') };
}

/** The messages of indexing and of unpacking an archive, and both trees if it was accepted. */
export interface Roads {
  readonly index: IndexReport;
  readonly unpack: UnpackReport;
  readonly mounted: readonly string[];
  readonly unpacked: readonly string[];
}

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

/** Folders that no entry names have the time at which they were made where they are unpacked. */
const withoutImpliedTimes = (tree: readonly string[], implied: readonly string[]): string[] => {
  const names = new Set(implied.map((path) => (path === '' ? '.' : `./${path}`)));
  return tree.map((line) => (names.has(line.split(' ', 1)[0] ?? '') ? line.replace(/mtime=\S+/u, '') : line));
};

/** Indexes and unpacks each archive, and looks at both trees. Names of implied folders must be plain. */
export function bothRoads(archives: readonly Buffer[], folder: string): Roads[] {
  const reports = archives.map((archive, number) => {
    writeFileSync(join(folder, `${number}.tar`), archive);
    return makeIndex(join(folder, `${number}.tar`), join(folder, `${number}.index`));
  });
  const script = `
    mkdir mounted unpacked
    mount -t tmpfs -o mode=755 none unpacked
    for number in $(seq 0 ${archives.length - 1}); do
      mkdir unpacked/$number
      "$UNPACK" unpack unpacked/$number <$number.tar 2>&1 || true
      printf '\\f'
      if [ -n "\${INDEXED##* $number *}" ]; then printf '\\f\\f'; continue; fi
      "$ERO" snapshot unpacked/$number
      printf '\\f'
      "$ERO" mount $PWD/$number.index $PWD/$number.tar mounted
      "$ERO" snapshot mounted
      umount mounted
      printf '\\f'
    done`;
  const indexed = reports.flatMap(({ ok }, number) => (ok ? [number] : []));
  const parts = inNamespace(`INDEXED=' ${indexed.join(' ')} '\n${script}`, folder).split('\f');
  return reports.map((index, number) => {
    const [report = '', unpacked = '', mounted = ''] = parts.slice(number * 3);
    const unpack = parseReport(report);
    if (unpack === undefined) throw new Error(`no report, but: ${report}`);
    const implied = index.ok ? index.implied : [];
    return {
      index,
      unpack,
      mounted: withoutImpliedTimes(lines(mounted), implied),
      unpacked: withoutImpliedTimes(lines(unpacked), implied),
    };
  });
}
