/**
 * Builds the native part by calling the C++ compiler directly: the static launcher and imager, and Node's addon. Only
 * what is out of date is compiled. Needs a C++20 compiler (`CXX`, g++ otherwise) and nothing that is not among the
 * packages.
 *
 *   node native/build.mjs              dist/boxctl, dist/native/boxctl-launcher, boxctl-imager and boxctl.node
 *   node native/build.mjs --launcher   dist/native/boxctl-launcher alone, as for a machine that CXX compiles for
 *   node native/build.mjs --arch arm64  native/build/arm64 in place of dist, for another kind of processor (x64 or arm64)
 *   node native/build.mjs --sanitize   native/build/sanitize/boxctl-imager, with ASan and UBSan
 *   node native/build.mjs --sanitize X MORE...  native/build/sanitize/NAME of a test's program X (a path that ends in NAME.cc)
 *                                      and what it needs: sources, folders of them, `zstd`, and -DNAME for X alone
 *   node native/build.mjs --fuzz NAME  native/build/fuzz/NAME of test/conformance/NAME.cc, by clang++ with libFuzzer
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** For which processor, as Node names them. */
const arch = process.argv.includes('--arch') ? process.argv[process.argv.indexOf('--arch') + 1] : process.arch;
const isOther = arch !== process.arch;
/** Debian's names of compilers for another processor. */
const CROSS = { x64: 'x86_64-linux-gnu-g++', arm64: 'aarch64-linux-gnu-g++' };
const compiler = process.env.CXX ?? (isOther ? CROSS[arch] : 'g++');
const dist = isOther ? `native/build/${arch}` : 'dist';
const require = createRequire(import.meta.url);

const COMMON = [
  '-std=c++20',
  '-O2',
  '-Wall',
  '-Wextra',
  '-Wconversion',
  '-Werror',
  '-fstack-protector-strong',
  '-D_FORTIFY_SOURCE=2',
  '-ffunction-sections',
  '-fdata-sections',
];
/** What is being written, by this build alone. */
const NEW = `.new-${process.pid}`;
const LAUNCHER = ['-fno-exceptions', '-fno-rtti'];
/**
 * For the launcher, which is linked with native/libc in place of the system's C library. Each page less of it is a page
 * fault less at each start.
 */
const SMALL = [
  '-Os',
  '-fno-pie',
  '-fno-asynchronous-unwind-tables',
  '-mstack-protector-guard=global',
  '-isystem',
  'native/libc/include',
];
/** For native/libc itself: it has what the compiler and the checks of _FORTIFY_SOURCE call. */
const LIBC = ['-fno-builtin', '-U_FORTIFY_SOURCE'];
/**
 * What runs while a container does nothing comes first, in one piece, and so do its variables: those of the first five files and
 * the beginning of the memory for small pieces are in one page. The program begins 32 KB before a multiple of 64 KB, up
 * to which release_memory (supervisor.cc) takes the text for this piece: no more of it is mapped beside an idle container.
 */
const WAITING = [
  'native/launcher/open_files.cc',
  ...['calls', 'start', 'clock', 'memory', 'checked', 'sockets', 'files'].map((name) => `native/libc/${name}.cc`),
  ...[
    'poller',
    'supervisor',
    'helper',
    'control',
    'command',
    'terminal',
    'relay',
    'console',
    'log',
    'network_names',
    'health',
    'hooks',
    'observer',
    'network_relay',
    'network_tables',
    'host_addresses',
  ].map((name) => `native/launcher/${name}.cc`),
];
const WAITING_BEFORE = arch === 'x64' ? ['-Wl,-Ttext-segment=0x408000'] : [];
const ALONE = [
  '-static',
  '-nostdlib',
  '-no-pie',
  '-Wl,--gc-sections,-z,norelro,-z,noseparate-code,--build-id=none',
  '-s',
];

