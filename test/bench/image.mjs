/**
 * From an archive of a Debian userland to `/bin/true` having run, beside what others need for the same archive on the
 * same disk: a journaled ext4 of the bench's own on a loop device. Interleaved in one run.
 *
 *   npm run bench:image [-- ROUNDS]
 *
 * Needs root, e2fsprogs and mmdebstrap (for the archive, once); tar, zstd, pigz, igzip, podman and umoci where they are
 * there. An ordinary user (`boxctl-test`, as .ci/run makes him) takes the road without mounts. Nothing is asserted.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const self = fileURLToPath(import.meta.url);
const BOXCTL = join(dirname(dirname(dirname(self))), 'dist/boxctl.cjs');
const DISK = 'BOXCTL_BENCH_DISK';
const CACHE = '/var/tmp/boxctl-bench';
const ARCHIVE = join(CACHE, 'debian.tar');
const USER = 'boxctl-test';
// A certificate that Node reads at its start costs more than a container.
const env = { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin', HOME: process.env.HOME ?? '/root' };

if (process.geteuid() !== 0) {
  process.stderr.write('the bench needs root\n');
  process.exit(1);
}
const disk = process.env[DISK];
if (disk === undefined) {
  prepare();
  // The image is deleted as soon as it is mounted, so that nothing stays whatever happens. Podman's crun wants to see
  // version 2 of cgroups alone.
  const script = `set -e
    mkdir -p ${CACHE}/disk
    truncate -s 8G ${CACHE}/disk.img
    mkfs.ext4 -q -F ${CACHE}/disk.img
    mount -o loop ${CACHE}/disk.img ${CACHE}/disk
    rm ${CACHE}/disk.img
    if [ -d /sys/fs/cgroup/unified ]; then mount -t cgroup2 none /sys/fs/cgroup; fi
    exec "$@"`;
  const command = ['-m', '--propagation', 'private', 'sh', '-c', script, 'sh', process.execPath, self];
  const options = { stdio: 'inherit', env: { ...env, [DISK]: `${CACHE}/disk` } };
  process.exit(spawnSync('unshare', [...command, ...process.argv.slice(2)], options).status ?? 1);
}
await bench(Number(process.argv[2] ?? 3));

function prepare() {
  mkdirSync(CACHE, { recursive: true });
  if (existsSync(ARCHIVE)) return;
  const packages = '--include=vim-tiny,less,procps,ncurses-base';
  execFileSync('mmdebstrap', ['--variant=minbase', packages, 'bookworm', ARCHIVE], { stdio: 'inherit' });
}

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
  const podman = ['podman', '--root', join(folder, 'podman'), '--runroot', join(folder, 'run')];
  const layout = join(folder, 'layout');
  const hasLayout =
    ok(['podman', ...podman.slice(1), 'import', '-q', archives.plain, 'bench']) &&
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
  const times = new Map();
  for (const [name, prepared] of subjects) {
    if (once(name, prepared()) !== undefined) times.set(name, []);
  }
  for (let round = 0; round < rounds; round++) {
    for (const [name, prepared] of subjects) {
      if (!times.has(name)) continue;
      const subject = prepared();
      // What was written before is on the disk before the clock starts.
      spawnSync('sync', ['-f', disk]);
      times.get(name).push(once(name, subject) ?? Number.NaN);
    }
  }
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

/** Milliseconds from start to end; undefined, once, for what does not work here. */
function once(name, { command: [program, ...args], env: more = {}, output = 'pipe' }) {
  const start = process.hrtime.bigint();
  const { status, error, stderr } = spawnSync(program, args, {
    env: { ...env, ...more },
    stdio: ['pipe', output, 'pipe'],
  });
  const took = Number(process.hrtime.bigint() - start) / 1e6;
  if (error === undefined && status === 0) return took;
  process.stderr.write(`${name} is left out: ${error?.message ?? stderr.toString().trim()}\n`);
  return undefined;
}

function report(kind, archive, rounds, times) {
  const median = (list) => list.toSorted((a, b) => a - b)[Math.floor((list.length - 1) / 2)];
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
    const peak = await peakOf([BOXCTL, 'image', 'import', archive, 'bench'], {
      ...env,
      BOXCTL_STORE: join(folder, 'store'),
    });
    process.stdout.write(
      `  peak of a worker, ${archive.slice(folder.length + 1).padEnd(20)} ${(statSync(archive).size / 1e6).toFixed(0).padStart(5)} MB: ${(peak / 1024).toFixed(1)} MB\n`,
    );
  }
}

function peakOf(args, environment) {
  return new Promise((resolve) => {
    let peak = 0;
    const timer = setInterval(() => {
      for (const pid of readdirSync('/proc').filter((name) => /^\d+$/u.test(name))) {
        try {
          if (!/boxctl-la/u.test(readFileSync(`/proc/${pid}/comm`, 'utf8'))) continue;
          const kilobytes = /VmHWM:\s+(\d+)/u.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
          peak = Math.max(peak, Number(kilobytes ?? 0));
        } catch {
          // It has ended.
        }
      }
    }, 2);
    spawn(process.execPath, args, { env: environment, stdio: 'ignore' }).once('close', () => {
      clearInterval(timer);
      resolve(peak);
    });
  });
}
