/** What of a container's network is left: after many starts, and whoever is killed. */
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { INSTALLED } from '../support/boxctl.ts';
import { callerOptions, self, specFolder } from '../support/container.ts';
import { makeLab, networkState, whyNoLab, type Lab } from '../support/network-lab.ts';
import { settledState } from '../support/network-container.ts';

const KEYS = { network_mode: 'bridge', stop_signal: 'SIGKILL', ports: ['8080:80', '9007:7/udp'] };

describe.skipIf(whyNoLab() !== undefined)(`a container's network (${whyNoLab() ?? 'as root'})`, () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await makeLab();
  });
  afterAll(() => lab.end());

  const options = (folder: string) => callerOptions(self, folder);
  const forwards = (): Promise<string> =>
    lab.host.shell('cat /proc/sys/net/ipv4/conf/up0/forwarding /proc/sys/net/ipv6/conf/up0/force_forwarding');

  /** A launcher undoes its last steps after its boxctl has ended. */
  const expectForwards = (values: string): Promise<void> =>
    vi.waitFor(async () => expect(await forwards()).toBe(values), 20_000);

  async function once(): Promise<void> {
    const folder = specFolder({ ...KEYS, command: ['true'] });
    const { stderr, status } = await lab.host.boxctl(['up', '--allow', 'all'], options(folder));
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  }

  /** `use` with a container that has said that it is ready; it is ended then. */
  async function running(folder: string, use: (boxctl: number) => Promise<void>): Promise<void> {
    let child: ChildProcess | undefined;
    let output = '';
    const ended = lab.host.boxctl(['up', '--allow', 'all'], {
      ...options(folder),
      held: true,
      onStart: (process) => {
        child = process;
        process.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
      },
    });
    try {
      await vi.waitFor(() => expect(output).toContain('ready'), { timeout: 20_000 });
      await use(child?.pid ?? 0);
    } finally {
      child?.kill('SIGTERM');
      await ended;
    }
  }

  /** The process that started the launcher, and the launcher. */
  function launcherOf(boxctl: number): number {
    const children = readFileSync(`/proc/${boxctl}/task/${boxctl}/children`, 'utf8');
    return Number(children.trim().split(' ')[0]);
  }

  test('leaves nothing after 500 starts', { timeout: 240_000 }, async () => {
    await once();
    const before = await settledState(lab.host);
    const folder = specFolder({ ...KEYS, command: ['true'] });
    const script = `
      const { loadSpec, runContainer } = await import(${JSON.stringify(join(INSTALLED, 'dist/index.js'))});
      const document = loadSpec(${JSON.stringify(join(folder, 'container.yaml'))}, { env: process.env, home: '/root' });
      for (let i = 0; i < 500; i++) {
        const { status } = await runContainer(document, { judge: () => undefined });
        if (status !== 0) throw new Error('status ' + status);
      }`;
    const { stderr, status } = await lab.host.run(
      [process.execPath, '--input-type=module', '-e', script],
      options(folder),
    );
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    await vi.waitFor(async () => expect(await networkState(lab.host)).toEqual(before), { timeout: 20_000 });
    await expectForwards('0\n0\n');
  });

  test.each(['boxctl', 'the launcher', 'both'] as const)(
    'leaves nothing after the next start where SIGKILL ended %s',
    async (who) => {
      await once();
      const before = await settledState(lab.host);
      const folder = specFolder({ ...KEYS, command: ['sh', '-c', 'echo ready; sleep 100'] });
      await running(folder, async (boxctl) => {
        const launcher = launcherOf(boxctl);
        expect(await forwards()).toBe('1\n1\n');
        for (const pid of [...(who === 'boxctl' ? [] : [launcher]), ...(who === 'the launcher' ? [] : [boxctl])]) {
          process.kill(pid, 'SIGKILL');
        }
      });
      // The rules are gone with the launcher, before anybody sweeps.
      await vi.waitFor(async () => expect(await lab.host.out('nft', 'list', 'tables')).not.toContain('netdev'), 20_000);
      await once();
      await vi.waitFor(async () => expect(await networkState(lab.host)).toEqual(before), { timeout: 20_000 });
      await expectForwards('0\n0\n');
    },
  );

  test('keeps forwarding and its guard until the last container that needs them has ended', async () => {
    const folder = specFolder({ ...KEYS, ports: undefined, command: ['sh', '-c', 'echo ready; sleep 100'] });
    const guarded = (): Promise<string> => lab.host.out('nft', 'list', 'set', 'inet', 'boxctl', 'guarded4');
    await running(folder, async () => {
      await once();
      expect(await forwards()).toBe('1\n1\n');
      expect(await guarded()).toContain('elements');
    });
    await expectForwards('0\n0\n');
    await vi.waitFor(async () => expect(await guarded()).not.toContain('elements'), 20_000);
  });

  test('is made again after `nft flush ruleset`, while three containers run: the shared table, its guard, and its own table, which stays', async () => {
    const shared = (): Promise<string> => lab.host.out('nft', '-s', 'list', 'table', 'inet', 'boxctl');
    const own = (): Promise<string> => lab.host.shell('nft -a list tables | grep netdev');
    const command = ['sh', '-c', 'echo ready; sleep 100'];
    const alone = specFolder({ stop_signal: 'SIGKILL', networks: { inner: { internal: true } }, command });
    const others = [1, 2].map((n) => specFolder({ ...KEYS, ports: [`${8080 + n}:80`], command }));
    await running(alone, async () => {
      await running(others[0] ?? '', async () => {
        await running(others[1] ?? '', async () => {
          const [before, ownBefore] = [await shared(), await own()];
          expect(before.match(/elements = /gu)).toHaveLength(2);
          expect(ownBefore.match(/^table netdev boxctl-/gmu)).toHaveLength(3);
          for (const gone of ['flush ruleset', 'delete table inet boxctl']) {
            await lab.host.shell(`nft ${gone}`);
            // Those that need no forwarding make the table again as well, and may be first.
            await vi.waitFor(async () => expect(await shared()).toBe(before), 20_000);
            // The kernel lets nobody but its owner remove a container's own table: it is the same one.
            expect(await own()).toBe(ownBefore);
          }
        });
      });
    });
    await expectForwards('0\n0\n');
  });

  test.skipIf(!existsSync('/usr/bin/strace'))(
    'is made again as well where a second `nft flush ruleset` comes before the first was looked after to the end (needs strace)',
    async () => {
      const shared = (): Promise<string> => lab.host.out('nft', '-s', 'list', 'table', 'inet', 'boxctl');
      const folder = specFolder({ ...KEYS, command: ['sh', '-c', 'echo ready; sleep 100'] });
      await running(folder, async (boxctl) => {
        const before = await shared();
        // Every question and every change of the launcher's comes a fifth of a second later.
        const words = ['-e', 'trace=sendto', '-e', 'inject=sendto:delay_enter=200ms'];
        const slow = lab.host.start([
          'sh',
          '-c',
          'exec strace "$@" 2>&1',
          'sh',
          '-p',
          String(launcherOf(boxctl)),
          ...words,
        ]);
        await new Promise((resolve) => void slow.stdout?.once('data', resolve));
        await lab.host.shell('nft flush ruleset');
        await vi.waitFor(async () => expect(await shared()).toBe(before), { timeout: 10_000, interval: 10 });
        await lab.host.shell('nft flush ruleset');
        await vi.waitFor(async () => expect(await shared()).toBe(before), { timeout: 10_000 });
      });
    },
  );

  test('does not wake the launcher of another container, whose table it leaves alone', async () => {
    const folder = specFolder({ ...KEYS, command: ['sh', '-c', 'echo ready; sleep 100'] });
    const other = specFolder({ network_mode: 'bridge', command: ['true'] });
    await running(folder, async (boxctl) => {
      const status = `/proc/${launcherOf(boxctl)}/status`;
      const waits = (): string => /^voluntary_ctxt_switches.*$/mu.exec(readFileSync(status, 'utf8'))?.[0] ?? '';
      // It may still be about to wait when the container is ready.
      let before = waits();
      for (let last = ''; last !== before;) {
        last = before;
        await sleep(500);
        before = waits();
      }
      expect((await lab.host.boxctl(['up', '--allow', 'all'], options(other))).status).toBe(0);
      expect(waits()).toBe(before);
      await lab.host.shell('nft add table inet mine; nft delete table inet mine');
      await vi.waitFor(() => expect(waits()).not.toBe(before), 20_000);
    });
  });

  test('has no address claimed for it once its file was refused', async () => {
    const claims = (): Promise<string> =>
      lab.host.shell('ls /run/boxctl/network/$(readlink /proc/self/ns/net | tr -dc 0-9)/addresses');
    await once();
    const before = await claims();
    const folder = specFolder({ ...KEYS, command: ['true'] });
    const { stderr, status } = await lab.host.boxctl(['up'], options(folder));
    expect(stderr).toContain('--allow');
    expect(status).not.toBe(0);
    expect(await claims()).toBe(before);
  });

  test('is made anew at once by `boxctl restart`, also where its namespace is still there', async () => {
    const folder = specFolder({ ...KEYS, name: 'network-restarts', command: ['sleep', '98765'] });
    const boxctl = async (...words: readonly string[]): Promise<void> => {
      const { stderr, status } = await lab.host.boxctl(words, options(folder));
      expect({ words, stderr, status }).toEqual({ words, stderr: '', status: 0 });
    };
    await boxctl('up', '--detach', '--allow', 'all');
    try {
      // The kernel removes the interface with the namespace, which this keeps.
      const pid = (await lab.host.out('pgrep', '-nf', '^sleep 98765')).trim();
      const other = lab.host.start(['nsenter', `--net=/proc/${pid}/ns/net`, 'sh', '-c', 'echo ready; exec cat']);
      await new Promise((resolve) => void other.stdout?.once('data', resolve));
      await boxctl('restart', 'network-restarts');
      await boxctl('restart', 'network-restarts');
      other.stdin?.end();
    } finally {
      await boxctl('rm', '--force', 'network-restarts');
    }
  });

  test('does not make the host forward packets of others while it is there', async () => {
    // A second network of the host's, and a neighbour who would reach it by the host.
    await lab.host.shell(`ip link add other type veth peer name inner
      for end in other inner; do echo 1 > /proc/sys/net/ipv6/conf/$end/disable_ipv6; done
      ip addr add 100.64.0.1/24 dev other; ip link set other up; ip link set inner up
      ip neigh add 100.64.0.9 lladdr 02:00:00:00:00:09 dev other`);
    await lab.router.shell('ip route add 100.64.0.0/24 via 192.0.2.2');
    const received = async (): Promise<number> =>
      Number(await lab.host.out('cat', '/sys/class/net/inner/statistics/rx_packets'));
    const ask = (): Promise<string> =>
      lab.router.shell('busybox ping -c 5 -W 1 -i 1 100.64.0.9 >/dev/null 2>&1 || true');
    const folder = specFolder({ ...KEYS, ports: undefined, command: ['sh', '-c', 'echo ready; sleep 100'] });
    await running(folder, async (boxctl) => {
      expect(await forwards()).toBe('1\n1\n');
      const before = await received();
      await ask();
      expect((await received()) - before).toBe(0);
      // It is the guard that stops them. The launcher would add it again.
      const launcher = launcherOf(boxctl);
      process.kill(launcher, 'SIGSTOP');
      await lab.host.out('nft', 'flush', 'set', 'inet', 'boxctl', 'guarded4');
      await ask();
      process.kill(launcher, 'SIGCONT');
      expect((await received()) - before).toBeGreaterThanOrEqual(5);
    });
    await lab.host.shell('ip link del other');
  });

  test('has an IPv4 address of its own in each of 100 containers at once', { timeout: 120_000 }, async () => {
    const folder = specFolder({ network_mode: 'bridge', command: ['sh', '-c', 'ip -o -4 addr show eth0; sleep 1'] });
    const script = `
      const { loadSpec, runContainer } = await import(${JSON.stringify(join(INSTALLED, 'dist/index.js'))});
      const document = loadSpec(${JSON.stringify(join(folder, 'container.yaml'))}, { env: process.env, home: '/root' });
      await Promise.all(Array.from({ length: 100 }, () => runContainer(document, { judge: () => undefined, takesSignals: false })));`;
    const { stdout, stderr } = await lab.host.run(
      [process.execPath, '--input-type=module', '-e', script],
      options(folder),
    );
    expect(stderr).toBe('');
    const addresses = [...stdout.matchAll(/ inet (\S+)\/32/gu)].map(([, address]) => address);
    expect(addresses).toHaveLength(100);
    expect(new Set(addresses).size).toBe(100);
  });
});
