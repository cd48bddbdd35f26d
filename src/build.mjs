/**
 * Builds what is published: the command line as one bundle with V8's code cache, the library, and its types. Does nothing
 * when nothing has changed, since npx asks for it again.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
const stampFile = join(dist, 'build.stamp');

function filesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'generated' ? [] : filesBelow(path);
    return [path];
  });
}

/** Names, sizes and times of all that goes in. */
function stamp() {
  const inputs = [...filesBelow(join(root, 'src')), ...filesBelow(join(root, 'specs')), join(root, 'package.json')];
  const hash = createHash('sha256').update(process.version);
  for (const path of inputs) {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${path}\0${size}\0${mtimeMs}\n`);
  }
  return hash.digest('hex');
}

function isCurrent(wanted) {
  try {
    return readFileSync(stampFile, 'utf8') === wanted;
  } catch {
    return false;
  }
}

/**
 * What few starts need, by paths of modules. Such a chunk is evaluated when something of it is used for the first time, and
 * V8's cache of a start has nothing of it. That of the network is a pack of its own, with a cache: it is a part of many starts.
 */
const LATE = {
  'late-network':
    /\/src\/(?:plan\/network|kernel\/netlink)\/|\/src\/(?:model|container|host|state|show|run)\/[^/]*(?:network|netlink|address|firewall|swallowed)[^/]*$|\/src\/show\/(?:nft|route|conntrack)-[^/]*$/u,
  'late-lock': /\/src\/lock\/(?:entries|fit|lock|parse|read)\.ts$/u,
  // What a start needs where something is wrong, and the other commands.
  'late-words':
    /\/src\/error-codes\.ts$|\/src\/cli\/(?:(?!start)[a-z]+-table|table|help|describe-error|import-view|filter-names|rate)\.ts$|\/src\/(?:plan\/call-hints|spec\/suggest|yaml\/frame|show\/(?:call-text|redacted|json-events)|run\/learned|launcher\/kill-record|limits\/options|container\/host-failure|image\/maintain)\.ts$/u,
  'late-validate': /\/generated\/validate\.mjs$/u,
  'late-import':
    /\/src\/(?:plan\/image-work|container\/import-image)\.ts$|\/src\/image\/(?:archive|workspace|describe-image|collect|elf|filelist|image-[^/]*|implied-folders|import|import-[^/]*|layer-[^/]*|libraries|linked-abort|make-layer|manifest|members|pack|partial-layer|passing|pull|registry-image|skeleton|slots|tarwriter|stream)\.ts$|\/src\/worker\//u,
  // A start needs to know what a reference is, and nothing else where the image is there.
  'late-registry':
    /\/src\/container\/registry-demands\.ts$|\/src\/registry\/(?!reference|short-names|protocol)[^/]*\.ts$|\/node_modules\/smol-toml\//u,
};

async function bundle() {
  const { rolldown } = await import('rolldown');
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const common = {
    cwd: root,
    platform: 'node',
    // The same as modules, of which the bundle needs half: what differs is the one function that prints warnings.
    resolve: { alias: { yaml: join(root, 'node_modules/yaml/browser/dist/index.js') } },
    transform: { define: { BOXCTL_VERSION: JSON.stringify(version) }, target: 'node20' },
    logLevel: 'warn',
  };
  const cli = await rolldown({
    ...common,
    input: { cli: 'src/cli/entry.ts' },
    preserveEntrySignatures: 'allow-extension',
  });
  const late = Object.entries(LATE).map(([name, test]) => ({ name, test }));
  const optionsOf = (groups) => ({
    dir: dist,
    format: 'cjs',
    entryFileNames: '[name].cjs',
    chunkFileNames: '[name]-[hash].cjs',
    codeSplitting: { includeDependenciesRecursively: false, groups },
    // Names of functions are in the report of a mistake.
    minify: { compress: true, mangle: { keepNames: true } },
  });
  // What a start loads at once is one chunk then: from one chunk to another, each use of a name is a call.
  const apart = await cli.generate({ ...optionsOf(late), minify: false });
  const chunks = apart.output.filter(isChunk);
  const start = chunksOfStart(chunks);
  const ofStart = new Set(chunks.flatMap(({ fileName, moduleIds }) => (start.has(fileName) ? moduleIds : [])));
  const { output } = await cli.write(optionsOf([...late, { name: START, test: (id) => ofStart.has(id) }]));
  const library = await rolldown({ ...common, input: { index: 'src/index.ts' } });
  await library.write({
    dir: join(dist),
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
  });
  copyFileSync(join(root, 'src/cli/bin.cjs'), join(dist, 'boxctl.cjs'));
  chmodSync(join(dist, 'boxctl.cjs'), 0o755);
  return output.filter(isChunk);
}

const isChunk = ({ type }) => type === 'chunk';

/** The name of the chunk of all that a start loads at once. */
const START = 'start';

const isLate = (fileName) => Object.keys(LATE).some((name) => fileName.startsWith(name));

/** The names of some chunks, and of all that they import at once. */
function withImports(chunks, isWanted) {
  const found = new Set();
  const add = ({ fileName, imports }) => {
    if (found.has(fileName) || isLate(fileName)) return;
    found.add(fileName);
    for (const chunk of chunks) if (imports.includes(chunk.fileName)) add(chunk);
  };
  for (const chunk of chunks) if (isWanted(chunk)) add(chunk);
  return found;
}

/** The chunks that `up` loads: its own, the entry's, and what they import at once. */
function chunksOfStart(chunks) {
  const up = join(root, 'src/cli/commands/up.ts');
  return withImports(chunks, ({ isEntry, moduleIds }) => isEntry || moduleIds.includes(up));
}

/** The chunks of the pack of a start. */
function chunksOfPack(chunks) {
  // What the network shares with other commands is little: without it, a start with a network would read their pack, too.
  const network = chunks.filter(({ fileName }) => fileName.startsWith('late-network'));
  const shared = withImports(chunks, ({ fileName }) => network.some(({ imports }) => imports.includes(fileName)));
  return new Set([...chunksOfStart(chunks), ...shared]);
}

function writeTypes() {
  const tsc = join(root, 'node_modules/.bin/tsc');
  const args = [
    '--noEmit',
    'false',
    '--emitDeclarationOnly',
    '--declaration',
    '--rootDir',
    'src',
    '--outDir',
    'dist/types',
  ];
  const settings = { extends: '../tsconfig.json', include: ['../src'], exclude: [] };
  const file = join(dist, 'tsconfig.types.json');
  writeFileSync(file, JSON.stringify(settings));
  execFileSync(
    tsc,
    ['-p', file, ...args.slice(0, 4), '--rootDir', join(root, 'src'), '--outDir', join(dist, 'types')],
    {
      cwd: root,
      stdio: 'inherit',
    },
  );
  rmSync(file);
}

/**
 * All modules of the command line as three scripts, that of a start, that of a network, and that of all else: each a map of
 * functions, which V8 compiles when they are called, and keeps in a cache. Letters beyond ASCII are escaped, which they can be wherever
 * JavaScript has them in our sources.
 */
function pack(chunks) {
  const start = chunksOfPack(chunks);
  const escape = (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`;
  const write = (name, members) => {
    const functions = members.map(({ fileName }) => {
      const text = readFileSync(join(dist, fileName), 'utf8').replaceAll(
        /\brequire\("\.\/(late-[^"]+)"\)/gu,
        '__late("$1")',
      );
      rmSync(join(dist, fileName));
      return `${JSON.stringify(fileName)}: function (exports, require, module, __late, __filename, __dirname) {\n${text}\n}`;
    });
    const text = `({\n${functions.join(',\n')}\n})\n`;
    writeFileSync(join(dist, `${name}.pack`), text.replaceAll(/[^\0-\x7f]/g, escape));
  };
  write(
    'start',
    chunks.filter(({ fileName }) => start.has(fileName)),
  );
  const isNetwork = ({ fileName }) => fileName.startsWith('late-network');
  write('network', chunks.filter(isNetwork));
  write(
    'rest',
    chunks.filter((chunk) => !start.has(chunk.fileName) && !isNetwork(chunk)),
  );
}

