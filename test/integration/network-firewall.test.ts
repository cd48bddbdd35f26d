/**
 * Firewalls of the host that drop forwarded packets: each real one runs in a lab of network namespaces. The end of a container
 * names it, and the words of its hint let the container through.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Ended } from '../support/boxctl.ts';
import { callerOptions, self } from '../support/container.ts';
import { networkFolder, SERVER, startServer } from '../support/network-container.ts';
import { HOST, makeLab, whyNoLab, WORLD, type Lab } from '../support/network-lab.ts';

/** Its own /run, and copies of the folders that the programs write to. */
const OWN_FOLDERS = (...folders: readonly string[]): string =>
  [
    'mount -t tmpfs tmpfs /run',
    ...folders.map(
      (folder, index) =>
        `mkdir /run/own${index} && cp -a ${folder}/. /run/own${index} && mount --bind /run/own${index} ${folder}`,
    ),
  ].join('\n');

/** A bus that starts no other service. */
const BUS =
  '<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><policy context="default"><allow own="*"/><allow user="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>';

interface Case {
  readonly name: string;
  readonly needs: string;
  readonly start: string;
  /** Its processes, in the order in which they start. */
  readonly processes?: readonly (readonly string[])[];
  /** Succeeds when they are ready. */
  readonly ready?: string;
}

const CASES: readonly Case[] = [
  {
    name: 'ufw',
    needs: '/usr/sbin/ufw',
    start: `${OWN_FOLDERS('/etc/ufw', '/etc/default')}\nufw --force enable`,
  },
  {
    name: 'firewalld',
    needs: '/usr/sbin/firewalld',
    start: `${OWN_FOLDERS('/etc/firewalld')}\nmkdir -p /run/dbus\nprintf '%s' '${BUS}' > /run/bus.conf`,
    processes: [
      ['dbus-daemon', '--config-file=/run/bus.conf', '--nofork', '--nopidfile'],
      ['firewalld', '--nofork', '--nopid', '--log-file', '/run/firewalld.log'],
    ],
    ready: 'firewall-cmd --state',
  },
  {
    name: 'Docker \\(FORWARD drops\\)',
    needs: '/usr/sbin/iptables',
    // The chains that Docker makes.
    start: `for i in iptables ip6tables; do
      $i -N DOCKER-USER; $i -A DOCKER-USER -j RETURN; $i -P FORWARD DROP; $i -I FORWARD -j DOCKER-USER
    done`,
  },
  {
    name: 'Docker \\(FORWARD drops\\)',
    needs: '/usr/sbin/iptables-legacy',
    start: `iptables-legacy -N DOCKER-USER; iptables-legacy -P FORWARD DROP; iptables-legacy -I FORWARD -j DOCKER-USER
      ip6tables-legacy -P FORWARD DROP`,
  },
  {
    name: 'iptables \\(FORWARD drops\\)',
    needs: '/usr/sbin/iptables',
    start: 'for i in iptables ip6tables; do $i -A FORWARD -j REJECT; done',
  },
  {
    name: 'the chain mine of the table inet mine, which drops',
    needs: '/usr/sbin/nft',
    start: 'nft "add table inet mine; add chain inet mine mine { type filter hook forward priority 0; policy drop; }"',
  },
];

const ask = (address: string): string => `nc -w 2 ${address} 80 </dev/null >/dev/null 2>&1`;
/** Both at once, since each waits where its packets are dropped. */
const ASK = `${ask(WORLD.ipv4)} & ${ask(WORLD.ipv6)}; six=$$?; wait $$!; echo $$?; echo $$six`;