/** The C sources of zstd's library, which a package brings along (native/zstd/package.json): compiled as they are. */
const ZSTD = 'native/zstd/node_modules/zstd-napi/deps/zstd/lib';
const ZSTD_SOURCES = [
  ...['debug', 'entropy_common', 'error_private', 'fse_decompress', 'pool', 'threading', 'xxhash', 'zstd_common'].map(
    (n) => `common/${n}.c`,
  ),
  ...[
    'fse_compress',
    'hist',
    'huf_compress',
    'zstd_compress',
    'zstd_compress_literals',
    'zstd_compress_sequences',
    'zstd_compress_superblock',
    'zstd_double_fast',
    'zstd_fast',
    'zstd_lazy',
    'zstd_ldm',
    'zstd_opt',
    'zstd_preSplit',
    'zstdmt_compress',
  ].map((n) => `compress/${n}.c`),
  ...['huf_decompress', 'zstd_ddict', 'zstd_decompress', 'zstd_decompress_block'].map((n) => `decompress/${n}.c`),
].map((file) => `${ZSTD}/${file}`);
const ZSTD_FLAGS = [
  '-w',
  '-O2',
  '-fstack-protector-strong',
  '-ffunction-sections',
  '-fdata-sections',
  '-DXXH_NAMESPACE=ZSTD_',
  '-DZSTD_LEGACY_SUPPORT=0',
  '-DZSTD_STRIP_ERROR_STRINGS',
  '-DZSTD_DISABLE_ASM',
  '-DZSTD_MULTITHREAD',
];
const IMAGER = [`-isystem${ZSTD}`];
const FUZZ = [
  '-DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION',
  '-fsanitize=fuzzer,address,undefined',
  '-fno-sanitize-recover=all',
  '-g',
  '-O1',
  '-U_FORTIFY_SOURCE',
];
const SANITIZE = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-g', '-O1', '-U_FORTIFY_SOURCE'];

/** Installs the package of sources where it is missing or another one is asked for. */
async function installSources() {
  const wanted = ['package.json', 'package-lock.json'].map((file) => join(root, 'native/zstd', file));
  if (isFresh(join(root, 'native/zstd/node_modules/.package-lock.json'), wanted)) return;
  await run('npm', ['ci', '--prefix', 'native/zstd', '--silent']);
}

/** Folders of headers that come with packages. */
function packageHeaders() {
  const headers = require('node-api-headers').include_dir;
  const addonApi = dirname(require.resolve('node-addon-api/package.json'));
  return [`-isystem${headers}`, `-isystem${addonApi}`];
}

function targets() {
  return {
    init: {
      output: 'native/build/boxctl-init',
      sources: ['native/init', 'native/libc'],
      compile: [...COMMON, ...LAUNCHER, ...SMALL],
      link: ALONE,
    },
    launcher: {
      output: `${dist}/native/boxctl-launcher`,
      sources: [...WAITING, 'native/launcher', 'native/libc'],
      compile: [...COMMON, ...LAUNCHER, ...SMALL],
      link: [...ALONE, ...WAITING_BEFORE],
    },
    front: {
      output: `${dist}/boxctl`,
      sources: ['native/front', 'native/launcher/plan.cc', 'native/launcher/no_image.cc', 'native/libc'],
      compile: [...COMMON, ...LAUNCHER, ...SMALL],
      link: ALONE,
    },
    imager: {
      output: `${dist}/native/boxctl-imager`,
      sources: ['native/launcher', 'native/image', 'native/codec', ...ZSTD_SOURCES],
      leaveOut: ['native/launcher/no_image.cc'],
      compile: [...COMMON, ...LAUNCHER, ...IMAGER],
      link: ['-static', '-Wl,--gc-sections', '-s'],
    },
    addon: {
      output: `${dist}/native/boxctl.node`,
      sources: ['native/addon', 'native/codec/sha256.cc'],
      compile: [
        ...COMMON,
        '-fPIC',
        '-fvisibility=hidden',
        '-fno-exceptions',
        '-DNAPI_VERSION=9',
        '-DNAPI_DISABLE_CPP_EXCEPTIONS',
        ...packageHeaders(),
      ],
      link: ['-shared', '-pthread', '-Wl,--gc-sections', '-s'],
    },
    sanitize: {
      output: 'native/build/sanitize/boxctl-imager',
      sources: ['native/launcher', 'native/image', 'native/codec', ...ZSTD_SOURCES],
      leaveOut: ['native/launcher/no_image.cc'],
      compile: [...COMMON, ...LAUNCHER, ...IMAGER, ...SANITIZE],
      compileC: SANITIZE,
      link: SANITIZE,
    },
  };
}

