/** Where the benchmark measures: network namespaces of its own, which have no way out, and files in memory. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { quantile } from '../measure.mjs';
import { BOXCTL, env, makeTree, packTree, PROJECT } from '../setup.mjs';

export { BOXCTL, env, quantile };
/** The program `boxctl`, which starts containers from kept plans without Node. */
export const FRONT = join(PROJECT, 'dist/boxctl');

const here = dirname(fileURLToPath(import.meta.url));
export const { gatherHostFacts, launch, loadSpec, planContainer, prepare, runContainer, SILENT } = await import(
  join(PROJECT, 'dist/index.js')
);
export const HOST = '192.0.2.2';
export const WORLD = '192.0.2.1';
export const PORT = 7;
const INSIDE = 'BOXCTL_BENCH_NETWORK';

/**
 * Runs the script again in namespaces of its own: `host` (this process) and `world`, with a pair between them. All of it ends
 * with the process. Debian's crun needs version 2 of cgroups; records and claims are in /run, which is a tmpfs elsewhere.
 */
export function enterPlace(script) {
  if (process.env[INSIDE] !== undefined) return;
  const text = `mount --make-rprivate / && mount -t sysfs sysfs /sys && mount -t cgroup2 none /sys/fs/cgroup && mount -t tmpfs none /run &&
    ip link set lo up && ip netns add world && ip link add up0 type veth peer name eth0 netns world &&
    ip addr add ${HOST}/24 dev up0 && ip link set up0 up && ip route add default via ${WORLD} &&
    ip -n world addr add ${WORLD}/24 dev eth0 && ip -n world link set eth0 up && ip -n world link set lo up && exec "$@"`;
  const command = ['--net', '--mount', '--pid', '--fork', '--mount-proc', '--kill-child', 'sh', '-c', text, 'sh'];
  const again = [...command, process.execPath, script, ...process.argv.slice(2)];
  const { status } = spawnSync('unshare', again, { stdio: 'inherit', env: { ...env, [INSIDE]: '1' } });
  process.exit(status ?? 1);
}

export const shell = (script) =>
  execFileSync('sh', ['-ec', script], { stdio: ['ignore', 'pipe', 'pipe'], env }).toString();

/** A folder in memory with a root file system of busybox and `roundtrip` (roundtrip.c). */
export function makeFiles() {
  const folder = mkdtempSync(join(tmpdir(), 'boxctl-bench-'));
  execFileSync('mount', ['-t', 'tmpfs', 'none', folder]);
  const rootfs = makeTree(folder, ['true', 'sleep']);
  execFileSync('cc', ['-O2', '-static', '-o', join(rootfs, 'bin/roundtrip'), join(here, 'roundtrip.c')]);
  packTree(folder);
  return { folder, rootfs, roundtrip: join(rootfs, 'bin/roundtrip'), store: join(folder, 'store') };
}

/** A file with these keys, loaded. */
export function document({ folder }, name, keys) {
  mkdirSync(join(folder, name));
  const file = join(folder, name, 'container.yaml');
  writeFileSync(file, JSON.stringify({ name: 'bench', image: '../rootfs.tar', ...keys }));
  return { file, loaded: loadSpec(file, { env, home: env.HOME }) };
}

/** Starts a container and resolves when its command runs. */
export async function startContainer({ store }, { loaded }) {
  const all = { ...env, BOXCTL_STORE: store };
  const host = gatherHostFacts(all);
  const prepared = await prepare(loaded, {
    host,
    env: all,
    reporter: SILENT,
    judge: () => undefined,
    takesSignals: false,
  });
  const plan = planContainer(prepared.model, prepared.image, prepared.host);
  let launched;
  const begun = performance.now();
  const pid = await new Promise((resolve, reject) => {
    launched = launch(plan, { onEvent: (event) => event.kind === 'started' && resolve(event.pid) });
    launched.done.then(() => reject(new Error('the container ended')), reject);
  });
  const took = performance.now() - begun;
  const done = launched.done.catch(() => undefined);
  return {
    took,
    pid,
    address: prepared.model.network?.ipv4,
    async end() {
      launched.signal(9);
      await done;
      prepared.claims.release();
    },
  };
}

const children = new Set();
/** A program that runs until `end`, or until this process ends. */
export function background(command) {
  const child = spawn(command[0], command.slice(1), { stdio: 'ignore', env, detached: true });
  children.add(child);
  return {
    end: () => {
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
    },
  };
}

/** What `roundtrip` measures, by a command that leads to it (`ip netns exec NAME`). */
export const measure = (enter, program, what, address, port, amount) =>
  Number(
    execFileSync(
      [...enter, program][0],
      [...enter.slice(1), ...(enter.length > 0 ? [program] : []), what, address, port, amount].map(String),
      {
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    ).toString(),
  );

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export const say = (...columns) =>
  process.stdout.write(
    `${columns.map((column, index) => (index === 0 ? column.padEnd(64) : String(column).padStart(13))).join('')}\n`,
  );
