/**
 * Makes the archive that npm installs, for one kind of processor: npm refuses it on another one, where its programs cannot run.
 * Nothing is built when it is installed.
 *
 *   npm run package                  boxctl-VERSION-linux-x64.tgz, or -arm64, as this machine is
 *   npm run package -- --arch arm64  for another kind of processor (native/build.mjs has the compiler)
 */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const option = (name, otherwise) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? otherwise : process.argv[at + 1];
};
const arch = option('--arch', process.arch);
const output = option('--to', root);
const isOther = arch !== process.arch;

const run = (program, args, cwd = root) =>
  execFileSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

const {
  scripts: _scripts,
  devDependencies: _development,
  ...description
} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
if (!description.cpu.includes(arch)) {
  process.stderr.write(`boxctl does not run on ${arch}: ${description.cpu.join(' or ')}\n`);
  process.exit(1);
}
run(process.execPath, ['native/build.mjs']);
run(process.execPath, ['src/build.mjs']);
if (isOther) run(process.execPath, ['native/build.mjs', '--arch', arch]);
const folder = mkdtempSync(join(tmpdir(), 'boxctl-package-'));
try {
  for (const name of description.files) cpSync(join(root, name), join(folder, name), { recursive: true });
  if (isOther) {
    const built = join(root, 'native/build', arch);
    copyFileSync(join(built, 'boxctl'), join(folder, 'dist/boxctl'));
    rmSync(join(folder, 'dist/native'), { recursive: true });
    cpSync(join(built, 'native'), join(folder, 'dist/native'), { recursive: true });
    // What V8 has compiled is for this machine's processor.
    for (const name of readdirSync(join(folder, 'dist'))) {
      if (name.endsWith('.cache')) rmSync(join(folder, 'dist', name));
    }
  }
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify({ ...description, cpu: [arch] }, undefined, 2)}\n`);
  const packed = run('npm', ['pack', '--silent', '--pack-destination', output], folder).trim();
  const name = packed.replace(/\.tgz$/u, `-linux-${arch}.tgz`);
  renameSync(join(output, packed), join(output, name));
  process.stdout.write(`${join(output, name)}\n`);
} finally {
  rmSync(folder, { recursive: true });
}