/** A harness, linked with all of the launcher but its own main function. */
function fuzzTarget(name) {
  // Of the front, whose files have names that others have, too.
  if (name === 'fuzz-kept') {
    const { front } = targets();
    return {
      output: `native/build/fuzz/${name}`,
      sources: [...front.sources.filter((source) => source !== 'native/libc'), `test/conformance/${name}.cc`],
      leaveOut: ['native/front/main.cc'],
      compile: [...COMMON, ...LAUNCHER, ...FUZZ],
      link: FUZZ,
      program: process.env.CXX ?? 'clang++',
    };
  }
  return {
    output: `native/build/fuzz/${name}`,
    sources: ['native/launcher', 'native/image', 'native/codec', ...ZSTD_SOURCES, `test/conformance/${name}.cc`],
    leaveOut: ['native/launcher/main.cc', 'native/launcher/no_image.cc'],
    compile: [...COMMON, ...LAUNCHER, ...IMAGER, ...FUZZ],
    compileC: FUZZ,
    link: FUZZ,
    program: process.env.CXX ?? 'clang++',
  };
}

/** A test's program, of the same objects as the sanitized imager. */
function testTarget(path, more) {
  const defines = more.filter((word) => word.startsWith('-D'));
  const sources = more.filter((word) => !word.startsWith('-D'));
  return {
    ...targets().sanitize,
    output: `native/build/sanitize/${basename(path, '.cc')}`,
    sources: [path, ...sources.flatMap((source) => (source === 'zstd' ? ZSTD_SOURCES : [source]))],
    leaveOut: [],
    defines: { [path]: defines },
  };
}

function sourceFiles(source) {
  if (/\.cc?$/u.test(source)) return [source];
  return readdirSync(join(root, source))
    .filter((file) => file.endsWith('.cc'))
    .map((file) => join(source, file));
}

function isLibc(file) {
  return file.startsWith('native/libc/');
}

function modified(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Number.NaN;
}

/** True when `output` is younger than each of `inputs`; a missing file makes it stale. */
function isFresh(output, inputs) {
  const made = modified(output);
  return inputs.every((input) => modified(input) <= made);
}

/** The files that a dependency file of the compiler (`-MMD`) names. */
function dependencies(path) {
  if (!existsSync(path)) return [path];
  const text = readFileSync(path, 'utf8').replaceAll('\\\n', ' ');
  return text
    .slice(text.indexOf(':') + 1)
    .split(/\s+/u)
    .filter((name) => name !== '');
}

function missing(program) {
  if (program === 'npm') return 'npm was not found';
  return `there is no C++ compiler: ${program} was not found. Install g++ (Debian: apt-get install g++), or name one in CXX`;
}

function run(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('error', (error) => reject(error.code === 'ENOENT' ? new Error(missing(program)) : error));
    child.on('close', (status) =>
      status === 0 ? resolve() : reject(new Error(`${program} failed (status ${status ?? 'none'})`)),
    );
  });
}

/** Runs jobs, as many at a time as there are processors. */
async function inParallel(jobs) {
  const queue = [...jobs];
  const worker = async () => {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) await job();
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
}

