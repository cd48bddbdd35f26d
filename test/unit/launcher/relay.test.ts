/** The launcher's relay of connections and datagrams, as a program of its own (relay-main.cc) with the sanitizers. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { asUser, isRoot, testUser } from '../../support/user.ts';
import { sanitized } from '../image/worker.ts';

const NATIVE = join(import.meta.dirname, '../../../native/launcher');
const SOURCES = [
  'network_relay',
  'relay_tcp',
  'relay_udp',
  'network_namespaces',
  'socket_opener',
  'socket_address',
  'events',
  'open_files',
  'poller',
  'sockets',
];
// Before the tests begin, whose time is limited.
const program = sanitized(
  join(import.meta.dirname, 'relay-main.cc'),
  SOURCES.map((name) => join(NATIVE, `${name}.cc`)),
);

interface Where {
  readonly type?: 'tcp' | 'udp';
  readonly at?: string;
  /** Ports of 127.0.0.1, or whole addresses. */
  readonly to: readonly (number | string)[];
  readonly most?: number;
  readonly idle?: number;
}
interface Relay {
  readonly ports: readonly number[];
  /** Ends it: the descriptors that were open at the end. */
  end(): Promise<number>;
}
/** What it has open without any connection, besides one for each socket that it listens at. */
const OWN_DESCRIPTORS = 2;

const open: { close(): unknown }[] = [];
afterEach(() => {
  for (const thing of open.splice(0)) thing.close();
});

interface Surroundings {
  readonly descriptors?: number;
  readonly network?: string;
  /** The command that it is run by. */
  readonly by?: readonly string[];
  readonly stops?: boolean;
}
async function relay(...all: readonly (Where | Surroundings)[]): Promise<Relay> {
  const {
    descriptors: most,
    network = '-',
    by = [],
    stops = false,
  } = (all.find((each) => !('to' in each)) ?? {}) as Surroundings;
  const limit = most === undefined ? '' : `ulimit -n ${most};`;
  const wheres = all.flatMap((each) => ('to' in each ? [each] : []));
  const words = wheres.map(({ type = 'tcp', at = '127.0.0.1:1', to, ...limits }) => {
    const targets = to.map((target) => (typeof target === 'number' ? `127.0.0.1:${target}` : target));
    return [type, at, targets.join('+'), limits.most ?? 0, limits.idle ?? 0].join(',');
  });
  const script = `${limit} ${stops ? 'STOP=1' : ''} exec "$@"`;
  const child = spawn('sh', ['-c', script, 'sh', ...by, program, network, ...words], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let complaint = '';
  child.stderr.on('data', (text) => (complaint += String(text)));
  open.push({ close: () => child.kill('SIGKILL') });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ports: number[] = [];
  for (const _ of wheres) ports.push(Number((await lines.next()).value));
  const end = async (): Promise<number> => {
    child.stdin.end();
    const descriptors = Number((await lines.next()).value);
    if (child.exitCode === null) await once(child, 'exit');
    expect(complaint).toBe('');
    return descriptors;
  };
  return { ports, end };
}

async function serve(handle: (socket: Socket) => void, host = '127.0.0.1'): Promise<{ port: number; server: Server }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    open.push({ close: () => socket.destroy() });
    handle(socket);
  });
  server.listen(0, host);
  await once(server, 'listening');
  open.push(server);
  return { port: (server.address() as AddressInfo).port, server };
}
const echo = (host?: string) => serve((socket) => socket.pipe(socket), host);

async function dial(port = 0, host = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ port, host, allowHalfOpen: true });
  socket.on('error', () => {});
  open.push({ close: () => socket.destroy() });
  await once(socket, 'connect');
  return socket;
}
async function readAll(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  // An iterator would close the other way, too.
  socket.on('data', (part) => parts.push(part as Buffer));
  await once(socket, 'end');
  return Buffer.concat(parts);
}
async function ask(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  const [answer] = (await once(socket, 'data')) as [Buffer];
  return String(answer);
}
function nth<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new Error(`there is no item ${index}`);
  return item;
}
async function ending(socket: Socket): Promise<string> {
  socket.resume();
  return new Promise((resolve) => {
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    socket.on('end', () => resolve('end'));
  });
}
/** A port at which nothing listens. */
async function unused(host = '127.0.0.1'): Promise<number> {
  const { port, server } = await serve(() => {}, host);
  server.close();
  await once(server, 'close');
  return port;
}

