/**
 * Containers with a network that are started from kept plans: addresses are claimed as by Node, and a plan is not used once something of
 * the host's network has changed that it was made from. In a lab of network namespaces.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Ended, RunOptions } from '../support/boxctl.ts';
import { until } from '../support/background.ts';
import { hasBusybox } from '../support/busybox.ts';
import { plain, project, shell, type Project } from '../support/front-project.ts';
import { FRONT, neededNode } from '../support/front.ts';
import { changesOf, inputsOf } from '../support/kept-record.ts';
import { runningBeside, settledState } from '../support/network-container.ts';
import { HOST, makeLab, UPLINK, whyNoLab, WORLD, type Lab } from '../support/network-lab.ts';
import { testUser, type TestUser } from '../support/user.ts';

const UP = ['up', '--quiet', '--allow', 'all'];
const WHY = whyNoLab() ?? (hasBusybox ? undefined : 'needs busybox-static');
/** Its addresses, and what the world answers. */
const LOOK = `ip -o addr show dev eth0 | sed 's/ *valid_lft.*//'; ip route; cat /etc/resolv.conf /etc/hosts; wget -qO- http://${WORLD.ipv4}/`;
const ADDRESS = String.raw`ip -o addr show dev eth0 | sed -n 's/.*inet \([0-9.]*\).*/\1/p'`;

const programs = ['slirp4netns', 'pasta'].filter((name) => existsSync(`/usr/bin/${name}`));