/** Where an object is that any target may be linked with: objects of other flags are other objects. */
function objectOf(file, program, flags) {
  const key = createHash('sha256')
    .update(JSON.stringify([program, flags, arch]))
    .digest('hex')
    .slice(0, 12);
  return join(root, 'native/build/objects', key, file.replace(/\.cc?$/u, '.o'));
}

async function build({
  output,
  sources,
  leaveOut = [],
  compile,
  compileC = [],
  defines = {},
  link,
  program = compiler,
}) {
  // The decoder reads what is hostile. To compile the encoder with sanitizers takes minutes.
  const flagsOfC = (file) => [...ZSTD_FLAGS, ...(file.includes('/compress/') ? [] : compileC)];
  const flagsOf = (file) => {
    if (file.endsWith('.c')) return ['-x', 'c', ...flagsOfC(file)];
    return [...compile, ...(isLibc(file) ? LIBC : []), ...(defines[file] ?? [])];
  };
  // A file that is named twice is linked where it is named first.
  const files = [...new Set(sources.flatMap(sourceFiles))].filter((file) => !leaveOut.includes(file));
  const objects = files.map((file) => objectOf(file, program, flagsOf(file)));
  const jobs = files.flatMap((file, index) => {
    const object = objects[index];
    const made = object.replace(/\.o$/u, '.d');
    const inputs = dependencies(made).map((path) => join(path.startsWith('/') ? '' : root, path));
    if (isFresh(object, inputs)) return [];
    return [
      async () => {
        mkdirSync(dirname(object), { recursive: true });
        // Another build may be reading or writing the same object.
        await run(program, [
          ...flagsOf(file),
          '-MMD',
          '-MT',
          object,
          '-MF',
          `${made}${NEW}`,
          '-c',
          file,
          '-o',
          `${object}${NEW}`,
        ]);
        renameSync(`${made}${NEW}`, made);
        renameSync(`${object}${NEW}`, object);
      },
    ];
  });
  await inParallel(jobs);
  const target = join(root, output);
  const stamp = join(root, 'native/build', `linked-${output.replaceAll('/', '-')}`);
  // The set of sources may have shrunk, and another build of other flags may have written the output last.
  const linked = [program, ...link, target, ...objects].join('\n');
  const current = existsSync(stamp) && readFileSync(stamp, 'utf8') === linked;
  if (current && isFresh(target, [...objects])) return;
  mkdirSync(dirname(target), { recursive: true });
  // A program that is running is replaced, not written to.
  await run(program, [...link, ...objects, '-o', `${target}${NEW}`]);
  renameSync(`${target}${NEW}`, target);
  writeFileSync(stamp, linked);
}

/** The program of native/init as numbers, which the launcher has among its constants (native/launcher/reaper.cc). */
async function buildInit({ init }) {
  await build(init);
  const numbers = `${[...readFileSync(join(root, init.output))].join(',')}\n`;
  const file = join(root, `${init.output}.inc`);
  if (existsSync(file) && readFileSync(file, 'utf8') === numbers) return;
  writeFileSync(`${file}${NEW}`, numbers);
  renameSync(`${file}${NEW}`, file);
}

try {
  await installSources();
  const all = targets();
  await buildInit(all);
  const fuzz = process.argv.indexOf('--fuzz');
  if (fuzz !== -1) {
    await build(fuzzTarget(process.argv[fuzz + 1] ?? ''));
  } else if (process.argv.includes('--sanitize')) {
    const [path, ...more] = process.argv.slice(process.argv.indexOf('--sanitize') + 1);
    await build(path === undefined ? all.sanitize : testTarget(path, more));
  } else if (process.argv.includes('--launcher')) {
    await build(all.launcher);
    await build(all.front);
  } else {
    await build(all.launcher);
    await build(all.front);
    await build(all.imager);
    copyFileSync(join(root, ZSTD, '../LICENSE'), join(root, dist, 'native/LICENSE.zstd'));
    await build(all.addon);
  }
} catch (error) {
  process.stderr.write(`boxctl: the native part could not be built: ${error.message}\n`);
  process.exitCode = 1;
}
