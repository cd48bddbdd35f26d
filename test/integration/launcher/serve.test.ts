/** The launcher that is already there: one for a process, told over a socket to start plans. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, readdirSync, readFileSync, readlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { HostFacts } from '../../../src/host/facts.ts';
import type { LaunchEvent } from '../../../src/launcher/events.ts';
import { launch } from '../../../src/launcher/launch.ts';
import { LaunchTemplate, type LaunchOptions } from '../../../src/launcher/start-launcher.ts';
import { askLauncher, dismissLauncher, pipe, tryLock } from '../../../src/native.ts';
import { planContainer } from '../../../src/plan/container.ts';
import { isLean } from '../../../src/plan/lean.ts';
import type { Plan, Step } from '../../../src/plan/plan.ts';
import { O } from '../../../src/kernel/constants.ts';
import { PROGRAM, PROJECT, run as runCommand } from '../../support/boxctl.ts';
import { hasBusybox } from '../../support/busybox.ts';
import { callerOptions, callers, specFolder } from '../../support/container.ts';
import { makeLauncherHost, type LauncherHost } from '../../support/launcher-host.ts';
import { testImage, testModel, type ModelOptions } from '../../support/model.ts';
import { isRoot, testUser } from '../../support/user.ts';

let launcherHost: LauncherHost;
let folder: string;
let host: HostFacts;

beforeAll(() => {
  launcherHost = makeLauncherHost('serve');
  ({ folder, host } = launcherHost);
});
afterEach(() => dismissLauncher());
afterAll(() => launcherHost.remove());

function planFor(options: Omit<ModelOptions, 'host'>): Plan {
  return planContainer(testModel({ host, ...options }), testImage(join(folder, 'rootfs')), host);
}

async function run(plan: Plan, options: LaunchOptions = {}, input = 0) {
  const [output, outputEnd] = pipe();
  const events: LaunchEvent[] = [];
  const launched = launch(plan, {
    by: 'shared',
    stdio: [input, outputEnd, outputEnd],
    onEvent: (event) => events.push(event),
    onTaken: () => closeSync(outputEnd),
    ...options,
  });
  const outcome = await launched.done;
  const text = readFileSync(output, 'utf8');
  closeSync(output);
  return { ...outcome, output: text, events };
}

const parentOf = (pid: string): string =>
  /^PPid:\s+(\d+)$/mu.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '';

/** The launchers below a process, by the file that they run, each with its parent. */
function launchersOf(parent: string): readonly string[] {
  return readdirSync('/proc').filter((name) => {
    try {
      if (!/^\d+$/u.test(name) || !readlinkSync(`/proc/${name}/exe`).includes('memfd:boxctl-launcher')) return false;
      return parentOf(name) === parent;
    } catch {
      return false;
    }
  });
}

const serving = (): readonly string[] => launchersOf(String(process.pid));

/** The call of the last step with other arguments. */
function withArgs(plan: Plan, argv: readonly string[]): Plan {
  const last = plan.steps.at(-1);
  if (last?.call.name !== 'execve') throw new Error('a plan without a command');
  const call: Step['call'] = { ...last.call, args: { ...last.call.args, argv } };
  return { ...plan, steps: [...plan.steps.slice(0, -1), { ...last, call }] };
}

