// Asks the one host that it may, and then an address that it may not.
import { get } from 'node:http';
import { connect } from 'node:net';

const ask = (host) =>
  new Promise((resolve, reject) => {
    get({ host, path: '/', timeout: 10_000 }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).once('error', reject);
  });

const tryAddress = (host, port) =>
  new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 5000 });
    socket.once('connect', () => resolve('it answered'));
    socket.once('error', ({ code }) => resolve(code));
    socket.once('timeout', () => resolve('no answer'));
  }).finally(() => undefined);

console.log(`${process.env.HOST}: ${await ask(process.env.HOST)}`);
// An address of the documentation (RFC 5737), which nobody has.
console.log(`203.0.113.10: ${await tryAddress('203.0.113.10', 80)}`);
process.exit();