const CACHES = '--caches';
/** What is done for the caches, each in a process of its own. */
const IMPORT = 'import';
const STARTS = 'starts';
const LOOKING = 'looks';
/** Some hundred times as long as it takes. */
const CACHES_MS = 120_000;

const openBin = () => createRequire(import.meta.url)(join(dist, 'boxctl.cjs'));

function writeCache({ openPack }, name, ending = 'cache') {
  writeFileSync(join(dist, `${name}.pack.${ending}`), openPack(name).script.createCachedData());
}

/** Imports the image that `writeCaches` starts. */
async function importImage(folder) {
  const { warmUpImport } = await openBin().load('cli.cjs').warming();
  await warmUpImport(folder);
  process.exit();
}

/** V8 keeps what has been compiled by then, so the usual way is walked first, in `folder`. */
async function writeCaches(folder) {
  const bin = openBin();
  const { warmUp, warmUpImport, warmUpExec, warmUpNetwork } = await bin.load('cli.cjs').warming();
  await warmUp(folder);
  writeCache(bin, 'start');
  await warmUpImport(join(folder, 'other'), 'etc');
  await warmUpExec(folder);
  writeCache(bin, 'rest');
  warmUpNetwork();
  writeCache(bin, 'network');
  // Handlers of signals may wait.
  process.exit();
}

