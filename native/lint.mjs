/**
 * Format and static analysis of the C++ sources: clang-format always, clang-tidy with `--tidy`. `--fix` formats in place.
 * Without the programs it says so and succeeds, unless BOXCTL_CI is set.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const require = createRequire(import.meta.url);

const files = [
  'native/init',
  'native/launcher',
  'native/libc',
  'native/libc/include',
  'native/image',
  'native/codec',
  'native/front',
  'native/addon',
  'native/shared',
  'native/wire',
  'test/conformance',
].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => /\.(?:cc|h)$/u.test(name))
    .map((name) => join(folder, name)),
);

/** Lines that clang-tidy writes for headers of others, whatever it is told. */
const NOISE = /^\d+ warnings? generated\.\n/gmu;

function run(program, args) {
  // clang-tidy fills some 200 MB. By huge pages, where the kernel has them, that takes fewer page faults.
  const env = { ...process.env, GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1' };
  const options = { cwd: root, env, stdio: ['ignore', 'inherit', 'pipe'], encoding: 'utf8' };
  const { error, status, stderr } = spawnSync(program, args, options);
  process.stderr.write(stderr?.replaceAll(NOISE, '') ?? '');
  if (error?.code === 'ENOENT') {
    process.stderr.write(`boxctl: ${program} is not installed: its check of the C++ sources is left out\n`);
    return process.env.BOXCTL_CI === undefined;
  }
  return status === 0;
}

const formatted = run(
  'clang-format',
  process.argv.includes('--fix') ? ['-i', ...files] : ['--dry-run', '--Werror', ...files],
);
let tidy = true;
if (process.argv.includes('--tidy')) {
  const headers = [
    `-isystem${require('node-api-headers').include_dir}`,
    `-isystem${dirname(require.resolve('node-addon-api/package.json'))}`,
    '-isystemnative/zstd/node_modules/zstd-napi/deps/zstd/lib',
  ];
  const checks =
    '-*,bugprone-*,clang-analyzer-*,performance-*,-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier,' +
    '-bugprone-narrowing-conversions,-bugprone-implicit-widening-of-multiplication-result,-performance-no-int-to-ptr';
  const sources = files.filter((name) => name.startsWith('native/') && name.endsWith('.cc'));
  // What is linked with the launcher's own C library is compiled with its header.
  const isOwn = (name) => /^native\/(?:libc|front|init)\//u.test(name);
  for (const [some, more] of [
    [sources.filter((name) => !isOwn(name)), headers],
    [sources.filter(isOwn), ['-isystemnative/libc/include']],
  ]) {
    const options = ['--quiet', `--checks=${checks}`, '--warnings-as-errors=*', ...some, '--', '-std=c++20'];
    tidy = run('clang-tidy', [...options, '-DNAPI_VERSION=9', '-DNAPI_DISABLE_CPP_EXCEPTIONS', ...more]) && tidy;
  }
}
process.exitCode = formatted && tidy ? 0 : 1;
