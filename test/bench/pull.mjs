/**
 * From an empty store to `/bin/true` having run, with an image of a registry on this machine: a Debian userland as one
 * layer and as six, by gzip and by zstd. Beside it what others need for the same image on the same disk, a journaled ext4 of
 * the bench's own on a loop device, and what fetching and decompressing alone take. Interleaved in one run.
 *
 *   npm run bench:pull [-- ROUNDS] [gzip|zstd] [quick]
 *
 * `quick`: without Podman, skopeo and umoci.
 *
 * Needs root, e2fsprogs, mmdebstrap (for the archive, once), docker-registry, skopeo, curl, gzip and zstd; podman and umoci
 * where they are there. Nothing leaves this machine. Nothing is asserted.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ARCHIVE, measureOnDisk, once, ownDisk, peaksOf } from './disk.mjs';
import { median } from './measure.mjs';
import { BOXCTL, env, needRoot, podmanIn } from './setup.mjs';

needRoot();
const disk = ownDisk(fileURLToPath(import.meta.url), '12G');
const words = process.argv.slice(2);
const folder = join(disk, 'work');
mkdirSync(folder);

/** Debian's docker-registry on a free port of 127.0.0.1. `requests` gives what it was asked for since the last call. */
function startRegistry() {
  const file = join(folder, 'registry.json');
  writeFileSync(
    file,
    JSON.stringify({
      version: '0.1',
      log: { level: 'info', accesslog: { disabled: false } },
      storage: { filesystem: { rootdirectory: join(folder, 'registry') } },
      http: { addr: '127.0.0.1:0', secret: 'bench' },
    }),
  );
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', 'docker-registry', 'serve', file], { env });
  let text = '';
  return new Promise((resolve) => {
    const read = (chunk) => {
      text += chunk;
      const port = /listening on 127\.0\.0\.1:(\d+)/u.exec(text)?.[1];
      if (port === undefined) return;
      resolve({
        host: `127.0.0.1:${port}`,
        stop: () => child.kill('SIGKILL'),
        requests: async () => {
          await new Promise((wait) => setTimeout(wait, 200));
          const lines = [...text.matchAll(/"([A-Z]+) (\S+) HTTP/gu)].map(([, method, path]) => `${method} ${path}`);
          text = `listening on 127.0.0.1:${port}`;
          return lines;
        },
      });
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
  });
}

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const run = (script, more = {}) => execFileSync('bash', ['-ec', script], { env, cwd: folder, ...more });

/** The archive cut into tars of about the same size, each with the folders that it needs. */
function cut(count) {
  const made = [];
  if (count === 1) return [ARCHIVE];
  const tree = join(folder, 'cut');
  mkdirSync(tree);
  run(`tar -C '${tree}' --numeric-owner -xpf '${ARCHIVE}'`);
  const files = run(`find . -mindepth 1 -printf '%s %P\\n'`, { cwd: tree, maxBuffer: 1 << 26 })
    .toString()
    .trim()
    .split('\n')
    .map((line) => /^(\d+) (.*)$/u.exec(line));
  const total = files.reduce((sum, [, size]) => sum + Number(size), 0);
  let sum = 0;
  const lists = Array.from({ length: count }, () => []);
  for (const [, size, path] of files) {
    lists[Math.min(count - 1, Math.floor((sum / total) * count))].push(path);
    sum += Number(size);
  }
  for (const [index, list] of lists.entries()) {
    const path = join(folder, `part-${index}.tar`);
    writeFileSync(join(folder, 'list'), list.join('\n'));
    run(`tar -C '${tree}' --numeric-owner --no-recursion -cpf '${path}' -T list`);
    made.push(path);
  }
  rmSync(tree, { recursive: true });
  return made;
}

/** Puts an image there by way of an OCI layout. Returns the digests of its layers as they are packed. */
function push(name, tars, program, type) {
  const layout = join(folder, 'layout');
  rmSync(layout, { recursive: true, force: true });
  mkdirSync(join(layout, 'blobs/sha256'), { recursive: true });
  const blob = (bytes, mediaType) => {
    const digest = sha256(bytes);
    writeFileSync(join(layout, 'blobs/sha256', digest), bytes);
    return { mediaType, digest: `sha256:${digest}`, size: bytes.length };
  };
  const big = { maxBuffer: 1 << 30 };
  const layers = tars.map((tar) =>
    blob(run(`${program} -c '${tar}'`, big), `application/vnd.oci.image.layer.v1.tar+${type}`),
  );
  const config = {
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    os: 'linux',
    config: { Cmd: ['/bin/true'] },
    rootfs: { type: 'layers', diff_ids: tars.map((tar) => `sha256:${sha256(readFileSync(tar))}`) },
  };
  const manifest = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: blob(Buffer.from(JSON.stringify(config)), 'application/vnd.oci.image.config.v1+json'),
    layers,
  };
  const entry = blob(Buffer.from(JSON.stringify(manifest)), manifest.mediaType);
  writeFileSync(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(
    join(layout, 'index.json'),
    JSON.stringify({
      schemaVersion: 2,
      manifests: [{ ...entry, annotations: { 'org.opencontainers.image.ref.name': 'v1' } }],
    }),
  );
  run(
    `skopeo copy -q --insecure-policy --dest-tls-verify=false oci:'${layout}':v1 docker://${registry.host}/${name}:v1`,
  );
  rmSync(layout, { recursive: true });
  return layers;
}

async function bench(rounds) {
  const parts = { 1: cut(1), 6: cut(6) };
  const programs = ['gzip', 'zstd'].filter(
    (one) => words.includes(one) || !words.some((word) => /^(?:gzip|zstd)$/u.test(word)),
  );
  for (const program of programs) {
    for (const count of [1, 6]) {
      const name = `debian-${program}-${count}`;
      const layers = push(name, parts[count], program, program);
      await compare({ name, layers, program, rounds });
    }
  }
  if (words.includes('quick')) return;
  await sharing(parts[6]);
  await memory();
}

const store = join(folder, 'store');
const fresh = (path) => rmSync(path, { recursive: true, force: true });
const boxctl = (args) => ({ command: [process.execPath, BOXCTL, ...args], env: { BOXCTL_STORE: store } });
const podman = podmanIn(folder);

function spec(image) {
  const path = join(folder, 'container.yaml');
  writeFileSync(path, `image: ${image}\ncommand: [/bin/true]\n`);
  return path;
}

async function compare({ name, layers, program, rounds }) {
  const image = `${registry.host}/${name}:v1`;
  const urls = layers.map(({ digest }) => `http://${registry.host}/v2/${name}/blobs/${digest}`);
  const up = ['up', '--quiet', spec(image)];
  const tree = join(folder, 'tree');
  const skopeo = ['skopeo', 'copy', '-q', '--insecure-policy', '--src-tls-verify=false', `docker://${image}`];
  const subjects = [
    ['node -e 0', () => ({ command: [process.execPath, '-e', '0'] })],
    [
      `curl | ${program} -dc`,
      () => ({ command: ['sh', '-c', `curl -sS ${urls.join(' ')} | ${program} -qdc`], output: 'ignore' }),
    ],
    ['boxctl up, empty store', () => (fresh(store), boxctl(up))],
    ['boxctl pull, empty store', () => (fresh(store), boxctl(['pull', '-q', image]))],
    ['boxctl up, image there', () => boxctl(up)],
    [
      'podman run, empty store',
      () => {
        spawnSync(podman[0], [...podman.slice(1), 'rmi', '-af'], { stdio: 'ignore' });
        const limits = [
          '--network',
          'none',
          '--cgroups',
          'disabled',
          '--ulimit',
          'nofile=1024:1024',
          '--ulimit',
          'nproc=1000:1000',
        ];
        return { command: [...podman, 'run', '--rm', '-q', '--tls-verify=false', ...limits, image, '/bin/true'] };
      },
    ],
    [
      'skopeo copy and umoci unpack',
      () => {
        for (const path of [tree, join(folder, 'copied')]) fresh(path);
        const copy = [...skopeo, `oci:${join(folder, 'copied')}:v1`].join(' ');
        return { command: ['sh', '-c', `${copy} && umoci unpack --image '${join(folder, 'copied')}:v1' '${tree}'`] };
      },
    ],
  ];
  const shown = words.includes('quick') ? subjects.filter(([title]) => !/podman|skopeo/u.test(title)) : subjects;
  const times = measureOnDisk(disk, rounds, shown);
  const size = layers.reduce((sum, layer) => sum + layer.size, 0) / 1e6;
  report(`${name}, ${size.toFixed(0)} MB`, program, rounds, times);
  await registry.requests();
  once('', boxctl(up));
  process.stdout.write(`  requests of a start whose image is there: ${(await registry.requests()).length}\n`);
  once('', boxctl(['pull', '-q', image]));
  process.stdout.write(`  requests of a pull of what is there: ${(await registry.requests()).join(', ')}\n`);
}

function report(what, program, rounds, times) {
  const floor = median(times.get(`curl | ${program} -dc`));
  process.stdout.write(`${what}, ${rounds} rounds; ms`.padEnd(44) + '  median  to the floor\n');
  for (const [title, list] of times) {
    const own = median(list);
    process.stdout.write(
      `  ${title.padEnd(42)}${own.toFixed(0).padStart(8)}${(own / floor).toFixed(2).padStart(14)}×\n`,
    );
  }
}

/** An image of which the store has five layers of six. */
async function sharing(parts) {
  const other = join(folder, 'other');
  mkdirSync(other);
  writeFileSync(join(other, 'more'), 'more');
  run(`tar -C '${other}' -cf other.tar more`);
  push('shares', [...parts.slice(0, 5), join(folder, 'other.tar')], 'zstd', 'zstd');
  fresh(store);
  once('', boxctl(['pull', '-q', `${registry.host}/debian-zstd-6:v1`]));
  await registry.requests();
  const took = once('', boxctl(['pull', '-q', `${registry.host}/shares:v1`]));
  const blobs = (await registry.requests()).filter((line) => line.includes('/blobs/'));
  process.stdout.write(
    `an image that shares five of six layers: ${took?.toFixed(0)} ms, ${blobs.length - 1} layer fetched\n`,
  );
}

/** The most that boxctl and its workers had in memory, each for itself. */
async function memory() {
  for (const name of ['debian-gzip-1', 'debian-zstd-1', 'debian-zstd-6']) {
    fresh(store);
    const { node, worker } = await peaksOf(['pull', '-q', `${registry.host}/${name}:v1`], { BOXCTL_STORE: store });
    process.stdout.write(`  peak of memory, ${name}: boxctl ${node.toFixed(0)} MB, a worker ${worker.toFixed(0)} MB\n`);
  }
}

const registry = await startRegistry();
try {
  await bench(Number(words.find((word) => /^\d+$/u.test(word)) ?? 3));
} finally {
  registry.stop();
}