describe.skipIf(WHY !== undefined)(`a network from a kept plan (${WHY ?? 'in the lab'})`, () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await makeLab();
    // As udev makes it. This mount namespace is the lab's alone.
    await lab.host.shell('mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200');
    // Records that others leave would be swept first, by Node.
    await lab.host.shell('mkdir -p -m 700 /run/boxctl && mount -t tmpfs -o mode=700 tmpfs /run/boxctl');
    await lab.host.shell(`until curl -gs --noproxy '*' --max-time 1 http://${WORLD.ipv4}/ >&2; do sleep 0.05; done`);
  }, 120_000);
  afterAll(async () => lab.end());

  // For an ordinary user, programs are looked for by PATH: it stays the same where there shall be no Node.
  const off = ({ cwd = '' }: RunOptions): string => join(dirname(cwd), 'bin/off');
  const front = (words: readonly string[], options: RunOptions): Promise<Ended> => {
    rmSync(off(options), { force: true });
    return lab.host.run([FRONT, ...words], options);
  };
  const alone = (words: readonly string[], options: RunOptions): Promise<Ended> => {
    writeFileSync(off(options), '');
    return lab.host.run([FRONT, ...words], options);
  };
  const byNode = (words: readonly string[], options: RunOptions): Promise<Ended> => lab.host.boxctl(words, options);

  /** Starts it until no Node is needed; gives the last start. */
  async function warm(options: RunOptions, words = UP): Promise<Ended> {
    for (let attempt = 0; ; attempt++) {
      await front(words, options);
      await sleep(50);
      const ended = await alone(words, options);
      if (!neededNode(ended) || attempt === 7) return ended;
    }
  }
  const isKept = async ({ options }: Project, words = UP): Promise<boolean> => !neededNode(await alone(words, options));
  const bridged = (spec: Readonly<Record<string, unknown>> = {}, user?: TestUser): Project => {
    const made = project({ network_mode: 'bridge', ...spec }, user);
    const bin = join(dirname(made.folder), 'bin');
    mkdirSync(bin, { mode: 0o755 });
    const script = `#!/bin/sh\n[ ! -e '${bin}/off' ] || { echo 'PATH has no \`node\`' >&2; exit 125; }\nexec '${process.execPath}' "$@"\n`;
    writeFileSync(join(bin, 'node'), script, { mode: 0o755 });
    const env = { ...made.options.env, PATH: `${bin}:/usr/bin:/bin` };
    return { ...made, options: { ...made.options, env } };
  };
  /** A path of the lab's host as this process has it. */
  const seen = (path: string): string => `/proc/${lab.host.pid}/root${path}`;
  const claimsFolder = async (): Promise<string> =>
    `/run/boxctl/network/${(await lab.host.out('stat', '-Lc', '%i', '/proc/self/ns/net')).trim()}/addresses`;
  const heldClaims = async (): Promise<readonly string[]> => {
    const folder = await claimsFolder();
    const held = await lab.host.out(
      'sh',
      '-c',
      `cd ${folder} && for f in [0-9]*; do [ ! -e "$f" ] || flock -n "$f" true || echo "$f"; done`,
    );
    return held.split('\n').filter(Boolean);
  };
  /** The same text whichever number the container has. */
  const withoutNumber = (text: string): string =>
    text
      .replaceAll(/^100\d{4}:/gmu, 'N:')
      .replaceAll(/\b10\.215\.(?!0\.0\b)\d+\.\d+\b/gu, '10.215.N')
      .replaceAll(/\bfd62:6f78:6374:6c::[0-9a-f]+/gu, 'fd62::N');

  describe.each([
    ['root', undefined, undefined],
    ...(testUser === undefined ? [] : programs.map((program) => [`a user, by ${program}`, testUser, program] as const)),
  ] as const)('of %s', (_, user, program) => {
    const options = (made: Project): RunOptions => made.options;
    const onlyProgram = async (): Promise<void> => {
      if (program === undefined) return;
      // In place of the other program: a file that cannot be executed is none that is found.
      const nothing = (await lab.host.out('mktemp')).trim();
      for (const other of programs.filter((one) => one !== program)) {
        await lab.host.shell(`mount --bind ${nothing} $(readlink -f /usr/bin/${other})`);
        onTestFinished(async () => void (await lab.host.shell(`umount $(readlink -f /usr/bin/${other})`)));
      }
    };

    test('is that of a start by Node', async () => {
      await onlyProgram();
      const made = bridged(shell(LOOK), user);
      const kept = await warm(options(made));
      expect(kept).toMatchObject({ status: 0, stderr: '' });
      expect(kept.stdout).toContain('inet6');
      const fresh = await byNode(UP, options(made));
      expect(withoutNumber(kept.stdout)).toBe(withoutNumber(fresh.stdout));
    }, 120_000);

    test('depends on all of its record', async () => {
      await onlyProgram();
      const made = bridged({}, user);
      expect(plain(await warm(options(made)))).toEqual({ status: 0, stdout: '', stderr: '' });
      const folder = join(made.options.env?.['BOXCTL_STORE'] ?? '', 'plans');
      const [name = ''] = readdirSync(folder).toSorted();
      const file = join(folder, name);
      const bytes = readFileSync(file);
      const of = inputsOf(bytes).filter(({ kind }) => kind === 'table' || kind === 'setting' || kind === 'addresses');
      expect(new Set(of.map(({ kind }) => kind))).toEqual(
        new Set(['table', 'addresses', ...(user === undefined ? ['setting'] : [])]),
      );
      const used: string[] = [];
      for (const input of of) {
        for (const [what, changed] of changesOf(bytes, input)) {
          writeFileSync(file, changed);
          if (await isKept(made)) used.push(`${input.kind} ${input.name}: ${what}`);
        }
      }
      expect(used).toEqual([]);
      writeFileSync(file, bytes);
      expect(await isKept(made)).toBe(true);
    }, 120_000);

    test.each([
      ['an address', `ip addr add 192.0.2.77/32 dev ${UPLINK}`, `ip addr del 192.0.2.77/32 dev ${UPLINK}`],
      [
        'an IPv6 address',
        `ip addr add 2001:db8:1::77/128 dev ${UPLINK} nodad`,
        `ip addr del 2001:db8:1::77/128 dev ${UPLINK}`,
      ],
      ['a route', 'ip route add 10.7.0.0/16 via 192.0.2.1', 'ip route del 10.7.0.0/16'],
      ['an IPv6 route', 'ip route add 2001:db8:77::/64 via 2001:db8:1::1', 'ip route del 2001:db8:77::/64'],
      ['the metric of a default route', 'ip route add default via 192.0.2.1 metric 7', 'ip route del default metric 7'],
      [
        'an interface',
        'ip link add extra0 type veth peer name extra1 && ip addr add 10.9.9.9/32 dev extra0 && ip link set extra1 up && ip link set extra0 up',
        'ip link del extra0',
      ],
      [
        'forwarding',
        `echo 1 > /proc/sys/net/ipv4/conf/${UPLINK}/forwarding`,
        `echo 0 > /proc/sys/net/ipv4/conf/${UPLINK}/forwarding`,
      ],
      [
        'IPv6 forwarding',
        'echo 1 > /proc/sys/net/ipv6/conf/all/forwarding',
        'echo 0 > /proc/sys/net/ipv6/conf/all/forwarding',
      ],
      [
        'IPv6',
        'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6',
        'echo 0 > /proc/sys/net/ipv6/conf/default/disable_ipv6',
      ],
    ])(
      'is planned anew after a change of %s',
      async (__, change, back) => {
        await onlyProgram();
        const made = bridged({}, user);
        expect(neededNode(await warm(options(made)))).toBe(false);
        await lab.host.shell(change);
        try {
          // The host forwards packets of root's containers alone.
          expect(await isKept(made)).toBe(user !== undefined && change.includes('/ipv4/'));
        } finally {
          await lab.host.shell(back);
        }
        expect(await isKept(made)).toBe(true);
      },
      120_000,
    );

    test('is planned anew with other name servers, and with another pool', async () => {
      await onlyProgram();
      const made = bridged({}, user);
      expect(neededNode(await warm(options(made)))).toBe(false);
      await lab.host.shell('mount --bind /dev/null /etc/resolv.conf');
      expect(await isKept(made)).toBe(false);
      await lab.host.shell('umount /etc/resolv.conf');
      expect(await isKept(made)).toBe(true);
      await lab.host
        .shell(`mkdir -p /tmp/nk-etc && mount -t tmpfs none /tmp/nk-etc && mkdir /tmp/nk-etc/up /tmp/nk-etc/work /tmp/nk-etc/up/boxctl &&
        printf 'pool: {ipv4: 10.98.0.0/20}\\n' > /tmp/nk-etc/up/boxctl/network.yaml &&
        mount -t overlay none -o lowerdir=/etc,upperdir=/tmp/nk-etc/up,workdir=/tmp/nk-etc/work /etc`);
      onTestFinished(async () => void (await lab.host.shell('umount /etc; umount /tmp/nk-etc; rmdir /tmp/nk-etc')));
      expect(await isKept(made)).toBe(false);
    }, 120_000);

    test('tells of refused packets as Node does', async () => {
      await onlyProgram();
      const made = bridged(shell(`nc -w 2 ${HOST.ipv4} 9 </dev/null; exit 3`), user);
      const fresh = await byNode(UP, options(made));
      expect(fresh.stderr).toContain('refused');
      await front(UP, options(made));
      await front(UP, options(made));
      // What has to be said is said by Node, also of a start without it.
      const last = await front(UP, options(made));
      expect(plain(last)).toEqual(plain(fresh));
      expect(await isKept(made)).toBe(false);
    }, 120_000);

    test('has fixed ports, and a port that is in use is told at its line', async () => {
      await onlyProgram();
      const made = bridged({ ...shell('sleep 1'), ports: ['127.0.0.1:18080:80'] }, user);
      expect(plain(await warm(options(made)))).toEqual({ status: 0, stdout: '', stderr: '' });
      const listener = lab.host.start([
        '/usr/bin/env',
        'python3',
        '-c',
        "import socket,time; s=socket.socket(); s.setsockopt(1,2,1); s.bind(('127.0.0.1',18080)); s.listen(); print('ready',flush=True); time.sleep(60)",
      ]);
      onTestFinished(() => void listener.kill('SIGKILL'));
      await new Promise((resolve) => listener.stdout?.once('data', resolve));
      const taken = await front(UP, options(made));
      expect(taken.status).toBe(125);
      expect(taken.stderr).toMatch(/container\.yaml:\d+:\d+: error: .*18080/u);
      expect(taken.stderr).toBe((await byNode(UP, options(made))).stderr);
    }, 120_000);

    test('is by Node where a port is chosen, and where `egress` has names', async () => {
      await onlyProgram();
      for (const spec of [{ ports: ['127.0.0.1:0:80'] }, { egress: ['localhost:80'] }]) {
        const made = bridged(spec, user);
        await front(UP, options(made));
        await front(UP, options(made));
        await front(UP, options(made));
        expect(await isKept(made)).toBe(false);
      }
    }, 120_000);

    // Root's network needs no program.
    if (program !== undefined)
      test('tells of its program that has ended, and not of the file, which has changed since or is wrong by now', async () => {
        await onlyProgram();
        const made = bridged({ stdin_open: true, ...shell('echo ready; cat; exit 3') }, user);
        const file = join(made.folder, 'container.yaml');
        const text = readFileSync(file, 'utf8');
        for (const change of ['environment: {A: b}\n', 'nonsense: 1\n']) {
          writeFileSync(file, text);
          expect(plain(await warm(options(made)))).toEqual({ status: 3, stdout: 'ready\n', stderr: '' });
          const said = { stdout: '', stderr: '' };
          let end: (input: string) => void = () => undefined;
          const ended = front(UP, {
            ...options(made),
            stdin: new Promise((resolve) => (end = resolve)),
            onStart: ({ stdout, stderr }) => {
              stdout?.on('data', (chunk) => (said.stdout += String(chunk)));
              stderr?.on('data', (chunk) => (said.stderr += String(chunk)));
            },
          });
          await until(() => said.stdout === 'ready\n' || undefined);
          writeFileSync(file, `${text}${change}`);
          for (const pid of runningBeside(lab.host.pid)) process.kill(pid, 'SIGKILL');
          await until(() => said.stderr !== '' || undefined);
          end('');
          const { status, stderr } = await ended;
          expect(status).toBe(3);
          expect(stderr).toMatch(
            /^boxctl: the program that carries the container’s packets has ended \(signal 9\), and the container’s network with it(?:; it said: .*)?\n$/u,
          );
        }
      }, 120_000);

    test('is there in the background, too, and at the end nothing of it is left', async () => {
      await onlyProgram();
      const name = `front-net-${process.pid}`;
      const made = bridged({ name, ...shell(`${ADDRESS}; exec sleep 60`) }, user);
      const words = ['up', '--detach', '--allow', 'all'];
      const remove = async (): Promise<void> => void (await byNode(['rm', '--force', name], options(made)));
      onTestFinished(remove);
      let started = await front(words, options(made));
      for (let attempt = 0; attempt < 8; attempt++) {
        await remove();
        started = await alone(words, options(made));
        if (!neededNode(started)) break;
        await front(words, options(made));
        await sleep(50);
      }
      expect(plain(started)).toEqual({ status: 0, stdout: `${name}\n`, stderr: '' });
      const log = await until(async () => (await byNode(['logs', name], options(made))).stdout.trim() || undefined);
      const { stdout } = await byNode(['inspect', name], options(made));
      expect(stdout).toContain(log);
      const [, , high, low] = log.split('.').map(Number);
      if (user === undefined) expect(await heldClaims()).toEqual([String((high ?? 0) * 256 + (low ?? 0))]);
      await remove();
      if (user === undefined) expect(await heldClaims()).toEqual([]);
    }, 120_000);
  });

  test.skipIf(testUser === undefined || programs.length === 0)(
    'of a user stays as it is while containers of root come and go',
    async () => {
      const made = bridged({}, testUser);
      expect(neededNode(await warm(made.options))).toBe(false);
      const name = `front-root-${process.pid}`;
      const other = bridged({ name, ...shell('exec sleep 60') });
      onTestFinished(async () => void (await byNode(['rm', '--force', name], other.options)));
      expect(await byNode(['up', '--detach', '--allow', 'all'], other.options)).toMatchObject({ status: 0 });
      expect(await lab.host.out('cat', '/proc/net/fib_trie')).toMatch(/10\.215\.\d+\.[1-9]/u);
      expect(await isKept(made)).toBe(true);
    },
    120_000,
  );

  test('has its caller’s limit of open files whenever it is started again, although the relay of its port has raised that of the launcher', async () => {
    const name = `front-files-${process.pid}`;
    const keys = { name, ports: ['127.0.0.1:18081:80'], restart: 'on-failure' };
    const made = bridged({ ...keys, ...shell('ulimit -n; exit 1') });
    onTestFinished(async () => void (await byNode(['rm', '--force', name], made.options)));
    const words = ['prlimit', '--nofile=100:4096', FRONT, 'up', '--detach', '--allow', 'all'];
    expect(await lab.host.run(words, made.options)).toMatchObject({ status: 0, stdout: `${name}\n` });
    const limits = async (): Promise<readonly string[]> =>
      (await byNode(['logs', name], made.options)).stdout.trim().split('\n');
    const found = await until(async () => {
      const all = await limits();
      return all.length > 1 ? all : undefined;
    });
    expect(new Set(found)).toEqual(new Set(['100']));
  }, 120_000);

  test('puts the value of a variable into it, and asks at a terminal as without a network', async () => {
    const made = bridged({ environment: ['A'], ...shell('echo "$A"; tty; ip -o addr show dev eth0 | wc -l') });
    const options = { ...made.options, env: { ...made.options.env, A: 'one' } };
    expect(await warm(options)).toMatchObject({ status: 0, stdout: 'one\nnot a tty\n2\n' });
    const other = await alone(UP, { ...options, env: { ...options.env, A: 'two' } });
    expect(other).toMatchObject({ status: 0, stdout: 'two\nnot a tty\n2\n' });
  }, 120_000);

  /** One that tells its address, and holds it until `end` is there. */
  const holding = (): { readonly made: Project; readonly end: string } => {
    const made = bridged({ volumes: ['./:/w:ro'], ...shell(`${ADDRESS}; until [ -e /w/end ]; do sleep 0.05; done`) });
    return { made, end: join(made.folder, 'end') };
  };

  test('has in its record the addresses that it has, whichever number is free', async () => {
    const { made, end } = holding();
    writeFileSync(end, '');
    expect(neededNode(await warm(made.options))).toBe(false);
    rmSync(end);
    const both = [alone(UP, made.options), alone(UP, made.options)];
    const folder = seen('/run/boxctl/foreground');
    const recorded = (): readonly string[] =>
      readdirSync(folder).flatMap((id) => {
        const text = readFileSync(join(folder, id, 'container.json'), 'utf8');
        return text.includes(made.folder) ? [/"ipv4":"([^"]*)"/u.exec(text)?.[1] ?? ''] : [];
      });
    const found = await until(() => {
      try {
        return recorded().length === 2 ? recorded() : undefined;
      } catch {
        return undefined;
      }
    });
    writeFileSync(end, '');
    const ended = await Promise.all(both);
    expect(ended.map(({ status, stderr }) => ({ status, stderr }))).toEqual(
      [0, 0].map((status) => ({ status, stderr: '' })),
    );
    expect(found.toSorted()).toEqual(ended.map(({ stdout }) => stdout.trim()).toSorted());
  }, 120_000);

  test('has another address each, however many start at once, and none when they have ended', async () => {
    const { made, end } = holding();
    writeFileSync(end, '');
    expect(neededNode(await warm(made.options))).toBe(false);
    expect(await heldClaims()).toEqual([]);
    rmSync(end);
    const all = Array.from({ length: 10 }, () => front(UP, made.options));
    await Promise.race([Promise.all(all), until(async () => ((await heldClaims()).length === 10 ? true : undefined))]);
    writeFileSync(end, '');
    const ended = await Promise.all(all);
    expect(ended.map(({ status, stderr }) => ({ status, stderr }))).toEqual(
      ended.map(() => ({ status: 0, stderr: '' })),
    );
    expect(new Set(ended.map(({ stdout }) => stdout)).size).toBe(10);
    await until(async () => ((await heldClaims()).length === 0 ? true : undefined));
  }, 120_000);

  test('needs no Node while earlier containers of the file run, or have just ended', async () => {
    const made = bridged(shell(`${ADDRESS}; sleep 1`));
    const quick = bridged();
    expect(neededNode(await warm(made.options))).toBe(false);
    expect(neededNode(await warm(quick.options))).toBe(false);
    await sleep(300);
    const both = await Promise.all([alone(UP, made.options), alone(UP, made.options)]);
    expect(both.map(({ status, stderr }) => ({ status, stderr }))).toEqual(both.map(() => ({ status: 0, stderr: '' })));
    expect(new Set(both.map(({ stdout }) => stdout)).size).toBe(2);
    for (let start = 0; start < 6; start++) expect(await isKept(quick)).toBe(true);
  }, 120_000);

  test('leaves no claim where launcher or boxctl is killed', async () => {
    const made = bridged(shell('echo ready; sleep 60'));
    const still = bridged();
    expect(neededNode(await warm(still.options))).toBe(false);
    const state = await settledState(lab.host);
    // Its plan is kept by a start that is ended at once.
    for (const victim of ['boxctl', 'boxctl-launcher']) {
      for (let start = 0; start < 3; start++) {
        const child = lab.host.start([
          'sh',
          '-c',
          `cd ${made.folder} && exec env BOXCTL_STORE=${made.options.env?.['BOXCTL_STORE']} XDG_CONFIG_HOME=/nowhere ${FRONT} ${UP.join(' ')}`,
        ]);
        const ended = new Promise((resolve) => void child.once('exit', resolve));
        await new Promise((resolve) => child.stdout?.once('data', resolve));
        expect((await heldClaims()).length).toBe(1);
        const pid = child.pid ?? 0;
        const launcher = (await lab.host.out('sh', '-c', `cat /proc/${pid}/task/${pid}/children`)).trim().split(' ')[0];
        process.kill(victim === 'boxctl' ? pid : Number(launcher), 'SIGKILL');
        await ended;
        await until(async () => ((await heldClaims()).length === 0 ? true : undefined));
      }
    }
    // The next start sweeps.
    await front(UP, still.options);
    expect(await settledState(lab.host)).toEqual(state);
    expect(readdirSync(seen(await claimsFolder()))).toEqual([]);
  }, 120_000);

  describe('on networks that containers share', () => {
    const on = (network: string, name: string): Readonly<Record<string, unknown>> => ({
      name,
      networks: { [network]: { name: network } },
    });
    const name = (of: string): string => `front-nets-${of}-${process.pid}`;
    const running = async (network: string, of: string): Promise<Project> => {
      const made = bridged({ ...on(network, name(of)), ...shell('exec sleep 60') });
      expect(await byNode(['up', '--detach', '--allow', 'all'], made.options)).toMatchObject({ status: 0 });
      onTestFinished(async () => void (await byNode(['rm', '--force', name(of)], made.options)));
      return made;
    };
    const remove = async ({ options }: Project, of: string): Promise<void> =>
      void (await byNode(['rm', '--force', name(of)], options));
    const ADDRESSES = String.raw`ip -o -4 addr show dev eth0 | sed -n 's/.*inet \([0-9.]*\).*/\1/p' | tail -n +2`;

    test('no address is given twice, and others are found by name', async () => {
      const network = `shared-${process.pid}`;
      const one = bridged({
        ...on(network, name('one')),
        ...shell(`${ADDRESSES}; grep -c ${name('other')} /etc/hosts; exit 0`),
      });
      const first = await warm(one.options);
      expect(first).toMatchObject({ status: 0, stdout: expect.stringMatching(/^10\.215\.\d+\.2\n0\n$/u) as string });
      // It has the address that the kept plan of the first has, which is free at that time.
      const other = await running(network, 'other');
      expect(await isKept(one)).toBe(false);
      const beside = await front(UP, one.options);
      expect(beside).toMatchObject({ status: 0, stdout: expect.stringMatching(/^10\.215\.\d+\.3\n2\n$/u) as string });
      const kept = await warm(one.options);
      expect(kept).toMatchObject({ status: 0, stdout: beside.stdout });
      await remove(other, 'other');
    }, 120_000);

    test('no subnet is that of another network', async () => {
      const one = bridged({ ...on(`mine-${process.pid}`, name('one')), ...shell(ADDRESSES) });
      const first = await warm(one.options);
      expect(neededNode(first)).toBe(false);
      // The first subnet is free while nobody is on a network.
      await running(`theirs-${process.pid}`, 'other');
      expect(await isKept(one)).toBe(false);
      const beside = await warm(one.options);
      expect(beside).toMatchObject({ status: 0, stderr: '' });
      expect(beside.stdout).not.toBe(first.stdout);
    }, 120_000);

    test('an address that the file chooses is an error while another has it', async () => {
      const network = `chosen-${process.pid}`;
      const spec = (of: string, address: string) => ({
        name: name(of),
        networks: {
          [network]: { name: network, ipv4_address: address, ipam: { config: [{ subnet: '172.30.7.0/24' }] } },
        },
      });
      const one = bridged(spec('one', '172.30.7.9'));
      expect(neededNode(await warm(one.options))).toBe(false);
      const other = bridged({ ...spec('other', '172.30.7.9'), ...shell('exec sleep 60') });
      expect(await byNode(['up', '--detach', '--allow', 'all'], other.options)).toMatchObject({ status: 0 });
      onTestFinished(async () => void (await byNode(['rm', '--force', name('other')], other.options)));
      const refused = await front(UP, one.options);
      expect(refused).toMatchObject({ status: 125, stderr: expect.stringContaining('172.30.7.9') as string });
    }, 120_000);
  });
});
