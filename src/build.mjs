/**
 * Builds what is published: the command line as one bundle with V8's code cache, the library, and its types. Does nothing
 * when nothing has changed, since npx asks for it again.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
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

async function bundle() {
  const { rolldown } = await import('rolldown');
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const common = {
    cwd: root,
    platform: 'node',
    transform: { define: { BOXCTL_VERSION: JSON.stringify(version) }, target: 'node20' },
    logLevel: 'warn',
  };
  const cli = await rolldown({ ...common, input: { cli: 'src/cli/entry.ts' } });
  await cli.write({
    dir: dist,
    format: 'cjs',
    entryFileNames: '[name].cjs',
    chunkFileNames: '[name]-[hash].cjs',
    minify: { compress: true, mangle: false },
  });
  const library = await rolldown({ ...common, input: { index: 'src/index.ts' } });
  await library.write({
    dir: join(dist),
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
  });
  copyFileSync(join(root, 'src/cli/bin.cjs'), join(dist, 'boxctl.cjs'));
  chmodSync(join(dist, 'boxctl.cjs'), 0o755);
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
 * All modules of the command line as one script: a map of functions, which V8 compiles when they are called, and keeps
 * in one cache. Letters beyond ASCII are escaped, which they can be wherever JavaScript has them in our sources.
 */
function pack() {
  const names = readdirSync(dist).filter((name) => name.endsWith('.cjs') && name !== 'boxctl.cjs');
  const functions = names.map((name) => {
    const text = readFileSync(join(dist, name), 'utf8');
    rmSync(join(dist, name));
    return `${JSON.stringify(name)}: function (exports, require, module, __filename, __dirname) {\n${text}\n}`;
  });
  const escape = (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`;
  writeFileSync(join(dist, 'cli.pack'), `({\n${functions.join(',\n')}\n})\n`.replaceAll(/[^\0-\x7f]/g, escape));
}

/** V8 keeps what has been compiled by then, so the usual way is walked first. */
function writeCache() {
  const bin = createRequire(import.meta.url)(join(dist, 'boxctl.cjs'));
  bin.load('cli.cjs').warmUp();
  writeFileSync(join(dist, 'cli.pack.cache'), bin.script.createCachedData());
}

const wanted = stamp();
if (!isCurrent(wanted)) {
  execFileSync(process.execPath, [join(root, 'specs/generate.mjs')], { stdio: 'inherit' });
  mkdirSync(dist, { recursive: true });
  for (const name of readdirSync(dist)) {
    if (/\.(?:cjs|js|pack|cache|stamp)$/u.test(name)) rmSync(join(dist, name));
  }
  await bundle();
  pack();
  writeCache();
  writeTypes();
  // Last, and taken again: the generated reference page is among the inputs.
  writeFileSync(stampFile, stamp());
}
