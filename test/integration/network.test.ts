/** A container's network as root, in a lab of namespaces: to the world and back. */
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { attacker, hasCompiler } from '../support/attack.ts';
import { callerOptions, self, specFolder } from '../support/container.ts';
import { settledState, signalLauncher } from '../support/network-container.ts';
import { makeLab, SECOND, whyNoLab, WORLD, type Lab } from '../support/network-lab.ts';
import { tempFolder } from '../support/temp.ts';
import type { Ended } from '../support/boxctl.ts';

/** busybox-static's wget needs more of the C library than there is. */
const get = (address: string, path: string, port = 80): string =>
  `printf 'GET ${path} HTTP/1.0\\r\\n\\r\\n' | nc -w 3 ${address} ${port} | tail -n 1`;

const ETIMEDOUT = 110;
const WHY = whyNoLab() ?? (hasCompiler ? undefined : 'needs a C compiler');

describe.skipIf(WHY !== undefined)(`a container with a network (${WHY ?? 'as root'})`, () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await makeLab();
  });
  afterAll(() => lab.end());

  /** A script in a container of the lab's host. */
  function sh(script: string, keys: Readonly<Record<string, unknown>> = {}): Promise<Ended> {
    const command = ['sh', '-c', script.replaceAll('$', '$$$$')];
    const folder = specFolder({
      network_mode: 'bridge',
      stop_signal: 'SIGKILL',
      volumes: [`${attacker('udp')}:/udp:ro`],
      command,
      ...keys,
    });
    return lab.host.boxctl(['up', '--allow', 'all'], callerOptions(self, folder));
  }

  /** A container that goes on until the test is done with it. */
  async function started(
    script: string,
    keys: Readonly<Record<string, unknown>>,
    use: (output: () => string, child: ChildProcess) => Promise<void>,
  ): Promise<Ended> {
    let child: ChildProcess | undefined;
    let output = '';
    const command = ['sh', '-c', script.replaceAll('$', '$$$$')];
    const folder = specFolder({
      network_mode: 'bridge',
      stop_signal: 'SIGKILL',
      volumes: [`${attacker('udp')}:/udp:ro`],
      command,
      ...keys,
    });
    const ended = lab.host.boxctl(['up', '--allow', 'all'], {
      ...callerOptions(self, folder),
      held: true,
      onStart: (process) => {
        child = process;
        process.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
      },
    });
    try {
      await Promise.race([vi.waitFor(() => expect(output).toContain('ready'), { timeout: 20_000 }), ended]);
      if (child === undefined) throw new Error('nothing was started');
      await use(() => output, child);
    } finally {
      child?.kill('SIGTERM');
    }
    return ended;
  }

  /**
   * What a container's script prints while the shared table is gone, as after a restart of the host's firewall. The launchers
   * are stopped meanwhile: they would add the table again.
   */
  async function withoutTable(
    script: string,
    keys: Readonly<Record<string, unknown>>,
    others: readonly ChildProcess[],
  ) {
    const folder = tempFolder({ open: true });
    const volumes = [`${attacker('udp')}:/udp:ro`, `${folder}:/shared`];
    const waits = 'echo ready; until [ -e /shared/go ]; do sleep 0.05; done';
    const whole = `${waits}; (${script}) >/shared/text 2>&1; touch /shared/done; sleep 100`;
    await started(whole, { ...keys, volumes }, async (_, child) => {
      const launchers = [...others, child];
      for (const one of launchers) await signalLauncher(lab.host, one, 'STOP');
      try {
        await lab.host.out('nft', 'flush', 'ruleset');
        writeFileSync(join(folder, 'go'), '');
        await vi.waitFor(() => expect(existsSync(join(folder, 'done'))).toBe(true), { timeout: 25_000 });
      } finally {
        for (const one of launchers) await signalLauncher(lab.host, one, 'CONT');
      }
    });
    return readFileSync(join(folder, 'text'), 'utf8');
  }

  const SERVER =
    'mkdir -p /w; echo served > /w/index.html; httpd -p 80 -h /w; /udp serve 7 & ip -o addr; echo ready; sleep 100';

  test('reaches the world by both families, as the host', async () => {
    const { stdout, stderr } = await sh(`${get(WORLD.ipv4, '/four')}; ${get(WORLD.ipv6, '/six')}`);
    expect({ stdout, stderr }).toEqual({ stdout: 'from 192.0.2.2 /four\nfrom 2001:db8:1::2 /six\n', stderr: '' });
  });

  test('packets to the container’s IPv6 addresses are taken from the start: their local routes are there with the addresses', async () => {
    const { stdout } = await sh('cat /proc/net/ipv6_route', { networks: { mine: { name: 'lab-local' } } });
    // The kernel's own, which may come later, have the metric 0.
    const own = stdout.match(/^fd62\w+ 80 .* 00000400 \S+ \S+ +80\w+ +eth0$/gmu);
    expect(own).toHaveLength(2);
  });

  test('answers the world at its published ports, by TCP and UDP', async () => {
    const keys = { ports: ['8080:80', '9007:7/udp'] };
    await started(SERVER, keys, async () => {
      expect(await lab.world.get('http://192.0.2.2:8080/')).toBe('served\n');
      expect(await lab.world.get('http://[2001:db8:1::2]:8080/')).toBe('served\n');
      expect(await lab.world.out(attacker('udp'), 'ask', '192.0.2.2', '9007', 'hallo')).toBe('hallo\n');
    });
  });

  test('of a burst of datagrams to the host each is counted, also those that the kernel does not answer', async () => {
    const ports = Array.from({ length: 15 }, (_, n) => 7100 + n);
    for (const egress of [undefined, ['198.51.100.10']]) {
      const words = ['192.0.2.2', '2001:db8:1::2'].flatMap((address) =>
        ports.map((port) => `udp ${address} ${port} x`),
      );
      const command = ['/network', ...words.join(' -- ').split(' ')];
      const volumes = [`${attacker('network')}:/network:ro`];
      const folder = specFolder({ network_mode: 'bridge', volumes, command, ...(egress && { egress }) });
      const { stdout, stderr } = await lab.host.boxctl(['up', '--allow', 'all', '--json'], callerOptions(self, folder));
      const errors = stdout.match(/\d+$/gmu)?.map(Number) ?? [];
      const [answered, silent] = [
        errors.filter((error) => error !== ETIMEDOUT),
        errors.filter((error) => error === ETIMEDOUT),
      ];
      expect(errors).toHaveLength(30);
      // The kernel limits the rate of answers of the host's own; those of the container's own table are not the host's.
      if (egress !== undefined) expect(silent).toEqual([]);
      expect(answered.length).toBeGreaterThan(0);
      const last = JSON.parse(stderr.trim().split('\n').at(-1) ?? '') as { refused: { packets: number } };
      expect(last.refused.packets).toBe(30);
    }
  });

  /** Counts packets for the addresses that the next containers get. */
  async function countBefore(set: string): Promise<void> {
    const { stdout: shown } = await sh("ip -o -4 addr show dev eth0 | sed 's/.* inet //; s,/.*,,'");
    const [high = 0, low = 0] = shown.trim().split('.').slice(2).map(Number);
    const next = Array.from({ length: 20 }, (_, n) => high * 256 + low + n);
    const counted = next.map((n) => `10.215.${n >> 8}.${n & 255} counter packets 1000 bytes 1000`);
    await lab.host.out('nft', `add element inet boxctl ${set} { ${counted.join(', ')} }`);
  }

  test('what is counted of packets that a firewall drops begins at 0 with each container that has the address', async () => {
    await countBefore('begun4');
    const { status, stderr } = await sh('true');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  test('what is counted of datagrams begins at 0 with each container that has the address', async () => {
    await countBefore('datagrams4');
    const command = [
      '/network',
      ...[7101, 7102, 7103]
        .map((port) => `udp 192.0.2.2 ${port} x`)
        .join(' -- ')
        .split(' '),
    ];
    const volumes = [`${attacker('network')}:/network:ro`];
    const folder = specFolder({ network_mode: 'bridge', volumes, command });
    const { stderr } = await lab.host.boxctl(['up', '--allow', 'all', '--json'], callerOptions(self, folder));
    const last = JSON.parse(stderr.trim().split('\n').at(-1) ?? '') as { refused: { packets: number } };
    expect(last.refused.packets).toBe(3);
  });

  test('does not reach the host by an address that it gets while the container runs: the rules ask the kernel', async () => {
    await lab.host.shell('busybox httpd -p 82 -h /usr/share/doc');
    const folder = tempFolder({ open: true });
    const addresses = ['192.0.2.78', '2001:db8:1::78', '203.0.113.99'];
    const tries = addresses.map((address) => `nc -w 2 ${address} 82 </dev/null 2>&1 | head -n 1`).join('; ');
    const script = `echo ready; until [ -e /shared/go ]; do sleep 0.02; done; ${tries}; echo done; sleep 100`;
    await started(script, { volumes: [`${folder}:/shared`] }, async (output) => {
      await lab.host.shell(`ip link add later type veth peer name later-peer; ip addr add 192.0.2.78/32 dev later
        ip addr add 2001:db8:1::78/128 dev lo; ip route add local 203.0.113.64/26 dev lo`);
      writeFileSync(join(folder, 'go'), '');
      await vi.waitFor(() => expect(output()).toContain('done'), { timeout: 10_000 });
      expect(output().match(/Connection refused/gu)).toHaveLength(3);
      await lab.host.shell(`ip link del later; ip addr del 2001:db8:1::78/128 dev lo
        ip route del local 203.0.113.64/26 dev lo`);
    });
  });

  test('reaches neither the host, nor link-local addresses, nor other containers', async () => {
    await lab.host.shell('busybox httpd -p 81 -h /usr/share/doc');
    await lab.host.shell('ip addr add 169.254.169.254/32 dev lo');
    await started(SERVER, {}, async (output) => {
      const other4 = / inet (10\.215\.\S+)\/32/u.exec(output())?.[1] ?? '';
      const other6 = / inet6 (fd62:\S+)\/128/u.exec(output())?.[1] ?? '';
      const targets = [
        ['192.0.2.2', 81],
        ['2001:db8:1::2', 81],
        ['169.254.169.254', 81],
        ['10.215.0.0', 81],
        ['fd62:6f78:6374:6c::', 81],
        [other4, 80],
        [other6, 80],
      ] as const;
      const tries = targets.map(([address, port]) => `nc -w 2 ${address} ${port} </dev/null 2>&1 | head -n 1`);
      const { stdout } = await sh(tries.join('; '));
      const lines = stdout.trim().split('\n');
      const refused = targets.map(() => expect.stringMatching(/Connection refused$/u) as string);
      expect(lines).toEqual(refused);
    });
  });

  test('reaches published ports of other containers by the host’s addresses, and nothing else of the host', async () => {
    await lab.host.shell('busybox httpd -p 83 -h /usr/share/doc');
    const tries = [
      get('192.0.2.2', '/', 8080),
      get('2001:db8:1::2', '/', 8080),
      'nc -w 2 192.0.2.2 83 </dev/null 2>&1',
      'nc -w 2 2001:db8:1::2 83 </dev/null 2>&1',
      'nc -w 2 127.0.0.1 83 </dev/null 2>&1',
    ].join('; ');
    await started(SERVER, { ports: ['8080:80'] }, async (_, server) => {
      const { stdout, stderr } = await sh(tries);
      const lines = stdout.split('\n');
      expect(stderr).toContain('192.0.2.2:83/tcp');
      expect(stderr).toContain('[2001:db8:1::2]:83/tcp');
      expect(lines.slice(0, 2)).toEqual(['served', 'served']);
      for (const line of lines.slice(2, 5)) expect(line).toMatch(/Connection refused$/u);
      const after = (await withoutTable(tries, {}, [server])).split('\n');
      expect(after.slice(0, 5).join(' ')).toMatch(/^nc: timed out nc: timed out nc: .*Connection refused/u);
    });
  });

  test('reaches published UDP ports of other containers, with datagrams of all sizes, and no other UDP of the host', async () => {
    const big = 'x'.repeat(3000);
    const ask = (address: string, port: number, text: string): string =>
      `/udp ask ${address} ${port} ${text} 2>&1 | wc -c`;
    const script = ['192.0.2.2', '2001:db8:1::2']
      .flatMap((address) => [ask(address, 9007, 'short'), ask(address, 9007, big), ask(address, 9008, 'short')])
      .join('; ');
    // The first has its replies let through by `egress`, the second by the rule of its port.
    for (const keys of [{}, { egress: 'none' }]) {
      await started(SERVER, { ports: ['9007:7/udp'], ...keys }, async () => {
        const { stdout, stderr } = await sh(script);
        expect(stdout).toBe('6\n3001\n19\n6\n3001\n19\n');
        expect(stderr).toContain('192.0.2.2:9008/udp');
        expect(stderr).toContain('[2001:db8:1::2]:9008/udp');
      });
    }
  });

  test('no program of the host gets a datagram of a container, also while the shared table is gone', async () => {
    const addresses = ['192.0.2.2', '2001:db8:1::2', '10.215.0.0', 'fd62:6f78:6374:6c::'];
    const heard = lab.host.start([attacker('udp'), 'hear', '9009']);
    let text = '';
    heard.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const tries = [0, 7].flatMap((from) => addresses.map((to) => `/udp ask ${to} 9009 evil ${from} 2>&1`));
    // With one container that may reach the host, the gateway's address is one of the host's.
    await started('echo ready; sleep 100', { egress: ['host-gateway:1/udp'] }, async (_, first) => {
      expect(await withoutTable(tries.join('; '), { ports: ['9007:7/udp'] }, [first])).not.toContain('evil');
    });
    await lab.host.out(attacker('udp'), 'ask', '192.0.2.2', '9009', 'its-own');
    await vi.waitFor(() => expect(text).toBe('its-own\n'), 20_000);
    heard.kill();
  });

  test('a connection to the host is refused at once, and counted once', async () => {
    const { stdout, stderr } = await sh(
      ['192.0.2.2', '2001:db8:1::2'].map((address) => `time nc -w 5 ${address} 81 2>&1`).join('; ') + ' 2>&1',
    );
    expect(stdout.match(/refused$/gmu)).toHaveLength(2);
    // A kernel that has not understood the answer asks again after a second.
    expect(stdout.match(/real\s+0m 0\.\d+s/gu)).toHaveLength(2);
    expect(stderr).toContain('2 packets of the container were refused');
  });

  test('reaches the world by a VPN whose routes are in a table of their own, and leaves its interface as it was', async () => {
    await lab.router.shell(`ip link add to-vpn type veth peer name vpn0 netns ${lab.host.pid}
      ip addr add 192.168.77.1/24 dev to-vpn; ip link set to-vpn up`);
    await lab.host.shell(`ip addr add 192.168.77.2/32 dev vpn0; ip link set vpn0 up
      ip route add default via 192.168.77.1 dev vpn0 onlink table 77; ip rule add to ${WORLD.ipv4} table 77`);
    await lab.world.shell('ip route add 192.168.77.0/24 via 198.51.100.1');
    try {
      expect(await lab.host.get(`http://${WORLD.ipv4}/vpn`)).toContain('from 192.168.77.2');
      const { stdout } = await sh(get(WORLD.ipv4, '/vpn'));
      expect(stdout).toBe('from 192.168.77.2 /vpn\n');
      expect(await lab.host.out('cat', '/proc/sys/net/ipv4/conf/vpn0/forwarding')).toBe('0\n');
    } finally {
      await lab.host.shell(`ip rule del to ${WORLD.ipv4} table 77; ip link del vpn0`);
      await lab.world.shell('ip route del 192.168.77.0/24');
    }
  });

  test('reaches what egress names, and nothing else', async () => {
    const keys = { egress: [`${WORLD.ipv4}:80`, '203.0.113.0/24', `[${WORLD.ipv6}]:80/tcp`] };
    const { stdout } = await sh(
      [
        get(WORLD.ipv4, '/allowed'),
        get(WORLD.ipv6, '/allowed6'),
        get(SECOND.ipv4, '/second'),
        `nc -w 2 ${WORLD.ipv4} 443 </dev/null 2>&1`,
        `nc -w 2 ${SECOND.ipv6} 80 </dev/null 2>&1`,
        `/udp ask ${WORLD.ipv4} 7 x`,
        `/udp ask ${WORLD.ipv6} 7 x`,
      ].join('; '),
      keys,
    );
    expect(stdout.split('\n')).toEqual([
      'from 192.0.2.2 /allowed',
      'from 2001:db8:1::2 /allowed6',
      'from 192.0.2.2 /second',
      expect.stringMatching(/refused$/u),
      expect.stringMatching(/refused$/u),
      'No route to host',
      'Permission denied',
      '',
    ]);
  });

  test('reaches a link-local address that egress names; a wide entry opens neither others nor those of cloud credentials', async () => {
    const [named, other, cloud4, cloud6] = ['169.254.1.1', '169.254.169.254', '100.100.100.200', 'fd00:ec2::254'];
    const all = [named, other, cloud4, cloud6];
    await lab.router.shell(all.map((address) => `ip addr add ${address} dev lo`).join('\n'));
    await lab.router.shell('busybox httpd -p 86 -h /usr/share/doc/busybox-static');
    await lab.host.shell(`ip route add 169.254.0.0/16 via 192.0.2.1`);
    try {
      const ask = all.map((address) => `nc -w 2 ${address} 86 </dev/null >/dev/null 2>&1; echo $?`).join('; ');
      const { stdout: byList } = await sh(ask, { egress: [`${named}:86`, '*', '128.0.0.0/1'] });
      expect(byList.split('\n')).toEqual(['0', '1', '1', '1', '']);
      const { stdout: byDefault } = await sh(ask);
      expect(byDefault.split('\n')).toEqual(['1', '1', '1', '1', '']);
    } finally {
      await lab.router.shell(all.map((address) => `ip addr del ${address} dev lo`).join('\n'));
      await lab.host.shell('ip route del 169.254.0.0/16');
    }
  });

  test('answers at a published port although egress is `none`', async () => {
    await started(SERVER, { ports: ['8080:80', '9007:7/udp'], egress: ['none'] }, async () => {
      expect(await lab.world.get('http://192.0.2.2:8080/')).toBe('served\n');
      expect(await lab.world.out(attacker('udp'), 'ask', '192.0.2.2', '9007', 'hallo')).toBe('hallo\n');
    });
  });

  test('reaches the host’s port that `host-gateway` in egress names, by the address of its gateway', async () => {
    const { stdout } = await sh(
      `nc -w 2 10.215.0.0 82 </dev/null 2>&1 | head -n 1; ${get('10.215.0.0', '/copyright', 81)}`,
      {
        egress: ['host-gateway:81'],
      },
    );
    expect(stdout).toMatch(/Connection refused\n/u);
    expect(stdout.split('\n').length).toBeGreaterThan(1);
  });

  test('containers on one network reach each other by their addresses in it, and others do not reach them', async () => {
    const inner = { name: 'lab-inner', ipam: { config: [{ subnet: '10.77.0.0/24' }] } };
    const server = { networks: { inner: { ...inner, ipv4_address: '10.77.0.9', aliases: ['server'] } } };
    await started(SERVER, server, async (output) => {
      const six = / inet6 (fd62:6f78:6374:6d:\S+)\/128/u.exec(output())?.[1] ?? '';
      expect(six).not.toBe('');
      const script = [
        get('10.77.0.9', '/'),
        get(six, '/'),
        '/udp ask 10.77.0.9 7 by-udp',
        // The server's address of the pool is nobody's business.
        'nc -w 2 10.215.0.1 80 </dev/null 2>&1',
        'nc -w 2 10.77.0.77 80 </dev/null 2>&1',
        get(WORLD.ipv4, '/world'),
      ].join('; ');
      const friend = await sh(script, { networks: { mine: inner } });
      expect(friend.stderr).toMatch(/refused by the rules of its network, to 10\.215\.0\.\d+:80\/tcp\n$/u);
      const lines = friend.stdout.split('\n');
      expect(lines.slice(0, 3)).toEqual(['served', 'served', 'by-udp']);
      expect(lines[3]).toMatch(/refused$/u);
      expect(lines[4]).toMatch(/Connection refused$/u);
      expect(lines[5]).toBe('from 192.0.2.2 /world');
      // Also where `egress` is wide enough to have the addresses of networks in it.
      for (const egress of [undefined, ['10.0.0.0/8', '*:80']]) {
        const attempts = `nc -w 2 10.77.0.9 80 </dev/null 2>&1; nc -w 2 ${six} 80 </dev/null 2>&1; echo end`;
        const stranger = await sh(attempts, { egress });
        expect(stranger.stdout).toMatch(/refused\n.*refused\nend\n$/u);
        expect(stranger.stderr).toMatch(/ 2 packets of the container were refused .*\b10\.77\.0\.9:80\/tcp/u);
        expect(stranger.stderr).toContain(`[${six}]:80/tcp`);
      }
      const other = await sh('nc -w 2 10.77.0.9 80 </dev/null 2>&1; echo end', { networks: { other: {} } });
      expect(other.stdout).toMatch(/refused\nend\n$/u);
      const taken = await sh('true', { networks: { mine: { ...inner, ipv4_address: '10.77.0.9' } } });
      expect(taken.stderr).toMatch(/error: another container on mine has the address 10\.77\.0\.9/u);
    });
  });

  test('does not reach the world where it is on an internal network alone', async () => {
    const { stdout } = await sh(`nc -w 2 ${WORLD.ipv4} 80 </dev/null 2>&1; nc -w 2 ${WORLD.ipv6} 80 </dev/null 2>&1`, {
      networks: { closed: { internal: true } },
    });
    expect(stdout).toMatch(/refused\n.*refused\n$/u);
  });

  test('sends and receives no faster than its rates', async () => {
    const keys = { limits: { network: { egress: '20mbit', ingress: '40mbit' } } };
    const receive = `(printf 'GET /bytes/100000000 HTTP/1.0\\r\\n\\r\\n'; sleep 1) | nc ${WORLD.ipv4} 80 | wc -c`;
    // The world sends it back: as much arrives as was sent.
    const send = `(head -c 100000000 /dev/zero | nc ${WORLD.ipv4} 7 | wc -c) & sleep 1; killall nc; wait`;
    const { stdout } = await sh(`${receive}; ${send}`, keys);
    const [received, sent] = stdout.trim().split('\n').map(Number);
    // 5 MB and 2.5 MB a second, what may go at once, and what is on its way.
    for (const [bytes = 0, rate] of [
      [received, 5_000_000],
      [sent, 2_500_000],
    ] as const) {
      expect(bytes).toBeGreaterThan(rate / 4);
      expect(bytes).toBeLessThan(rate * 2.5);
    }
  });

  test('a port that another container has published is an error at its line', async () => {
    await started(SERVER, { ports: ['8080:80'] }, async () => {
      const { stderr, status } = await sh('true', { ports: ['8080:80'] });
      expect(status).toBe(125);
      expect(stderr).toMatch(/container\.yaml:\d+:\d+: error: the step port\.8080\.tcp4\.bind failed.*EADDRINUSE/u);
      expect(stderr).toContain('ss -Hlnpt');
    });
  });

  test('leaves no interface, rule or setting on the host', async () => {
    await sh('true', { ports: ['8080:80'] });
    const before = await settledState(lab.host);
    await sh('true', { ports: ['8080:80', '53:53/udp'] });
    expect(await settledState(lab.host)).toEqual(before);
  });
});
