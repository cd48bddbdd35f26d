/**
 * The launcher alone, from a plan to the command's start and to its end, beside the floor (floor.cc: the same calls from one
 * small program), bwrap, crun and runc. Told by up.mjs, whose files it uses.
 *
 * What is compared with what: the launcher tells as little as at the start of a kept plan. `launcher` and `floor` make an overlay on
 * disk over an EROFS mount of the archive, with filter, masked and read-only paths. `folder` is the floor over the unpacked
 * folder. `bwrap` binds that folder and hides nothing; `bwrap+` has the filter and the masks as well, and still no overlay.
 * `told` is when who waits hears of the end; the launcher removes the layer after it.
 */
import { execFileSync } from 'node:child_process';
import { openSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median } from './measure.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(dirname(here));
const LAUNCHER = join(root, 'dist/native/boxctl-launcher');
/** As for the launcher (native/build.mjs), without the checks. */
const BARE = `-std=c++20 -Os -fno-exceptions -fno-rtti -fno-pie -fno-asynchronous-unwind-tables -fno-stack-protector
  -fno-builtin -static -nostdlib -no-pie -Wl,--gc-sections -isystem native/libc/include`.split(/\s+/u);

/** The plan of the file, its bytes, and what the floor has to know of it. */
async function makePlan(file, folder, env) {
  const { rolldown } = await import('rolldown');
  const bundled = await rolldown({ cwd: root, input: 'src/launcher/encode.ts', platform: 'node' });
  await bundled.write({ file: join(folder, 'encode.mjs'), format: 'esm' });
  const { encodePlan } = await import(join(folder, 'encode.mjs'));
  const boxctl = await import(join(root, 'dist/index.js'));
  const document = boxctl.loadSpec(file, { env: {}, home: '/' });
  const host = boxctl.gatherHostFacts(env);
  const image = await boxctl.ensureImage(document.spec.image, boxctl.ownershipFor(document, host), host);
  const model = boxctl.compile(document, image, host);
  const plan = boxctl.planContainer(model, image, host);
  const argument = (matches, name) => plan.steps.find(({ call }) => matches(call))?.call.args[name];
  writeFileSync(join(folder, 'plan'), encodePlan(plan, { gate: false, terse: true }));
  writeFileSync(
    join(folder, 'filter'),
    argument(({ name }) => name === 'seccomp', 'program'),
  );
  const uppers = argument(({ returns }) => returns === 'uppers', 'pathname');
  const index = argument(({ args }) => args.key === 'source', 'value');
  const archive = join(dirname(file), 'rootfs.tar');
  const { maskedPaths = [], readonlyPaths = [] } = model.config.linux;
  const hidden = [...maskedPaths.map((path) => `mask ${path}`), ...readonlyPaths.map((path) => `readonly ${path}`)];
  writeFileSync(join(folder, 'floor.in'), [uppers, index, archive, join(folder, 'filter'), ...hidden, ''].join('\n'));
}

/** Prints medians, and their ratios to those of the floor, bwrap and crun. */
export async function benchLauncher({ rounds, folder, file, env, others }) {
  await makePlan(file, folder, env);
  const [start, floor] = ['start', 'floor'].map((name) => join(folder, name));
  execFileSync('cc', ['-O2', '-static', '-o', start, join(here, 'start.c')], { stdio: 'inherit' });
  const libc = readdirSync(join(root, 'native/libc')).filter((name) => name.endsWith('.cc'));
  const sources = [join(here, 'floor.cc'), ...libc.map((name) => join(root, 'native/libc', name))];
  const compile = (...words) => execFileSync('g++', [...BARE, ...sources, ...words], { cwd: root, stdio: 'inherit' });
  const onFolder = `${floor}-folder`;
  compile('-o', floor);
  compile(`-DFLOOR_FOLDER="${join(folder, 'rootfs')}"`, '-o', onFolder);
  const subjects = [
    ['plan', 'launcher', LAUNCHER, join(folder, 'plan')],
    ['told', 'floor', floor],
    ['told', 'folder', onFolder],
    ...others,
  ];
  const words = [rounds, 0, ...subjects.flatMap((subject) => ['--', ...subject])].map(String);
  const input = openSync(join(folder, 'floor.in'));
  const output = execFileSync(start, words, { env, stdio: [input, 'pipe', 'inherit'], encoding: 'utf8' });
  report(rounds, output.trim().split('\n'));
}

function report(rounds, lines) {
  const found = grouped(lines);
  const medians = new Map(
    [...found].map(([name, of]) => {
      const rows = of.map((line) => line.split('\t').slice(1).map(Number));
      const columns = [0, 1, 2, 3].map((column) => median(rows.map((row) => row[column])));
      // It does not wait for the processes of its container, so the kernel does not count them.
      if (name.startsWith('bwrap')) columns[3] = -1;
      return [name, columns];
    }),
  );
  const ratio = (value, name, column) => {
    const other = medians.get(name)?.[column] ?? -1;
    return value > 0 && other > 0 ? `${(value / other).toFixed(2)}×` : '–';
  };
  process.stdout.write(
    `\nFrom a plan, ${rounds} rounds, interleaved; medians in ms; ratios to bwrap and crun of what is told\n`,
  );
  const titles = [
    '',
    'started',
    'told',
    'whole',
    'CPU',
    'to floor: started',
    'told',
    'CPU',
    'to bwrap',
    'to bwrap+',
    'to crun',
  ];
  const print = (cells) =>
    process.stdout.write(
      `  ${cells.map((cell, i) => (i === 0 ? cell.padEnd(10) : cell.padStart(i === 5 ? 18 : 10))).join('')}\n`,
    );
  print(titles);
  for (const [name, [started, told, whole, used]] of medians) {
    const times = [started, told, whole, used].map((time) => (time > 0 ? (time / 1000).toFixed(2) : '–'));
    print([
      name,
      ...times,
      ratio(started, 'floor', 0),
      ratio(told, 'floor', 1),
      ratio(used, 'floor', 3),
      ratio(told, 'bwrap', 1),
      ratio(told, 'bwrap+', 1),
      ratio(told, 'crun', 1),
    ]);
  }
}

function grouped(lines) {
  const groups = new Map();
  for (const line of lines) {
    const name = line.split('\t')[0];
    groups.set(name, [...(groups.get(name) ?? []), line]);
  }
  return groups;
}