describe.skipIf(!hasBusybox)('a launcher that serves (needs the Debian package busybox-static)', () => {
  test('starts one container after the other and many at a time, each with events and output of its own', async () => {
    const one = await run(planFor({ args: ['sh', '-c', 'echo first; exit 7'] }));
    expect(one).toMatchObject({ kind: 'exited', status: 7, output: 'first\n' });
    const [server] = serving();
    const all = await Promise.all(
      Array.from({ length: 12 }, (_, index) => run(planFor({ args: ['sh', '-c', `echo ${index}; exit ${index}`] }))),
    );
    expect(all.map(({ status, output }) => [status, output])).toEqual(all.map((_, index) => [index, `${index}\n`]));
    expect(serving()).toEqual([server]);
  });

  test('tells each step as a launcher of its own does, or with `terse` the turning points alone', async () => {
    const plan = planFor({ args: ['true'] });
    const { events } = await run(plan);
    const steps = events.flatMap((event) => (event.kind === 'step' ? [event.index] : []));
    // The two sides make some of them at the same time.
    expect(steps.toSorted((a, b) => a - b)).toEqual(plan.steps.slice(0, -1).map((_, index) => index));
    const short = await run(plan, { terse: true });
    expect(short.events.map(({ kind }) => kind)).toEqual(['started', 'ended']);
    const missing = await run(planFor({ args: ['not-there'] }), { terse: true });
    expect(missing).toMatchObject({ kind: 'failed', failed: { errno: 2 } });
  });

  test('a plan that was handed over once starts with other commands, long ones too', async () => {
    const plan = planFor({ args: ['echo', 'as planned'] });
    const template = new LaunchTemplate(plan);
    expect((await run(plan, { template })).output).toBe('as planned\n');
    expect((await run(withArgs(plan, ['echo', 'something', 'else']), { template })).output).toBe('something else\n');
    // More than a request has room for: the plan is handed over anew.
    const long = 'x'.repeat(50_000);
    expect((await run(withArgs(plan, ['echo', long]), { template })).output).toBe(`${long}\n`);
    expect((await run(plan, { template })).output).toBe('as planned\n');
    template.close();
  });

  test('is not dumpable, is in nobody’s folder, and holds nothing of its caller or of a container', async () => {
    const launched = launch(planFor({ args: ['sleep', '100'] }), { by: 'shared' });
    await expect.poll(() => serving()).toHaveLength(1);
    const [server = ''] = serving();
    await expect.poll(() => launchersOf(server)).toHaveLength(2);
    if (isRoot) expect(readlinkSync(`/proc/${server}/cwd`)).toBe('/');
    // Of a process that is not dumpable, these files are root's.
    else expect(() => readlinkSync(`/proc/${server}/cwd`)).toThrow(/EACCES/u);
    if (isRoot) {
      const open = readdirSync(`/proc/${server}/fd`).map((fd) => readlinkSync(`/proc/${server}/fd/${fd}`));
      const kinds = open.map((target) => target.replace(/\[\d+\]$/u, '')).toSorted();
      expect([...new Set(kinds)]).toEqual(['/dev/null', 'mnt:', 'pipe:', 'socket:']);
      expect(kinds.filter((kind) => kind === 'socket:')).toHaveLength(1);
      expect(readlinkSync(`/proc/${server}/ns/mnt`)).toBe(readlinkSync('/proc/self/ns/mnt'));
    }
    launched.signal(9);
    await launched.done;
  });

  test('one that is killed takes no container along, and the next start has another one', async () => {
    const [input, inputEnd] = pipe();
    const first = run(planFor({ args: ['sh', '-c', 'read line; echo "$line"'] }), {}, input);
    closeSync(input);
    await expect.poll(() => serving()).toHaveLength(1);
    const [server = ''] = serving();
    await expect.poll(() => launchersOf(server)).toHaveLength(2);
    process.kill(Number(server), 'SIGKILL');
    // A request that is sent while it dies is lost with it.
    await expect.poll(() => serving()).not.toContain(server);
    const second = await run(planFor({ args: ['echo', 'done'] }));
    writeSync(inputEnd, 'done\n');
    closeSync(inputEnd);
    expect([(await first).output, second.output]).toEqual(['done\n', 'done\n']);
  });

  test('one that is killed before it has taken a request: that start rejects in words of its own, and the next one has another launcher', async () => {
    const plan = planFor({ args: ['echo', 'done'] });
    await run(plan);
    const [server = ''] = serving();
    await expect.poll(() => launchersOf(server)).toHaveLength(1);
    const both = [server, ...launchersOf(server)].map(Number);
    for (const pid of both) process.kill(pid, 'SIGSTOP');
    const lost = run(plan);
    for (const pid of both) process.kill(pid, 'SIGKILL');
    await expect(lost).rejects.toMatchObject({
      code: 'E_LAUNCHER_DIED',
      message: 'the launcher ended while it started the container',
      hint: expect.stringContaining('start the container again') as string,
    });
    expect((await run(plan)).output).toBe('done\n');
  });

  test('what its caller gives a container to keep is held until that ends, and no longer', async () => {
    const path = join(folder, 'lock');
    const flags = constants.O_RDWR | constants.O_CREAT;
    const held = openSync(path, flags, 0o600);
    expect(tryLock(held, true)).toBe(true);
    const launched = launch(planFor({ args: ['sleep', '0.5'] }), { by: 'shared', kept: [held] });
    closeSync(held);
    const other = openSync(path, flags, 0o600);
    expect(tryLock(other, true)).toBe(false);
    await launched.done;
    expect(tryLock(other, true)).toBe(true);
    closeSync(other);
  });

  test('a start that cannot be asked for rejects, and what it held of secrets is closed', async () => {
    const plan = planFor({ args: ['true'] });
    const template = new LaunchTemplate(plan);
    const [first] = plan.steps;
    if (first === undefined) throw new Error('a plan without steps');
    const given: Step = { ...first, call: { name: 'write_given', args: { fd: 'none', index: 0 } } };
    const memory = (): readonly string[] =>
      readdirSync('/proc/self/fd').filter((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`).startsWith('/memfd:');
        } catch {
          return false;
        }
      });
    const before = memory();
    const options: LaunchOptions = { by: 'shared', template, contents: [undefined], kept: [1_000_000] };
    await expect(launch({ ...plan, steps: [given, ...plan.steps] }, options).done).rejects.toThrow('EBADF');
    expect(memory()).toEqual(before);
    template.close();
  });

  test('a request that makes no sense is refused, and the next one is served', async () => {
    const template = new LaunchTemplate(planFor({ args: ['true'] }));
    const odd = [
      { patchAt: 2 ** 32 - 1, patchOld: 2 ** 32 - 1, patch: new Uint8Array(100) },
      { patchAt: 0, patchOld: template.encoded.bytes.length, patch: new Uint8Array(1) },
      { patchAt: 0, patchOld: 64, patch: new Uint8Array(64).fill(255) },
      { patchAt: 64, patchOld: 0, patch: new Uint8Array(64) },
      { patchAt: 0, patchOld: 0, patch: new Uint8Array(), flags: 0xffff_ffff },
    ];
    for (const each of odd) {
      const [end, socket] = pipe();
      const asked = askLauncher(template.fd ?? -1, { flags: 0, id: '0', ...each }, [socket, socket, socket]);
      closeSync(socket);
      // Its descriptors are closed, and nothing was written.
      expect(readFileSync(end, 'utf8')).toBe('');
      closeSync(end);
      expect(readFileSync(asked?.socket ?? -1).readUInt32LE(0)).toBe(10);
      closeSync(asked?.socket ?? -1);
    }
    expect(await run(template.encoded.plan, { template })).toMatchObject({ kind: 'exited', status: 0 });
    template.close();
  });

  test.skipIf(!isRoot)(
    'a container is born without the host’s mounts where its plan needs none of them (needs root)',
    async () => {
      const plan = planFor({ args: ['true'] });
      expect(isLean(plan)).toBe(true);
      const pivot = plan.steps.findIndex(({ call }) => call.name === 'pivot_root');
      const looks = (id: string, pathname: string): Step => ({
        id,
        group: 'root',
        side: 'container',
        because: { kind: 'default', name: 'a test' },
        undo: 'none',
        call: {
          name: 'openat2',
          args: { dirfd: 'AT_FDCWD', pathname, flags: O.O_RDONLY | O.O_CLOEXEC, mode: 0, resolve: 0 },
          returns: `look.${id}`,
          allow: ['ENOENT'],
        },
      });
      const steps = [...plan.steps];
      steps.splice(pivot, 0, looks('proc', '/proc/version'), looks('host', '/etc/passwd'));
      // The launcher is told that the plan is lean, which it is no more.
      const template = new LaunchTemplate({ ...plan, steps });
      Object.assign(template, { isLean: true });
      const { events, kind, failed } = await run({ ...plan, steps }, { template });
      const of = (index: number) => events.find((event) => event.kind === 'step' && event.index === index);
      expect({ kind, failed }).toEqual({ kind: 'exited', failed: undefined });
      expect(of(pivot)).toMatchObject({ outcome: 'done' });
      expect(of(pivot + 1)).toMatchObject({ outcome: 'skipped' });
      expect(isLean({ ...plan, steps })).toBe(false);
      const { events: among } = await run({ ...plan, steps });
      expect(among.find((event) => event.kind === 'step' && event.index === pivot + 1)).toMatchObject({
        outcome: 'done',
      });
    },
  );

  /** A process that starts a container through the built library, says `started`, and waits. */
  async function startElsewhere(script: string) {
    const plan = planFor({ args: ['sleep', '100'] });
    const text = `
      import { launch } from ${JSON.stringify(join(PROJECT, 'dist/index.js'))};
      const plan = JSON.parse(${JSON.stringify(
        JSON.stringify(plan, (_, value: unknown) =>
          typeof value === 'bigint'
            ? { bigint: String(value) }
            : value instanceof Uint8Array
              ? { bytes: [...value] }
              : value,
        ),
      )}, (_, value) => value?.bigint !== undefined ? BigInt(value.bigint) : value?.bytes !== undefined ? new Uint8Array(value.bytes) : value);
      const start = () => new Promise((resolve) => {
        const launched = launch(plan, { by: 'shared', onEvent: ({ kind, pid }) => kind === 'started' && resolve({ pid, launched }) });
      });
      ${script}
    `;
    const child = spawn(process.execPath, ['--input-type=module', '-e', text], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const [said] = (await once(child.stdout, 'data')) as [Buffer];
    return { child, said: said.toString().trim() };
  }

  test('it ends with its process, and so do the containers, whichever way that ends', async () => {
    for (const end of ['process.exit()', "process.kill(process.pid, 'SIGKILL')"]) {
      const { child, said } = await startElsewhere(`
        const all = await Promise.all([start(), start()]);
        console.log(all.map(({ pid }) => pid).join(' '));
        process.stdin.once('data', () => { ${end} });
      `);
      const pids = said.split(' ');
      const [server = ''] = launchersOf(String(child.pid));
      const gone = [server, ...pids, ...launchersOf(server)];
      expect(gone.length).toBeGreaterThan(4);
      const exited = once(child, 'exit');
      child.stdin.write('end');
      await exited;
      const isGone = (pid: string): boolean => {
        try {
          return readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
        } catch {
          return true;
        }
      };
      await expect.poll(() => gone.every(isGone), { timeout: 10_000 }).toBe(true);
    }
  });

  const [, ordinary] = callers;
  test.skipIf(ordinary === undefined)(
    'root of a user namespace, who could not come back to the host’s mounts, starts containers among them (needs the user boxctl-test)',
    async () => {
      if (ordinary === undefined) return;
      const within = specFolder({ command: ['sh', '-c', 'id -u; exit 3'] }, ordinary);
      const env = { BOXCTL_LAUNCHER: 'shared', BOXCTL_STORE: join(within, 'store') };
      const command = ['unshare', '--user', '--map-root-user', process.execPath, PROGRAM, 'up', '--quiet'];
      const { status, stdout, stderr } = await runCommand(command, callerOptions(ordinary, within, { env }));
      expect({ status, stdout, stderr }).toEqual({ status: 3, stdout: '0\n', stderr: '' });
    },
  );

  test.skipIf(!isRoot || testUser === undefined)(
    'a process that has changed its user has another launcher, of that user (needs root and the user boxctl-test)',
    async () => {
      const { child, said } = await startElsewhere(`
        const { pid, launched } = await start();
        process.setgroups([]); process.setegid(${testUser?.gid}); process.seteuid(${testUser?.uid});
        launch(plan, { by: 'shared' }).done.then(({ kind, failed }) => console.log(kind, failed?.errno), ({ code }) => console.log(code));
      `);
      // Root's plan: an ordinary user may not write to the state folder.
      expect(said).toBe('failed 13');
      child.kill('SIGKILL');
      await sleep(50);
    },
  );
});
