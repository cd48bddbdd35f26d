/** What benches have in common: whole commands, measured one after the other, and a table of medians. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const NEW_NAMESPACE = 'BOXCTL_BENCH_NAMESPACE';

/**
 * Debian's crun wants to see version 2 of cgroups alone. Where it does not, the bench, the program `self`, is run again in a
 * mount namespace that has it, and this does not return.
 */
export function seeUnifiedCgroups(self, env) {
  if (!existsSync('/sys/fs/cgroup/unified') || process.env[NEW_NAMESPACE] !== undefined) return;
  const script = 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"';
  const enter = ['-m', '--propagation', 'private', 'sh', '-c', script, 'sh'];
  const command = [...enter, process.execPath, self, ...process.argv.slice(2)];
  const { status } = spawnSync('unshare', command, { stdio: 'inherit', env: { ...env, [NEW_NAMESPACE]: '1' } });
  process.exit(status ?? 1);
}

/** Milliseconds from start to end; undefined, once, for what does not work here. */
export function once(name, [program, ...args], environment, output = 'pipe') {
  const start = process.hrtime.bigint();
  // Pipes: crun gives its standard streams to the container's root, and /dev/null is the host's.
  const { status, error, stderr } = spawnSync(program, args, { env: environment, stdio: ['pipe', output, 'pipe'] });
  const took = Number(process.hrtime.bigint() - start) / 1e6;
  if (error === undefined && status === 0) return took;
  process.stderr.write(`${name} is left out: ${error?.message ?? stderr.toString().trim()}\n`);
  return undefined;
}

/** Each subject, [name, a function that gives its command], as often as there are rounds, in turn. */
export function measure(rounds, subjects, environment) {
  const working = subjects.filter(([name, command]) => once(name, command(), environment) !== undefined);
  const times = new Map(working.map(([name]) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, command] of working) times.get(name).push(once(name, command(), environment));
  }
  return times;
}

export const quantile = (list, part = 0.5) => list.toSorted((a, b) => a - b)[Math.floor((list.length - 1) * part)];
export const median = (list) => quantile(list);

/** `own`: the subject that the others are compared with. */
export function report(rounds, times, own) {
  const mine = median(times.get(own));
  process.stdout.write(`${rounds} rounds, interleaved; ms${' '.repeat(8)}median   p90   to boxctl\n`);
  for (const [name, list] of times) {
    const middle = median(list);
    const columns = [middle.toFixed(1).padStart(7), quantile(list, 0.9).toFixed(1).padStart(6)];
    process.stdout.write(`  ${name.padEnd(32)}${columns.join('')}${(middle / mine).toFixed(2).padStart(11)}×\n`);
  }
  const floor = median(times.get('node -e 0'));
  // Not of a start without Node.
  if (mine > floor) process.stdout.write(`boxctl over Node’s own start: ${(mine - floor).toFixed(1)} ms\n`);
}