describe.skipIf(whyNoLab() !== undefined)(`a firewall of the host (${whyNoLab() ?? 'in the lab'})`, () => {
  let lab: Lab | undefined;
  const processes: ChildProcess[] = [];
  afterEach(async () => {
    for (const process of processes.splice(0).toReversed()) {
      if (process.exitCode !== null) continue;
      const ended = once(process, 'exit');
      process.kill('SIGKILL');
      await ended;
    }
    await lab?.end();
    lab = undefined;
  });

  async function start({ start: script, processes: commands = [], ready }: Case): Promise<Lab> {
    const made = await makeLab();
    lab = made;
    await made.host.shell(script);
    for (const command of commands) {
      processes.push(made.host.start(command));
      await sleep(300);
    }
    if (ready !== undefined) await vi.waitFor(() => made.host.shell(ready), { timeout: 20_000, interval: 200 });
    return made;
  }
  const run = ({ host }: Lab, spec: Readonly<Record<string, unknown>> = {}, words: readonly string[] = []) => {
    const folder = networkFolder({ command: ['sh', '-c', ASK], ...spec });
    return host.boxctl(['up', '--allow', 'all', ...words], callerOptions(self, folder));
  };
  /** The commands of the hint. */
  const commandsOf = ({ stderr }: Ended): string =>
    /^ {2}to let the addresses of containers through: (.*)$/mu.exec(stderr)?.[1] ?? 'false';

  test.each(CASES.map((one) => [one.name.replaceAll('\\', ''), one.needs, one] as const))(
    '%s (%s) is named at the end of a container whose connections it drops, and its hint lets them through',
    async (_name, needs, firewall) => {
      expect(existsSync(needs)).toBe(true);
      const { host } = await start(firewall);
      const dropped = await run(lab as Lab);
      expect(dropped.stdout).toBe('1\n1\n');
      expect(dropped.stderr).toMatch(
        new RegExp(
          `container\\.yaml:\\d+:\\d+: warning: \\d+ packets with which connections of the container begin were dropped on the way through this host, by .*${firewall.name}`,
          'u',
        ),
      );
      const { stdout: doctor } = await host.boxctl(['doctor', '--json'], callerOptions(self, networkFolder({})));
      expect(doctor).toMatch(new RegExp(`${firewall.name} can drop what containers send`, 'u'));

      await host.shell(commandsOf(dropped));
      const passed = await run(lab as Lab);
      expect({ stdout: passed.stdout, stderr: passed.stderr }).toEqual({ stdout: '0\n0\n', stderr: '' });
      const after = await host.boxctl(['doctor', '--json'], callerOptions(self, networkFolder({})));
      expect(after.stdout).not.toContain('can drop what containers send');
    },
    120_000,
  );

  test('that drops connections to a published port is named at the end of its container, and as data with --json', async () => {
    const [firewall] = CASES.slice(-1) as [Case];
    const { host, world } = await start(firewall);
    const container = await startServer(host, { ports: [`8080:${SERVER}`] }, ['--json']);
    await world.run(['curl', '-s', '--max-time', '2', `http://${HOST.ipv4}:8080/`]);
    const { stderr } = await container.end();
    const last = JSON.parse(stderr.trim().split('\n').at(-1) ?? '') as {
      swallowed?: { packets: number; hint: string };
    };
    expect(last.swallowed?.packets).toBeGreaterThan(0);
    expect(last.swallowed?.hint).toContain('nft insert rule inet mine mine ip saddr 10.215.0.0/20 accept');
  });

  test('that drops packets between containers on one network is told with the subnet of that network', async () => {
    const { host } = await start(CASES.at(-1) as Case);
    const networks = { inner: { name: 'lab-inner', ipam: { config: [{ subnet: '10.77.0.0/24' }] } } };
    await startServer(host, { networks: { inner: { ...networks.inner, ipv4_address: '10.77.0.9' } } });
    const command = ['sh', '-c', `nc -w 1 10.77.0.9 ${SERVER} </dev/null; true`];
    const { stderr } = await run(lab as Lab, { networks, command });
    expect(stderr).toContain('nft insert rule inet mine mine ip saddr 10.77.0.0/24 accept');
  });

  test('is not named where it has dropped nothing: what is refused, unreachable or unanswered is no fault of its', async () => {
    const { host } = await start(CASES.at(-1) as Case);
    const quiet = await run(lab as Lab, { command: ['true'] });
    expect(quiet.stderr).toBe('');
    await host.shell('nft delete table inet mine');
    const addresses = [`${WORLD.ipv4} 81`, `${HOST.ipv4} 9`, '198.51.100.77 80', '10.215.8.8 80', '169.254.169.254 80'];
    const command = ['sh', '-c', `${addresses.map((one) => `nc -w 1 ${one} </dev/null &`).join(' ')} wait`];
    const { stderr } = await run(lab as Lab, { command });
    expect(stderr).not.toContain('dropped on the way');
    // Two questions by one socket before the first answer, as resolvers ask for addresses of both families; and a
    // connection's first packet that is sent again.
    const again = `nslookup world.test ${WORLD.ipv4}; nc -w 3 198.51.100.77 80 </dev/null; true`;
    expect((await run(lab as Lab, { command: ['sh', '-c', again] })).stderr).not.toContain('dropped on the way');
  });
});