/** What changes nothing, of a container that has never run. */
const LOOKS = [['ps'], ['ps', '--all'], ['ps', '--all', '--json'], ['inspect', 'warm-up'], ['logs', 'warm-up']];

/** The same for commands that look at containers: they need little of what a start needs. */
async function writeCachesOfLooks() {
  // For which of its caches the bin looks: there is none yet.
  process.argv.splice(2, Infinity, ...LOOKS[0]);
  const bin = openBin();
  const { main } = bin.load('cli.cjs');
  for (const words of LOOKS) await main(words);
  for (const name of ['start', 'rest']) writeCache(bin, name, 'looks.cache');
  process.exit();
}

/** In processes of their own, with a home and a store that are removed (src/cli/warm-up.ts). */
function makeCaches() {
  const folder = mkdtempSync(join(tmpdir(), 'boxctl-build-'));
  try {
    const empty = openSync('/dev/null', 'r');
    const start = join(folder, 'warm-up');
    for (const words of [[IMPORT, start], [STARTS, start], [LOOKING]]) {
      execFileSync(process.execPath, [fileURLToPath(import.meta.url), CACHES, ...words], {
        // What it says is in the error where it fails.
        stdio: ['ignore', 'ignore', 'pipe', empty, empty],
        timeout: CACHES_MS,
        env: { PATH: process.env.PATH, HOME: folder, BOXCTL_STORE: join(folder, 'store') },
      });
    }
    closeSync(empty);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function build() {
  const wanted = stamp();
  if (isCurrent(wanted)) return;
  execFileSync(process.execPath, [join(root, 'specs/generate.mjs')], { stdio: 'inherit' });
  mkdirSync(dist, { recursive: true });
  for (const name of readdirSync(dist)) {
    if (/\.(?:cjs|js|pack|cache|stamp)$/u.test(name)) rmSync(join(dist, name));
  }
  pack(await bundle());
  makeCaches();
  writeTypes();
  // Last, and taken again: the generated reference page is among the inputs.
  writeFileSync(stampFile, stamp());
}

const [word, part, folder] = process.argv.slice(2);
if (word !== CACHES) await build();
else if (part === IMPORT) await importImage(folder);
else await (part === STARTS ? writeCaches(folder) : writeCachesOfLooks());
