/**
 * From an archive of a Debian userland to `/bin/true` having run, beside what others need for the same archive on the
 * same disk: a journaled ext4 of the bench's own on a loop device. Interleaved in one run.
 *
 *   npm run bench:image [-- ROUNDS]
 *
 * Needs root, e2fsprogs and mmdebstrap (for the archive, once); tar, zstd, pigz, igzip, podman and umoci where they are
 * there. An ordinary user (`boxctl-test`, as .ci/run makes him) takes the road without mounts. Nothing is asserted.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ARCHIVE, measureOnDisk, ownDisk, peaksOf } from './disk.mjs';
import { median } from './measure.mjs';
import { BOXCTL, env, needRoot, podmanIn } from './setup.mjs';

const USER = 'boxctl-test';

needRoot();
const disk = ownDisk(fileURLToPath(import.meta.url), '8G');
await bench(Number(process.argv[2] ?? 3));

async function bench(rounds) {
  const folder = join(disk, 'work');
  mkdirSync(folder);
  execFileSync('chmod', ['755', disk, folder]);
  const archives = {
    plain: join(folder, 'debian.tar'),
    gzip: join(folder, 'debian.tar.gz'),
    zstd: join(folder, 'debian.tar.zst'),
  };
  copyFileSync(ARCHIVE, archives.plain);
  for (const [program, kind] of [
    ['gzip', 'gzip'],
    ['zstd', 'zstd'],
  ]) {
    execFileSync('sh', ['-c', `${program} -c '${archives.plain}' >'${archives[kind]}'`]);
  }
  const podman = podmanIn(folder);
  const layout = join(folder, 'layout');
  const hasLayout =
    ok([...podman, 'import', '-q', archives.plain, 'bench']) &&
    ok([...podman, 'save', '-q', '--format', 'oci-archive', '-o', `${layout}.tar`, 'localhost/bench']) &&
    ok(['skopeo', 'copy', '-q', `oci-archive:${layout}.tar`, `oci:${layout}:v1`]);
  for (const [kind, archive] of Object.entries(archives))
    await compare(kind, archive, { folder, podman, rounds, layout: hasLayout ? layout : '' });
  await memory(folder, archives);
}

async function compare(kind, archive, { folder, podman, rounds, layout }) {
  const spec = (more, where = folder) => {
    const path = join(where, 'container.yaml');
    writeFileSync(path, `image: ${archive}\ncommand: [/bin/true]\nnamespaces: {time: host}\n${more}`);
    return path;
  };
  const tree = join(folder, 'tree');
  const store = join(folder, 'store');
  const home = join(folder, 'home');
  const boxctl = (args, where = store) => ({
    command: [process.execPath, BOXCTL, ...args],
    env: { BOXCTL_STORE: where },
  });
  const up = ['up', '--quiet', '--allow', 'all'];
  const fresh = (path) => rmSync(path, { recursive: true, force: true });
  // The digest that is computed beside a container must not fall into what is measured next.
  const user = spawnSync('id', [USER]).status === 0;
  const subjects = [
    ['node -e 0', () => ({ command: [process.execPath, '-e', '0'] })],
    ['boxctl, cold', () => (fresh(store), boxctl([...up, spec('')]))],
    ['boxctl, warm', () => boxctl([...up, spec('')])],
    [
      'boxctl, warm, another uid_map',
      () => boxctl([...up, spec('uid_map: ["0:700000:65536"]\ngid_map: ["0:700000:65536"]\n')]),
    ],
    ['boxctl image import', () => (fresh(store), boxctl(['image', 'import', archive, 'bench']))],
    ...(user
      ? [
          [
            'boxctl, cold, unpacked (ordinary user)',
            () => {
              fresh(home);
              mkdirSync(home);
              spec('', home);
              execFileSync('chown', ['-R', USER, home]);
              const { command } = boxctl([...up, join(home, 'container.yaml')]);
              const as = ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--init-groups', '--'];
              return { command: [...as, ...command], env: { HOME: home, BOXCTL_STORE: join(home, 'store') } };
            },
          ],
        ]
      : []),
    [
      'tar -x',
      () => (fresh(tree), mkdirSync(tree), { command: ['tar', '-C', tree, '--numeric-owner', '-xpf', archive] }),
    ],
    ...decompressors(kind).map((command) => [
      command.join(' '),
      () => ({ command: [...command, archive], output: 'ignore' }),
    ]),
    [
      'podman import and run',
      () => {
        spawnSync(podman[0], [...podman.slice(1), 'rmi', '-af'], { stdio: 'ignore' });
        // Limits above the hard ones, which podman asks for, are refused without CAP_SYS_RESOURCE.
        const run = `run --rm --network none --cgroups disabled --ulimit nofile=1024:1024 --ulimit nproc=1000:1000`;
        const script = `${podman.join(' ')} import -q ${archive} bench && ${podman.join(' ')} ${run} localhost/bench /bin/true`;
        return { command: ['sh', '-c', script] };
      },
    ],
    ...(layout === '' || kind !== 'gzip'
      ? []
      : [['umoci unpack', () => (fresh(tree), { command: ['umoci', 'unpack', '--image', `${layout}:v1`, tree] })]]),
  ];
  const times = measureOnDisk(disk, rounds, subjects);
  report(kind, archive, rounds, times);
}

function decompressors(kind) {
  if (kind === 'zstd') return [['zstd', '-qdc']];
  return kind === 'gzip'
    ? [
        ['gzip', '-dc'],
        ['pigz', '-dc'],
        ['igzip', '-dc'],
      ]
    : [];
}

function ok([program, ...args]) {
  // Pipes: podman's crun gives its standard streams to the container's root, and /dev/null is the host's.
  return spawnSync(program, args, { env, stdio: 'pipe' }).status === 0;
}

function report(kind, archive, rounds, times) {
  const node = median(times.get('node -e 0'));
  const tar = median(times.get('tar -x'));
  const size = (statSync(archive).size / 1e6).toFixed(0);
  process.stdout.write(`${kind}, ${size} MB, ${rounds} rounds; ms                 median  over node  to tar -x\n`);
  for (const [name, list] of times) {
    const own = median(list);
    const over = name.startsWith('boxctl') ? (own - node).toFixed(0) : '';
    process.stdout.write(
      `  ${name.padEnd(42)}${own.toFixed(0).padStart(8)}${over.padStart(10)}${(own / tar).toFixed(2).padStart(10)}×\n`,
    );
  }
}

/** The most that any worker of an import had in memory at once, of the archive and of one with three times as much. */
async function memory(folder, archives) {
  const triple = join(folder, 'triple.tar');
  execFileSync('sh', [
    '-c',
    `cd '${folder}' && for i in 1 2 3; do mkdir t$i && ln debian.tar t$i/part; done && tar --hard-dereference -cf triple.tar t1 t2 t3 && zstd -q -1 triple.tar`,
  ]);
  for (const archive of [archives.plain, archives.gzip, archives.zstd, triple, `${triple}.zst`]) {
    rmSync(join(folder, 'store'), { recursive: true, force: true });
    const { worker } = await peaksOf(['image', 'import', archive, 'bench'], { BOXCTL_STORE: join(folder, 'store') });
    process.stdout.write(
      `  peak of a worker, ${archive.slice(folder.length + 1).padEnd(20)} ${(statSync(archive).size / 1e6).toFixed(0).padStart(5)} MB: ${worker.toFixed(1)} MB\n`,
    );
  }
}
