/** What the launcher of a container in the background with a network keeps of the machine's memory. */
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { launcherOf, SLEEPS, type Listed } from '../support/background.ts';
import type { Ended } from '../support/boxctl.ts';
import { callerOptions, callers, self, specFolder, type Caller } from '../support/container.ts';
import { HOST, makeLab, whyNoLab, type Lab } from '../support/network-lab.ts';
import { expectAtMost } from '../support/own-memory.ts';

const PROGRAMS = ['slirp4netns', 'pasta'] as const;
const pathOf = (program: string): string => `/usr/bin/${program}`;
const user = callers.find((caller) => caller.user !== undefined);
const MOST = 100;

describe.skipIf(whyNoLab() !== undefined)(`the launcher beside a container (${whyNoLab() ?? 'as root'})`, () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await makeLab();
    await lab.host.shell('mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200');
    // A name server that the launcher relays to.
    await lab.host.shell(`mount -t tmpfs tmpfs /mnt; echo nameserver 127.0.0.53 >/mnt/resolv.conf
      mount --bind /mnt/resolv.conf /etc/resolv.conf`);
  });
  afterAll(() => lab.end());

  let count = 0;
  /** Starts it in the background, and gives its launcher and what runs boxctl for it. */
  async function start(keys: Readonly<Record<string, unknown>>, caller: Caller = self) {
    const name = `memory-${process.pid}-${++count}`;
    const folder = specFolder({ name, command: SLEEPS, network_mode: 'bridge', ...keys }, caller);
    const run = (...words: readonly string[]): Promise<Ended> => lab.host.boxctl(words, callerOptions(caller, folder));
    onTestFinished(async () => void (await run('rm', '--force', name)));
    expect(await run('up', '--detach', '--allow', 'all')).toMatchObject({ status: 0, stderr: '' });
    const listed = JSON.parse((await run('ps', '--json')).stdout) as readonly Listed[];
    const id = listed.find((one) => one.name === name)?.id ?? '';
    return { name, run, launcher: launcherOf({ caller }, id) };
  }

  test.each([
    ['a network of its own', {}],
    ['published ports', { ports: ['8080:80', '8080:80/udp', '127.0.0.1:8090:90'] }],
    ['two networks that it shares', { networks: ['one', 'two'] }],
    ['a list of what it reaches', { egress: ['198.51.100.10:80', '*:53/udp'] }],
  ] as const)('keeps at most 100 KiB for itself where the container has %s', async (_, keys) => {
    const { launcher } = await start(keys);
    await expectAtMost(launcher, MOST);
    await sleep(500);
    await expectAtMost(launcher, MOST);
  });

  test('keeps no more when the container was started again, or its tables were made again, and does both as before', async () => {
    const command = ['sh', '-c', 'mkdir -p /tmp/w; echo served > /tmp/w/index.html; exec httpd -f -p 80 -h /tmp/w'];
    const { name, run, launcher } = await start({ ports: ['8080:80'], command });
    await expectAtMost(launcher, MOST);
    const served = (): Promise<void> =>
      vi.waitFor(async () => expect(await lab.world.get(`http://${HOST.ipv4}:8080/`)).toBe('served\n'), 20_000);
    await served();
    expect(await run('restart', '--time', '0', name)).toMatchObject({ status: 0 });
    await served();
    await expectAtMost(launcher, MOST);
    await lab.host.out('nft', 'flush', 'ruleset');
    await served();
    await expectAtMost(launcher, MOST);
    expect(await lab.host.get('http://127.0.0.1:8080/')).toBe('served\n');
  });

  test('gives back what it needed for a stream that it relayed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'boxctl-test-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const script = 'mkdir /tmp/w; head -c 20000000 /dev/zero > /tmp/w/large; exec httpd -f -p 80 -h /tmp/w';
    const { launcher } = await start({ ports: ['8080:80'], command: ['sh', '-c', script] });
    const output = join(folder, 'large');
    await vi.waitFor(() => lab.host.out('curl', '-gsSf', '-o', output, 'http://127.0.0.1:8080/large'), 20_000);
    expect(statSync(output).size).toBe(20_000_000);
    await expectAtMost(launcher, MOST);
  });

  describe.skipIf(user === undefined || !PROGRAMS.every((program) => existsSync(pathOf(program))))('of a user', () => {
    test.each(PROGRAMS)('keeps at most 100 KiB for itself, by %s', async (program) => {
      const nothing = (await lab.host.out('mktemp')).trim();
      const others = PROGRAMS.filter((other) => other !== program);
      for (const other of others) await lab.host.shell(`mount --bind ${nothing} $(readlink -f ${pathOf(other)})`);
      try {
        const { launcher } = await start({ ports: ['8080:80', '8080:80/udp'] }, user);
        await expectAtMost(launcher, MOST);
        // The host's addresses are read again.
        await lab.host.shell('ip route add local 10.77.0.0/16 dev lo; ip route del local 10.77.0.0/16 dev lo');
        await sleep(500);
        await expectAtMost(launcher, MOST);
      } finally {
        for (const other of others) await lab.host.shell(`umount $(readlink -f ${pathOf(other)})`);
        rmSync(nothing);
      }
    });
  });
});