describe('connections', () => {
  test('bytes go both ways unchanged, also when there are many of them', async () => {
    const { port } = await echo();
    const { ports, end } = await relay({ to: [port] });
    const sent = Buffer.alloc(32 << 20);
    for (let at = 0; at < sent.length; at += 4) sent.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at);
    const socket = await dial(ports[0]);
    socket.end(sent);
    expect(sent.equals(await readAll(socket))).toBe(true);
    const descriptors = await end();
    expect(descriptors).toBe(OWN_DESCRIPTORS + 1);
  });

  test('the end of one way leaves the other open, in both directions', async () => {
    const { port } = await serve((socket) => {
      let got = '';
      socket.on('data', (text) => (got += String(text)));
      socket.on('end', () => setTimeout(() => socket.end(`got ${got}`), 50));
    });
    const early = await serve((socket) => {
      socket.end('first');
      let got = '';
      socket.on('data', (text) => (got += String(text)));
      socket.on('end', () => early.server.emit('heard', got));
    });
    const { ports, end } = await relay({ to: [port] }, { to: [early.port] });
    const asking = await dial(ports[0]);
    asking.end('question');
    expect(String(await readAll(asking))).toBe('got question');

    const told = once(early.server, 'heard');
    const late = await dial(ports[1]);
    expect(String(await readAll(late))).toBe('first');
    late.end('afterwards');
    expect(await told).toEqual(['afterwards']);
    expect(await end()).toBe(OWN_DESCRIPTORS + 2);
  });

  test('where nothing listens the connection is reset at once, and where something listens at the second address it is found', async () => {
    const { port } = await echo();
    const closed = await unused();
    const { ports, end } = await relay({ to: [closed] }, { to: [closed, port] }, { to: [`[::1]:${closed}`, port] });
    expect(await ending(connect({ port: ports[0] ?? 0, host: '127.0.0.1' }))).toBe('ECONNRESET');
    expect(await ask(await dial(ports[1]), 'one')).toBe('one');
    expect(await ask(await dial(ports[2]), 'two')).toBe('two');
    await end();
  });

  test('IPv6 is carried to IPv6 and to IPv4', async () => {
    const six = await echo('::1');
    const four = await echo();
    const { ports, end } = await relay(
      { at: '[::1]:1', to: [`[::1]:${six.port}`] },
      { at: '[::1]:1', to: [four.port] },
    );
    for (const port of ports) expect(await ask(await dial(port, '::1'), 'hello')).toBe('hello');
    await end();
  });

  test('a reset of either side is a reset for the other, and nothing stays open', async () => {
    const accepted: Socket[] = [];
    const { port } = await serve((socket) => accepted.push(socket));
    const { ports, end } = await relay({ to: [port] });
    const one = await dial(ports[0]);
    while (accepted.length < 1) await sleep(5);
    const seen = ending(nth(accepted, 0));
    one.resetAndDestroy();
    expect(await seen).toBe('ECONNRESET');

    const two = await dial(ports[0]);
    while (accepted.length < 2) await sleep(5);
    accepted[1]?.resetAndDestroy();
    expect(await ending(two)).toBe('ECONNRESET');
    await sleep(50);
    expect(await end()).toBe(OWN_DESCRIPTORS + 1);
  });

  test('what a server wrote before it closed arrives, although the server did not read all that it was sent', async () => {
    const { port } = await serve((socket) => {
      socket.once('readable', () => {
        socket.read(1);
        socket.write(Buffer.alloc(100_000, 'x'), () => socket.destroy());
      });
    });
    const { ports, end } = await relay({ to: [port] });
    const socket = await dial(ports[0]);
    socket.write(Buffer.alloc(200_000));
    let got = 0;
    socket.on('data', (part) => (got += (part as Buffer).length));
    await new Promise((resolve) => socket.on('close', resolve).on('end', resolve));
    expect(got).toBe(100_000);
    await end();
  });

  test('servers that accept and never read, that send without end to clients that never read, and that reset, hold up nobody else', async () => {
    const { port } = await echo();
    const deaf = await serve((socket) => socket.pause());
    const endless = await serve((socket) => {
      socket.on('error', () => {});
      const more = (): void => {
        while (socket.writable && socket.write(Buffer.alloc(1 << 16)));
      };
      socket.on('drain', more);
      more();
    });
    const resetting = await serve((socket) => socket.resetAndDestroy());
    const { ports, end } = await relay(...[port, deaf.port, endless.port, resetting.port].map((to) => ({ to: [to] })));
    for (let i = 0; i < 30; i++) {
      const stuck = await dial(ports[1]);
      stuck.write(Buffer.alloc(8 << 20));
      (await dial(ports[2])).pause();
      dial(ports[3]).catch(() => {});
    }
    for (let i = 0; i < 50; i++) {
      const socket = await dial(ports[0]);
      expect(await ask(socket, `number ${i}`)).toBe(`number ${i}`);
      socket.destroy();
    }
    await end();
  });

  test('a listener with a limit accepts four times as many connections a second; the rest wait', async () => {
    const { port } = await serve((socket) => socket.end('x'));
    const { ports, end } = await relay({ to: [port], most: 5 });
    const started = performance.now();
    const times = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const socket = await dial(ports[0]);
        await readAll(socket);
        socket.destroy();
        return performance.now() - started;
      }),
    );
    // In a second 20, and the first second may have begun before.
    expect(times.filter((time) => time < 900).length).toBeLessThanOrEqual(40);
    expect(Math.max(...times)).toBeGreaterThan(900);
    await end();
  });

  test('connections beyond the limit wait, and are served when others have ended', async () => {
    const { port } = await echo();
    const { ports, end } = await relay({ to: [port], most: 3 });
    const held = await Promise.all([1, 2, 3].map(() => dial(ports[0])));
    for (const socket of held) expect(await ask(socket, 'x')).toBe('x');
    const waiting = await dial(ports[0]);
    const answer = ask(waiting, 'late');
    expect(await Promise.race([answer, sleep(300, 'waits')])).toBe('waits');
    held[0]?.end();
    held[0]?.resume();
    expect(await answer).toBe('late');
    await end();
  });

  test('a connection that carries nothing is given up where a time is set for it, and another one is not', async () => {
    const { port } = await echo();
    const { ports, end } = await relay({ to: [port], idle: 2 }, { to: [port] });
    const [limited, free] = [await dial(ports[0]), await dial(ports[1])];
    expect(await ask(limited, 'x')).toBe('x');
    expect(await ending(limited)).toBe('ECONNRESET');
    expect(await ask(free, 'y')).toBe('y');
    await end();
  });

  test('two thousand connections at once are carried, and all are gone afterwards', async () => {
    const { port } = await echo();
    const { ports, end } = await relay({ to: [port] });
    const sockets: Socket[] = [];
    for (let i = 0; i < 20; i++)
      sockets.push(...(await Promise.all(Array.from({ length: 100 }, () => dial(ports[0])))));
    const answers = await Promise.all(sockets.map((socket, i) => ask(socket, `n${i}`)));
    expect(answers).toEqual(sockets.map((_, i) => `n${i}`));
    await Promise.all(
      sockets.map((socket) => {
        socket.end();
        socket.resume();
        return once(socket, 'close');
      }),
    );
    expect(await end()).toBe(OWN_DESCRIPTORS + 1);
  });

  test('at its end the last bytes of a container arrive, and everything is closed', async () => {
    const { port } = await serve((socket) => socket.end(Buffer.alloc(200_000, 'x')));
    const { ports, end } = await relay({ stops: true }, { to: [port] }, { type: 'udp', to: [port] });
    const socket = await dial(ports[0]);
    const all = readAll(socket);
    await sleep(100);
    expect(await end()).toBe(0);
    expect((await all).length).toBe(200_000);
  });

  test.skipIf(process.geteuid?.() !== 0)(
    'sockets to the target are in the given network namespace, all others are not (needs root)',
    async () => {
      const inside = spawn('unshare', ['--net', 'sh', '-c', 'ip link set lo up; echo up; exec sleep 60'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      open.push({ close: () => inside.kill('SIGKILL') });
      await once(inside.stdout, 'data');
      const server = spawn(
        'nsenter',
        [
          `--net=/proc/${inside.pid}/ns/net`,
          process.execPath,
          '-e',
          `require('net').createServer((s) => s.end('inside')).listen(4711, '127.0.0.1', () => console.log('up'))`,
        ],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      open.push({ close: () => server.kill('SIGKILL') });
      await once(server.stdout, 'data');
      const { ports, end } = await relay(
        { network: `/proc/${inside.pid}/ns/net`, stops: true },
        { to: [4711] },
        { to: [4711] },
      );
      for (const port of ports) expect(String(await readAll(await dial(port)))).toBe('inside');
      expect(await end()).toBe(0);
    },
  );

  test.skipIf(isRoot && testUser === undefined)(
    'an ordinary user’s relay has sockets in a network namespace of his user namespace (needs the user boxctl-test)',
    async () => {
      const by = testUser === undefined ? [] : asUser(testUser, []);
      const start = async (...command: readonly string[]): Promise<ChildProcess> => {
        const [first = '', ...rest] = [...by, ...command];
        const child = spawn(first, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
        open.push({ close: () => child.kill('SIGKILL') });
        await once(child.stdout, 'data');
        return child;
      };
      const script = 'ip link set lo up; echo up; exec sleep 60';
      const { pid } = await start('unshare', '--user', '--map-root-user', '--net', 'sh', '-c', script);
      const server = `require('net').createServer((s) => s.end('inside')).listen(4711, '::', () => console.log('up'))`;
      const enter = ['nsenter', `--target=${pid}`, '--user', '--preserve-credentials', '--net'];
      await start(...enter, process.execPath, '-e', server);
      const places = [{ to: [4711] }, { to: [4712, 4711] }, { to: ['[::1]:4711'] }];
      const { ports, end } = await relay({ network: `/proc/${pid}/ns/net`, by, stops: true }, ...places);
      for (const port of ports) expect(String(await readAll(await dial(port)))).toBe('inside');
      expect(await end()).toBe(0);
    },
  );

  test('a listener with many connections leaves room for those of another one', async () => {
    const { port } = await echo();
    // Room for some 70 connections.
    const { ports, end } = await relay({ descriptors: 400 }, { to: [port] }, { to: [port] });
    const sockets = await Promise.all(Array.from({ length: 100 }, () => dial(ports[0])));
    const answers = sockets.map((socket) => ask(socket, 'x').then(() => 1));
    await Promise.race([Promise.all(answers), sleep(300)]);
    const other = await dial(ports[1]);
    expect(await ask(other, 'other')).toBe('other');
    // Those that wait come next.
    for (const [i, socket] of sockets.entries()) {
      await answers[i];
      socket.destroy();
    }
    await end();
  });
});

describe('datagrams', () => {
  async function udp(host: string, type: 'udp4' | 'udp6' = 'udp4'): Promise<UdpSocket> {
    const socket = createSocket({ type, ipv6Only: type === 'udp6' });
    socket.bind(0, host);
    await once(socket, 'listening');
    open.push({ close: () => socket.close() });
    return socket;
  }
  async function udpEcho(host = '127.0.0.1', type: 'udp4' | 'udp6' = 'udp4'): Promise<number> {
    const socket = await udp(host, type);
    socket.on('message', (message, from) => socket.send(message, from.port, from.address));
    return socket.address().port;
  }
  async function reply(socket: UdpSocket, text: string | Buffer, port = 0, host = '127.0.0.1') {
    socket.send(text, port, host);
    const [message, from] = (await once(socket, 'message')) as [Buffer, AddressInfo];
    return { text: String(message), from: from.address, port: from.port };
  }

  test('each client gets its own replies, from the address that it sent to', async () => {
    const { ports, end } = await relay({ type: 'udp', at: '0.0.0.0:1', to: [await udpEcho()] });
    const clients = await Promise.all(Array.from({ length: 20 }, () => udp('127.0.0.1')));
    for (const [i, client] of clients.entries()) {
      const address = `127.0.0.${1 + (i % 5)}`;
      expect(await reply(client, `c${i}`, ports[0], address)).toEqual({ text: `c${i}`, from: address, port: ports[0] });
    }
    expect(await end()).toBe(OWN_DESCRIPTORS + 1 + 20);
  });

  test('IPv6, the largest datagram and the empty one are carried', async () => {
    const six = await udpEcho('::1', 'udp6');
    const { ports, end } = await relay(
      { type: 'udp', at: '[::]:1', to: [`[::1]:${six}`] },
      { type: 'udp', to: [await udpEcho()] },
    );
    expect(await reply(await udp('::1', 'udp6'), 'six', ports[0], '::1')).toMatchObject({ text: 'six', from: '::1' });
    const client = await udp('127.0.0.1');
    const large = 'x'.repeat(65_507);
    expect((await reply(client, large, ports[1])).text).toBe(large);
    expect((await reply(client, '', ports[1])).text).toBe('');
    await end();
  });

  test('where nothing listens at the first address the second one is asked, with the same datagram', async () => {
    const closed = await unused();
    const { ports, end } = await relay({ type: 'udp', to: [`[::1]:${closed}`, await udpEcho()] });
    expect((await reply(await udp('127.0.0.1'), 'first', ports[0])).text).toBe('first');
    await end();
  });

  test('a flow that carries nothing is given up after its time, and the client can ask again', async () => {
    const { ports, end } = await relay({ type: 'udp', to: [await udpEcho()], idle: 1 });
    const client = await udp('127.0.0.1');
    await reply(client, 'a', ports[0]);
    await sleep(2500);
    const again = await relay({ type: 'udp', to: [await udpEcho()], idle: 1 });
    await again.end();
    expect(await end()).toBe(OWN_DESCRIPTORS + 1);
  });

  test('a listener with a limit takes four times as many datagrams a second, and others are not held up', async () => {
    let got = 0;
    const counted = await udp('127.0.0.1');
    counted.on('message', (message, from) => {
      if (String(message) === 'flood') got++;
      else counted.send(message, from.port, from.address);
    });
    const to = [counted.address().port];
    const { ports, end } = await relay({ type: 'udp', to, most: 10 }, { type: 'udp', to });
    const flooder = await udp('127.0.0.1');
    const started = performance.now();
    for (let i = 0; i < 2000; i++) {
      flooder.send('flood', ports[0] ?? 0, '127.0.0.1');
      if (i % 50 === 0) await sleep(1);
    }
    expect((await reply(await udp('127.0.0.1'), 'other', ports[1])).text).toBe('other');
    const seconds = Math.ceil((performance.now() - started) / 1000) + 1;
    expect(got).toBeGreaterThan(0);
    expect(got).toBeLessThanOrEqual(40 * seconds);
    await sleep(1100);
    expect((await reply(flooder, 'again', ports[0])).text).toBe('again');
    await end();
  });

  test('a flood of new clients takes no more than the limit, and leaves the one that is answered', async () => {
    const silent = await udp('127.0.0.1');
    silent.on('message', (message, from) => {
      if (String(message) === 'known') silent.send('yes', from.port, from.address);
    });
    const { ports, end } = await relay({ type: 'udp', to: [silent.address().port], most: 100 });
    const known = await udp('127.0.0.1');
    expect((await reply(known, 'known', ports[0])).text).toBe('yes');
    for (let i = 0; i < 200; i++) {
      const flood = await udp('127.0.0.1');
      flood.send('flood', ports[0] ?? 0, '127.0.0.1');
    }
    await sleep(100);
    expect((await reply(known, 'known', ports[0])).text).toBe('yes');
    expect(await end()).toBeLessThanOrEqual(OWN_DESCRIPTORS + 1 + 100);
  });
});
