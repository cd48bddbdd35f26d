/**
 * A registry of the tests' own that takes uploads, in memory on 127.0.0.1. It can break, forget, refuse and be small-minded.
 * It records every request.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface UploadRequest {
  readonly method: string;
  readonly path: string;
  readonly contentRange: string | undefined;
  /** Bytes of the body that came. */
  readonly bytes: number;
  status: number;
}

export interface UploadBehaviour {
  /** The connection of a PATCH or PUT is cut after so many bytes of its body; so many times. */
  breakAt?: { readonly bytes: number; times: number; readonly keeps: boolean };
  /** Uploads vanish after so many pieces; so many times. */
  forgetAfter?: { readonly pieces: number; times: number };
  /** `OCI-Chunk-Min-Length`; smaller pieces, unless they are the last, are refused. */
  least?: number;
  /** Larger bodies are answered with 413. */
  most?: number;
  /** PATCH is answered with this status. */
  patch?: number;
  /** Every request that changes something is answered with this. */
  refuse?: { readonly status: number; readonly message: string };
  /** Repositories from which blobs can be mounted; undefined: mounts are not known. */
  mounts?: readonly string[];
  /** `Location` has the host, too. */
  absolute?: boolean;
  /** In place of an honest `Location` of a new upload. */
  location?: string;
  /** The last answer of an upload is lost, although the blob is there; so many times. */
  losesLast?: number;
  /** A status for POST, so many times. */
  busy?: { readonly status: number; times: number };
}

export interface UploadRegistry {
  readonly host: string;
  readonly requests: UploadRequest[];
  readonly blobs: Map<string, Buffer>;
  readonly manifests: Map<string, { readonly type: string; readonly bytes: Buffer }>;
  readonly behaviour: UploadBehaviour;
  stop(): Promise<void>;
}

const sha256 = (data: Buffer): string => `sha256:${createHash('sha256').update(data).digest('hex')}`;

export async function startUploadRegistry(behaviour: UploadBehaviour = {}): Promise<UploadRegistry> {
  const requests: UploadRequest[] = [];
  /** By `REPOSITORY@DIGEST`. */
  const blobs = new Map<string, Buffer>();
  const manifests = new Map<string, { readonly type: string; readonly bytes: Buffer }>();
  const uploads = new Map<string, { bytes: Buffer; pieces: number }>();
  let count = 0;

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://x');
    const [, repository = '', what = '', rest = ''] =
      /^\/v2\/(.+)\/(blobs\/uploads|blobs|manifests)\/(.*)$/u.exec(url.pathname) ?? [];
    const method = request.method ?? '';
    const cut = behaviour.breakAt;
    const mayBreak =
      cut !== undefined && cut.times > 0 && (method === 'PATCH' || method === 'PUT') && what !== 'manifests';
    const parts: Buffer[] = [];
    let length = 0;
    for await (const part of request as AsyncIterable<Buffer>) {
      parts.push(part);
      length += part.length;
      if (!mayBreak || length < cut.bytes) continue;
      cut.times--;
      const upload = uploads.get(rest);
      const got = Buffer.concat(parts).subarray(0, cut.bytes);
      if (cut.keeps && upload !== undefined) upload.bytes = Buffer.concat([upload.bytes, got]);
      requests.push({ method, path: request.url ?? '', contentRange: undefined, bytes: length, status: 0 });
      request.socket.destroy();
      return;
    }
    const body = Buffer.concat(parts);
    const record: UploadRequest = {
      method,
      path: request.url ?? '',
      contentRange: request.headers['content-range'],
      bytes: body.length,
      status: 0,
    };
    requests.push(record);
    const send = (status: number, headers: Record<string, string> = {}, text = ''): void => {
      record.status = status;
      response.writeHead(status, { 'content-length': text.length, ...headers }).end(text);
    };
    const error = (status: number, message: string): void =>
      send(status, { 'content-type': 'application/json' }, JSON.stringify({ errors: [{ code: 'X', message }] }));
    const at = (id: string): string => {
      const path = `/v2/${repository}/blobs/uploads/${id}?_state=a%2Fb%3D%3D`;
      return behaviour.absolute === true ? `http://${request.headers.host}${path}` : path;
    };
    if (behaviour.refuse !== undefined && method !== 'GET' && method !== 'HEAD') {
      return error(behaviour.refuse.status, behaviour.refuse.message);
    }
    if (what === 'manifests' && method === 'PUT') {
      manifests.set(`${repository}:${rest}`, { type: String(request.headers['content-type']), bytes: body });
      return send(201, { 'docker-content-digest': sha256(body) });
    }
    if (what === 'blobs') return send(blobs.has(`${repository}@${rest}`) ? 200 : 404);
    if (method === 'POST') {
      const { busy } = behaviour;
      if (busy !== undefined && busy.times-- > 0) return send(busy.status, { 'retry-after': '1' });
      const [digest, from] = [url.searchParams.get('mount'), url.searchParams.get('from') ?? ''];
      const there = blobs.get(`${from}@${digest}`);
      if (digest !== null && behaviour.mounts?.includes(from) === true && there !== undefined) {
        blobs.set(`${repository}@${digest}`, there);
        return send(201, { location: `/v2/${repository}/blobs/${digest}` });
      }
      const id = `u${count++}`;
      uploads.set(id, { bytes: Buffer.alloc(0), pieces: 0 });
      const least = behaviour.least === undefined ? {} : { 'oci-chunk-min-length': String(behaviour.least) };
      return send(202, { location: behaviour.location ?? at(id), range: '0-0', ...least });
    }
    const upload = uploads.get(rest);
    if (upload === undefined || url.searchParams.get('_state') !== 'a/b==') return error(404, 'upload unknown');
    const range = (): string => `0-${Math.max(0, upload.bytes.length - 1)}`;
    switch (method) {
      case 'DELETE':
        uploads.delete(rest);
        return send(204);
      case 'GET':
        return send(204, { location: at(rest), range: range() });
      case 'PATCH': {
        if (behaviour.patch !== undefined) return error(behaviour.patch, 'no pieces here');
        if (behaviour.most !== undefined && body.length > behaviour.most) return error(413, 'too much at once');
        const [first] = (request.headers['content-range'] ?? '').split('-');
        if (Number(first) !== upload.bytes.length) return send(416, { location: at(rest), range: range() });
        upload.bytes = Buffer.concat([upload.bytes, body]);
        upload.pieces++;
        const forget = behaviour.forgetAfter;
        if (forget !== undefined && forget.times > 0 && upload.pieces >= forget.pieces) {
          forget.times--;
          uploads.delete(rest);
        }
        return send(202, { location: at(rest), range: range() });
      }
      case 'PUT': {
        if (behaviour.most !== undefined && body.length > behaviour.most) return error(413, 'too much at once');
        const digest = url.searchParams.get('digest') ?? '';
        const whole = Buffer.concat([upload.bytes, body]);
        uploads.delete(rest);
        if (sha256(whole) !== digest) return error(400, 'digest invalid');
        blobs.set(`${repository}@${digest}`, whole);
        if ((behaviour.losesLast ?? 0) > 0) {
          behaviour.losesLast = (behaviour.losesLast ?? 0) - 1;
          request.socket.destroy();
          return;
        }
        return send(201, { location: `/v2/${repository}/blobs/${digest}`, 'docker-content-digest': digest });
      }
      default:
        return send(405);
    }
  };

  const server = createServer((request, response) => {
    response.on('error', () => undefined);
    void answer(request, response).catch(() => request.socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    blobs,
    manifests,
    behaviour,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
