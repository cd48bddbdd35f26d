/** Answers that no HTTP server would give: each ends in an error, in time, and boxctl goes on. */
import { createServer, type AddressInfo, type Server } from 'node:net';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { failing, reference, testClient } from '../../support/registry-client.ts';

let server: Server;
let host: string;
let answer: Buffer = Buffer.alloc(0);
let isKept = false;

beforeAll(async () => {
  server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => (isKept ? socket.write(answer) : socket.end(answer)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
});

async function fails(bytes: string | Buffer, { kept = false } = {}): Promise<string> {
  answer = Buffer.from(bytes);
  isKept = kept;
  const client = testClient({ patience: kept ? 200 : 20_000 });
  try {
    return (await failing(client.manifest(reference(host, 'a/b', 'one')))).code;
  } finally {
    await client.close();
  }
}

const HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: application/vnd.oci.image.index.v1+json\r\n';

test.each([
  ['nothing', ''],
  ['a greeting of SSH', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ['a page without headers', '<html>hello</html>'],
  ['half of the headers', HEAD],
  ['two lengths', `${HEAD}content-length: 2\r\ncontent-length: 5\r\n\r\n{}`],
  ['a length and pieces', `${HEAD}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`],
  ['a length below zero', `${HEAD}content-length: -2\r\n\r\n{}`],
  ['a length beyond all numbers', `${HEAD}content-length: 99999999999999999999999\r\n\r\n{}`],
  ['a piece beyond all numbers', `${HEAD}transfer-encoding: chunked\r\n\r\nffffffffffffffffffff\r\n{}`],
  ['a piece that is none', `${HEAD}transfer-encoding: chunked\r\n\r\nxyz\r\n{}`],
  ['an unknown transfer', `${HEAD}transfer-encoding: gzip\r\n\r\n{`],
  ['another protocol', 'HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'],
  ['a NUL in a header', `${HEAD}x: a\0b\r\n\r\n{}`],
  ['a header on two lines', `${HEAD}x: a\r\n b\r\n\r\n`],
  ['a status of four digits', 'HTTP/1.1 2000 OK\r\n\r\n{}'],
  ['HTTP/2', '\0\0\x12\x04\0\0\0\0\0'],
  ['answers that only announce others', 'HTTP/1.1 103 Early\r\n\r\n'.repeat(10_000)],
])('%s is no answer of a registry', async (_name, bytes) => {
  expect(await fails(bytes)).toMatch(/^E_REGISTRY_(?:PROTOCOL|UNREACHABLE|TLS|TOO_LARGE)$/u);
});

test('an answer that only announces others, and stays, is too slow', async () => {
  expect(await fails('HTTP/1.1 100 Continue\r\n\r\n', { kept: true })).toBe('E_REGISTRY_TIMEOUT');
});

test('whatever comes, there is one error of boxctl', async () => {
  const line = fc.constantFrom(
    HEAD,
    'HTTP/1.1 401 No\r\n',
    'www-authenticate: Bearer realm="x"\r\n',
    'content-length: 3\r\n',
    'location: //\r\n',
    'transfer-encoding: chunked\r\n',
    '\r\n',
    '3\r\nabc\r\n',
    '0\r\n\r\n',
    '{}',
  );
  const bytes = fc.array(fc.oneof(line, fc.string({ unit: 'binary', maxLength: 12 })), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(bytes, async (parts) => {
      expect(await fails(parts.join(''))).toMatch(/^E_REGISTRY_/u);
    }),
    { numRuns: 60 },
  );
}, 120_000);
