/** An HTTP proxy of the tests' own on 127.0.0.1, which leads every name to where the test says. It records what it was asked. */
import { createServer, request as ask, type IncomingMessage } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { readFileSync } from 'node:fs';
import { connect, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Certificate } from './certificates.ts';

export interface ProxyOptions {
  /** `Basic …`, without which it answers 407. */
  readonly authorization?: string;
  /** The status that it answers CONNECT with, in place of connecting. */
  readonly refuse?: number;
  readonly tls?: Certificate;
}

export interface ProxyServer {
  readonly host: string;
  /** `CONNECT HOST:PORT`, or `GET http://…`. */
  readonly requests: string[];
  readonly stop: () => Promise<void>;
}

/** `lead`: from `NAME:PORT` to a port of 127.0.0.1. */
export async function startProxy(
  lead: (authority: string) => number,
  options: ProxyOptions = {},
): Promise<ProxyServer> {
  const requests: string[] = [];
  const sockets = new Set<Duplex>();
  const isAllowed = ({ headers }: IncomingMessage): boolean =>
    options.authorization === undefined || headers['proxy-authorization'] === options.authorization;
  const server =
    options.tls === undefined
      ? createServer()
      : createTlsServer({ cert: readFileSync(options.tls.cert), key: readFileSync(options.tls.key) });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  server.on('connect', (request: IncomingMessage, client: Duplex, head: Buffer) => {
    requests.push(`CONNECT ${request.url}`);
    client.on('error', () => undefined);
    const status = isAllowed(request) ? options.refuse : 407;
    if (status !== undefined) {
      client.end(`HTTP/1.1 ${status} Of the proxy\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    const upstream = connect(lead(request.url ?? ''), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connected\r\n\r\n');
      upstream.write(head);
      upstream.pipe(client);
      client.pipe(upstream);
    });
    sockets.add(upstream);
    upstream.on('error', () => client.destroy());
    upstream.on('close', () => client.destroy());
    client.on('close', () => upstream.destroy());
  });
  server.on('request', (request: IncomingMessage, response) => {
    requests.push(`${request.method} ${request.url}`);
    if (!isAllowed(request)) {
      response.writeHead(407).end();
      return;
    }
    const url = new URL(request.url ?? '');
    const { 'proxy-authorization': _, ...headers } = request.headers;
    const port = lead(url.host);
    const options_ = { host: '127.0.0.1', port, method: request.method, path: `${url.pathname}${url.search}`, headers };
    const upstream = ask(options_, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    upstream.on('error', () => response.destroy());
    request.pipe(upstream);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
