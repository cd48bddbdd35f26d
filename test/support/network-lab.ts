/**
 * A small internet of network namespaces. Nothing in it is connected to the machine that the test runs on.
 *
 *   host (boxctl runs here) ── router ──┬── world: servers, a resolver
 *                                       └── second: another machine
 *
 * Each namespace is held by a process that ends when the test's process does, whatever ends that.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PROGRAM, run, type Ended, type RunOptions } from './boxctl.ts';
import { isRoot, asUser, userEnvironment } from './user.ts';

const execute = promisify(execFile);

/** Why there is no lab on this machine; undefined where there is one. */
export function whyNoLab(): string | undefined {
  if (!isRoot) return 'needs root';
  for (const program of ['/usr/sbin/ip', '/usr/bin/nsenter', '/usr/bin/unshare']) {
    if (!existsSync(program)) return `needs ${program}`;
  }
  return undefined;
}

export interface Addresses {
  readonly ipv4: string;
  readonly ipv6: string;
}

/** What the servers of a place do: see network-servers.mjs. */
export interface Request {
  readonly protocol: string;
  readonly port: number;
  readonly from: string;
  readonly text?: string;
}

/** One machine of the lab. */
export class Place {
  readonly #process: ChildProcess;
  #servers: ChildProcess | undefined;
  /** What the servers have said and `requests` has not read yet. */
  #said = '';
  readonly #requests: Request[] = [];

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  static async make(): Promise<Place> {
    // cat ends with its standard input, which the test's process holds.
    const script =
      'mount --make-rprivate / && mount -t sysfs sysfs /sys && ip link set lo up && echo ready && exec cat';
    const child = spawn('unshare', ['--net', '--mount', '--', 'sh', '-c', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const place = new Place(child);
    await new Promise<void>((resolve, reject) => {
      child.stdout?.once('data', () => resolve());
      child.once('exit', (status) => reject(new Error(`a namespace could not be made: ${status}`)));
    });
    child.stdout?.removeAllListeners();
    return place;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  #entered(command: readonly string[], cwd: string): readonly string[] {
    const enter = ['nsenter', `--target=${this.pid}`, '--net', '--mount', '--'];
    return [...enter, 'sh', '-c', 'cd "$0" && exec "$@"', cwd, ...command];
  }

  /** Runs a command here, as root or as the user of the options. */
  run(command: readonly string[], { user, ...options }: RunOptions = {}): Promise<Ended> {
    const { cwd = '/' } = options;
    if (user === undefined) return run(this.#entered(command, cwd), options);
    const env = { ...userEnvironment(user), ...options.env };
    return run(this.#entered(asUser(user, command), cwd), { ...options, env });
  }

  boxctl(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    return this.run([process.execPath, PROGRAM, ...args], options);
  }

  /** What the command prints. Throws where it fails. */
  async out(...command: readonly string[]): Promise<string> {
    const { stdout, stderr, status, signal } = await this.run(command);
    if (status !== 0) throw new Error(`${command.join(' ')}: status ${status}, ${signal}: ${stdout}${stderr}`);
    return stdout;
  }

  /** The body that a URL is answered with. */
  get(url: string): Promise<string> {
    return this.out('curl', '--noproxy', '*', '-gsS', '--max-time', '5', url);
  }

  /** Several commands of the shell, of which none may fail. */
  async shell(script: string): Promise<string> {
    return this.out('sh', '-ec', script);
  }

  /** Starts a process that lives as long as the test's does, or until `end`. */
  start(command: readonly string[]): ChildProcess {
    const [program = '', ...args] = this.#entered(command, '/');
    return spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  }

  /** TCP and UDP servers on these ports of all addresses (network-servers.mjs). Resolves when they listen. */
  async serve(config: object): Promise<void> {
    const script = join(import.meta.dirname, 'network-servers.mjs');
    const servers = this.start([process.execPath, script, JSON.stringify(config)]);
    this.#servers = servers;
    await new Promise<void>((resolve, reject) => {
      servers.once('exit', (status) => reject(new Error(`servers ended: ${status}`)));
      // They tell of each datagram of a flood: what was said is not looked through once they are ready.
      let isReady = false;
      servers.stdout?.on('data', (chunk: Buffer) => {
        this.#said += chunk.toString();
        if (isReady || !this.#said.includes('ready\n')) return;
        isReady = true;
        resolve();
      });
    });
  }

  /** What has reached the servers so far. */
  get requests(): readonly Request[] {
    const lines = this.#said.split('\n');
    // The last line may not be complete yet.
    this.#said = lines.pop() ?? '';
    for (const line of lines) if (line.startsWith('{')) this.#requests.push(JSON.parse(line) as Request);
    return [...this.#requests];
  }

  /** Servers that a test has started there go on in the background (busybox httpd). */
  #endPrograms(): void {
    const namespace = (pid: string | number | undefined): string | undefined => {
      try {
        return readlinkSync(`/proc/${pid}/ns/net`);
      } catch {
        return undefined;
      }
    };
    const own = namespace(this.#process.pid);
    const kept = new Set([this.#process.pid, this.#servers?.pid].map(String));
    for (const pid of readdirSync('/proc')) {
      if (!/^\d+$/u.test(pid) || kept.has(pid) || own === undefined || namespace(pid) !== own) continue;
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // It has ended.
      }
    }
  }

  async end(): Promise<void> {
    this.#endPrograms();
    for (const child of [this.#servers, this.#process]) {
      if (child === undefined || child.exitCode !== null) continue;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.stdin?.end();
      await ended;
    }
  }
}

export interface Lab {
  readonly host: Place;
  readonly router: Place;
  readonly world: Place;
  readonly second: Place;
  end(): Promise<void>;
}

/** The addresses of the lab: of RFC 5737 and RFC 3849, which lead nowhere outside. */
export const HOST: Addresses = { ipv4: '192.0.2.2', ipv6: '2001:db8:1::2' };
/** The router, as the host's neighbour. */
export const ROUTER: Addresses = { ipv4: '192.0.2.1', ipv6: '2001:db8:1::1' };
export const WORLD: Addresses = { ipv4: '198.51.100.10', ipv6: '2001:db8:2::10' };
export const SECOND: Addresses = { ipv4: '203.0.113.10', ipv6: '2001:db8:3::10' };
/** Names that the world's resolver knows. */
export const NAMES: Readonly<Record<string, Addresses>> = { 'world.test': WORLD, 'second.test': SECOND };
/** The host's interface on the way out. */
export const UPLINK = 'up0';

export interface LabOptions {
  /** Largest packet between router and world. */
  readonly mtu?: number;
}

async function connect(one: Place, name: string, other: Place, otherName: string): Promise<void> {
  const enter = ['--target', String(one.pid), '--net', '--'];
  const peer = ['peer', 'name', otherName, 'netns', String(other.pid)];
  await execute('nsenter', [...enter, 'ip', 'link', 'add', name, 'type', 'veth', ...peer]);
}

const configure = (place: Place, device: string, { ipv4, ipv6 }: Addresses, mtu?: number): Promise<string> =>
  place.shell(`ip addr add ${ipv4}/24 dev ${device}
    ip addr add ${ipv6}/64 dev ${device} nodad
    ip link set ${device} ${mtu === undefined ? '' : `mtu ${mtu}`} up`);

const routeBy = (place: Place, { ipv4, ipv6 }: Addresses): Promise<string> =>
  place.shell(`ip route add default via ${ipv4}; ip route add default via ${ipv6}`);

/** Makes the lab. `end` removes it. To be called in beforeAll, since it takes a second. */
export async function makeLab({ mtu }: LabOptions = {}): Promise<Lab> {
  const [host, router, world, second] = await Promise.all([Place.make(), Place.make(), Place.make(), Place.make()]);
  const places = [host, router, world, second];
  const end = async (): Promise<void> => {
    await Promise.all(places.map((place) => place.end()));
  };
  try {
    await Promise.all([
      connect(host, UPLINK, router, 'to-host'),
      connect(router, 'to-world', world, 'eth0'),
      connect(router, 'to-second', second, 'eth0'),
    ]);
    await router.shell('echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding');
    const toWorld = { ipv4: '198.51.100.1', ipv6: '2001:db8:2::1' };
    const toSecond = { ipv4: '203.0.113.1', ipv6: '2001:db8:3::1' };
    await Promise.all([
      configure(host, UPLINK, HOST),
      configure(router, 'to-host', ROUTER),
      configure(router, 'to-world', toWorld, mtu),
      configure(router, 'to-second', toSecond),
      configure(world, 'eth0', WORLD, mtu),
      configure(second, 'eth0', SECOND),
    ]);
    await Promise.all([routeBy(host, ROUTER), routeBy(world, toWorld), routeBy(second, toSecond)]);
    // The kernel tells of a carrier, and gives itself an address, a moment later.
    await host.shell(`until ip -6 addr show dev ${UPLINK} scope link | grep -q fe80 &&
      ! ip -6 addr show dev ${UPLINK} | grep -q tentative && ! ip link show ${UPLINK} | grep -q NO-CARRIER; do sleep 0.05; done`);
    await Promise.all([
      world.serve({ http: [80, 443], echo: [7], dns: { port: 53, names: NAMES } }),
      second.serve({ http: [80], echo: [7] }),
    ]);
    return { host, router, world, second, end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** What of a network is there in a place: interfaces, addresses, rules, routes, tables, listening sockets. */
export async function networkState(place: Place): Promise<object> {
  const text = (...command: readonly string[]): Promise<string> => place.out(...command);
  const [links, addresses, routes, routes6, rules, rules6, neighbours, sockets] = await Promise.all([
    text('ip', '-o', 'link'),
    text('ip', '-o', 'addr'),
    text('ip', 'route', 'show', 'table', 'all'),
    text('ip', '-6', 'route', 'show', 'table', 'all'),
    text('ip', 'rule'),
    text('ip', '-6', 'rule'),
    text('ip', 'neigh', 'show', 'nud', 'permanent'),
    text('ss', '-Htuln'),
  ]);
  const tables = existsSync('/usr/sbin/nft') ? await text('nft', 'list', 'tables') : '';
  // What the kernel changes by itself is left out: it counts down, and tells of a carrier a second late or more. With a
  // carrier comes a route for multicast packets.
  const still = (lines: string): string =>
    lines.replaceAll(
      / expires \d+sec| linkdown\b|^multicast ff00::\/8 dev boxctl\d+ table local proto kernel .*\n/gmu,
      '',
    );
  return {
    links: links.split('\n').map((line) => line.replace('NO-CARRIER,', '').replace(/ state .*/u, '')),
    addresses: still(addresses),
    routes: still(routes),
    routes6: still(routes6),
    rules,
    rules6,
    neighbours,
    sockets,
    tables,
  };
}
