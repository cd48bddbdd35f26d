/**
 * Servers of one machine of the lab, on all its addresses of both families; a resolver with a `host` on that address alone. Ends with its standard input. Prints `ready`, and
 * a line of JSON for each request.
 *
 *   { "http": [80], "echo": [7], "dns": { "port": 53, "names": { "NAME": { "ipv4": …, "ipv6": … } } } }
 *
 * http: answers `GET /PATH` with `from ADDRESS PATH`; `GET /bytes/N` with N zero bytes. echo: TCP and UDP, sends back what it
 * gets. dns: UDP and TCP, A and AAAA of the names; NXDOMAIN otherwise.
 */
import { createSocket } from 'node:dgram';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';

const config = JSON.parse(process.argv[2] ?? '{}');
const say = (request) => process.stdout.write(`${JSON.stringify(request)}\n`);
const listening = [];
const plain = (address) => (address ?? '').replace(/^::ffff:/, '');

function listen(server, port, host = '::') {
  listening.push(new Promise((resolve) => server.listen({ port, host }, resolve)));
}

function bindUdp(port, onMessage, host = '::') {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (message, peer) =>
    onMessage(message, peer, (answer) => socket.send(answer, peer.port, peer.address)),
  );
  listening.push(new Promise((resolve) => socket.bind({ port, address: host }, resolve)));
}

for (const port of config.http ?? []) {
  const server = createHttpServer((request, response) => {
    const from = plain(request.socket.remoteAddress);
    say({ protocol: 'http', port, from, text: request.url });
    const size = /^\/bytes\/(\d+)$/.exec(request.url ?? '')?.[1];
    if (size === undefined) return response.end(`from ${from} ${request.url}\n`);
    let rest = Number(size);
    const block = Buffer.alloc(1 << 20);
    response.setHeader('content-length', rest);
    const more = () => {
      while (rest > 0) {
        const part = block.subarray(0, Math.min(rest, block.length));
        rest -= part.length;
        if (!response.write(part)) return response.once('drain', more);
      }
      response.end();
    };
    more();
  });
  listen(server, port);
}

for (const port of config.echo ?? []) {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    say({ protocol: 'tcp', port, from: plain(socket.remoteAddress) });
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  listen(server, port);
  bindUdp(port, (message, peer, answer) => {
    say({ protocol: 'udp', port, from: plain(peer.address), text: message.toString('latin1') });
    answer(message);
  });
}

const TYPES = { 1: 'ipv4', 28: 'ipv6' };

function bytesOf(address) {
  if (!address.includes(':')) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail] = address.split('::');
  const groups = (text) =>
    text === undefined || text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
  const [first, last] = [groups(head), groups(tail)];
  const all = [...first, ...Array(8 - first.length - last.length).fill(0), ...last];
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

function answerTo(query, from, protocol) {
  const labels = [];
  let at = 12;
  while (query[at] > 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + query[at]));
    at += 1 + query[at];
  }
  const name = labels.join('.').toLowerCase();
  const type = query.readUInt16BE(at + 1);
  const question = query.subarray(12, at + 5);
  say({ protocol: `dns-${protocol}`, port: config.dns.port, from, text: `${name} ${type}` });
  const known = config.dns.names[name];
  const address = known?.[TYPES[type] ?? ''];
  const header = Buffer.alloc(12);
  query.copy(header, 0, 0, 2);
  header.writeUInt16BE(known === undefined ? 0x8183 : 0x8180, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(address === undefined ? 0 : 1, 6);
  if (address === undefined) return Buffer.concat([header, question]);
  const data = bytesOf(address);
  const record = Buffer.alloc(12);
  record.writeUInt16BE(0xc00c, 0);
  record.writeUInt16BE(type, 2);
  record.writeUInt16BE(1, 4);
  record.writeUInt32BE(60, 6);
  record.writeUInt16BE(data.length, 10);
  return Buffer.concat([header, question, record, data]);
}

if (config.dns !== undefined) {
  const { port, host } = config.dns;
  bindUdp(port, (message, peer, answer) => answer(answerTo(message, plain(peer.address), 'udp')), host);
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    let got = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      got = Buffer.concat([got, chunk]);
      while (got.length >= 2 && got.length >= 2 + got.readUInt16BE(0)) {
        const size = got.readUInt16BE(0);
        const answer = answerTo(got.subarray(2, 2 + size), plain(socket.remoteAddress), 'tcp');
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        socket.write(Buffer.concat([length, answer]));
        got = got.subarray(2 + size);
      }
    });
  });
  listen(server, port, host);
}

process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
await Promise.all(listening);
process.stdout.write('ready\n');
