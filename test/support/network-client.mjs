/**
 * A client of the echo servers, for a machine of the lab. Prints one line.
 *
 *   echo HOST PORT BYTES     sends so many bytes and reads them back: `same`, or what is wrong
 *   many HOST PORT COUNT     connections at once, each with a text of its own: how many were answered rightly
 *   udp HOST PORT COUNT      clients, one after the other: how many were answered, and by which addresses
 *   reach HOSTS PORT         which of the hosts, separated by commas, answer a text
 *   get HOST PORT            what the server says until it ends, or the name of the error
 *   talk HOST PORT           one UDP socket: each line of standard input is sent; prints the answer of each, or `none`
 *   hold HOST PORT COUNT     connections that send what they can, and never read; until standard input ends
 */
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';

const [what, host, port, number = '0'] = process.argv.slice(2);
const count = Number(number);
const dial = (to = host) => connect({ host: to, port: Number(port), allowHalfOpen: true });

async function echo() {
  const [sent, got] = [createHash('sha256'), createHash('sha256')];
  const socket = dial();
  const block = Buffer.alloc(1 << 18);
  for (let at = 0; at < block.length; at += 4) block.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at);
  let size = 0;
  const all = new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('end', resolve);
    socket.on('data', (part) => {
      size += part.length;
      got.update(part);
    });
  });
  for (let left = count, round = 0; left > 0; round++) {
    block.writeUInt32LE(round, 0);
    const part = Buffer.from(block.subarray(0, Math.min(left, block.length)));
    left -= part.length;
    sent.update(part);
    if (!socket.write(part)) await Promise.race([all, new Promise((resolve) => socket.once('drain', resolve))]);
  }
  socket.end();
  await all;
  if (size !== count) return `${size} bytes instead of ${count}`;
  return sent.digest('hex') === got.digest('hex') ? 'same' : 'other bytes';
}

function ask(text, to = host) {
  return new Promise((resolve) => {
    const socket = dial(to);
    let got = '';
    const end = (result) => resolve({ result, socket });
    socket.on('error', () => end(false));
    socket.on('end', () => end(false));
    socket.on('data', (part) => {
      got += part;
      if (got.length >= text.length) end(got === text);
    });
    socket.write(text);
  });
}

/** All are open until the last is answered. */
async function many() {
  const waiting = [];
  for (let at = 0; at < count; at += 200) {
    const batch = Array.from({ length: Math.min(200, count - at) }, (_, i) => ask(`connection ${at + i}`));
    waiting.push(...batch);
    await Promise.all(batch);
  }
  const all = await Promise.all(waiting);
  for (const { socket } of all) socket.destroy();
  return String(all.filter(({ result }) => result).length);
}

async function reach() {
  const hosts = host.split(',');
  const all = await Promise.all(hosts.map((to) => ask('hallo', to)));
  for (const { socket } of all) socket.destroy();
  return hosts.filter((_, index) => all[index].result).join(',');
}

async function udp() {
  const from = new Set();
  let answers = 0;
  for (let i = 0; i < count; i++) {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, 1000);
      socket.on('error', () => undefined);
      socket.on('message', (message, peer) => {
        clearTimeout(timer);
        from.add(`${peer.address}:${peer.port}`);
        if (String(message) === `datagram ${i}`) answers++;
        resolve();
      });
      socket.send(`datagram ${i}`, Number(port), host);
    });
    socket.close();
  }
  return [answers, ...from].join(' ');
}

function get() {
  return new Promise((resolve) => {
    const socket = dial();
    let got = '';
    socket.setTimeout(5000, () => resolve('ETIMEDOUT'));
    socket.on('error', ({ code }) => resolve(code));
    socket.on('data', (part) => (got += part));
    socket.on('end', () => resolve(got.trim()));
  });
}

async function hold() {
  for (let i = 0; i < count; i++) {
    const socket = dial();
    socket.on('error', () => undefined);
    socket.pause();
    socket.write(Buffer.alloc(4 << 20));
  }
  process.stdout.write('holds\n');
  await new Promise((resolve) => process.stdin.on('end', resolve).resume());
  return 'over';
}

async function talk() {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  socket.on('error', () => undefined);
  process.stdout.write('ready\n');
  for await (const chunk of process.stdin) {
    const answer = await new Promise((resolve) => {
      const timer = setTimeout(resolve, 1000, 'none');
      socket.once('message', (message) => {
        clearTimeout(timer);
        resolve(String(message));
      });
      socket.send(String(chunk).trim(), Number(port), host);
    });
    process.stdout.write(`${answer}\n`);
  }
  return 'over';
}

const commands = { talk, echo, many, udp, reach, get, hold };
process.stdout.write(`${await commands[what]()}\n`);
process.exit(0);
