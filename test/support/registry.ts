/**
 * Debian's `docker-registry` on 127.0.0.1, with a port and a folder of its own: plain, with TLS by an authority of the tests,
 * with passwords (htpasswd), or with a token server. It ends with the process that started it.
 */
import { spawn, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Authority, type CertificateOptions } from './certificates.ts';
import { startTokenServer, type TokenServer, type TokenServerOptions } from './token-server.ts';

export const hasRegistry = existsSync('/usr/bin/docker-registry');

export interface RegistryOptions {
  /** By an authority of its own (`authority`), or a certificate that is made so that it does not fit. */
  readonly tls?: boolean | CertificateOptions;
  /** The authority that signs; without it a new one. */
  readonly authority?: Authority;
  /** Asks clients for a certificate of its authority. Needs `tls`. */
  readonly clientCertificates?: boolean;
  /** Names and passwords, by htpasswd: everything needs one of them. */
  readonly users?: Readonly<Record<string, string>>;
  /** Bearer tokens, by a token server that is started with it. */
  readonly tokens?: TokenServerOptions;
  /** Another registry, plain, of which this one is a mirror that fetches what it does not have (a URL). */
  readonly mirrorOf?: string;
  /** A folder of another one, which is then shared. Without it: a new folder, gone after `stop`. */
  readonly storage?: string;
}

export interface RequestLine {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly status: number;
}

export interface TestRegistry {
  /** `127.0.0.1:PORT`, as a reference has it. */
  readonly host: string;
  readonly port: number;
  /** `http://…` or `https://…`, without a slash at the end. */
  readonly url: string;
  readonly storage: string;
  readonly authority: Authority | undefined;
  readonly tokens: TokenServer | undefined;
  /** The requests that were answered since the start, or since `forget`. */
  readonly requests: () => Promise<readonly RequestLine[]>;
  readonly forget: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** A registry that others copy to: `docker://${host}/NAME` for skopeo with `--dest-tls-verify=false`. */
export async function startRegistry(options: RegistryOptions = {}): Promise<TestRegistry> {
  const folder = mkdtempSync(join(tmpdir(), 'boxctl-registry-'));
  chmodSync(folder, 0o755);
  const storage = options.storage ?? join(folder, 'storage');
  mkdirSync(storage, { recursive: true });
  const needsAuthority = options.tls !== undefined && options.tls !== false;
  const authority = options.authority ?? (needsAuthority ? new Authority(folder) : undefined);
  const tokens = options.tokens === undefined ? undefined : await startTokenServer(folder, options.tokens);

  const config = {
    version: '0.1',
    log: { level: 'info', formatter: 'json', accesslog: { disabled: false } },
    storage: {
      filesystem: { rootdirectory: storage },
      delete: { enabled: true },
      maintenance: { uploadpurging: { enabled: false } },
    },
    http: { addr: '127.0.0.1:0', secret: 'of the tests', ...tlsOf(options, authority) },
    ...authOf(options, folder, tokens),
    ...(options.mirrorOf === undefined ? {} : { proxy: { remoteurl: options.mirrorOf } }),
  };
  const file = join(folder, 'config.yml');
  // YAML has JSON in it.
  writeFileSync(file, JSON.stringify(config));

  // It must not outlive a test that is killed.
  const program = ['--pdeathsig', 'KILL', '--', 'docker-registry', 'serve', file];
  const child = spawn('setpriv', program, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env['PATH'] } });
  const log = new Log();
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const listening = new Promise<number>((resolve, reject) => {
    const onLine = (line: string): void => {
      log.add(line);
      const port = /listening on 127\.0\.0\.1:(\d+)/u.exec(line)?.[1];
      if (port !== undefined) resolve(Number(port));
    };
    createInterface({ input: child.stdout }).on('line', onLine);
    createInterface({ input: child.stderr }).on('line', onLine);
    void ended.then(() => reject(new Error(`docker-registry has ended:\n${log.text}`)));
  });
  const port = await listening;
  const host = `127.0.0.1:${port}`;
  return {
    host,
    port,
    url: `${needsAuthority ? 'https' : 'http'}://${host}`,
    storage,
    authority,
    tokens,
    requests: () => log.requests(),
    forget: () => log.forget(),
    stop: async () => {
      child.kill('SIGKILL');
      await ended;
      await tokens?.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function tlsOf(options: RegistryOptions, authority: Authority | undefined): object {
  if (options.tls === undefined || options.tls === false || authority === undefined) return {};
  const { cert, key } = authority.issue(options.tls === true ? {} : options.tls);
  return {
    tls: { certificate: cert, key, ...(options.clientCertificates === true ? { clientcas: [authority.cert] } : {}) },
  };
}

function authOf(options: RegistryOptions, folder: string, tokens: TokenServer | undefined): object {
  if (tokens !== undefined) {
    const { realm, service, issuer, bundle } = tokens;
    return { auth: { token: { realm, service, issuer, rootcertbundle: bundle } } };
  }
  if (options.users === undefined) return {};
  const path = join(folder, 'htpasswd');
  const lines = Object.entries(options.users).map(([name, password]) =>
    execFileSync('htpasswd', ['-niBC', '4', name], { input: password, encoding: 'utf8' }).trim(),
  );
  writeFileSync(path, `${lines.join('\n')}\n`);
  return { auth: { htpasswd: { realm: 'of the tests', path } } };
}

/** What the registry has written, and the requests in it. The access log has one line in Apache's format for each. */
class Log {
  #lines: string[] = [];

  add(line: string): void {
    this.#lines.push(line);
  }

  get text(): string {
    return this.#lines.join('\n');
  }

  async forget(): Promise<void> {
    await this.#settle();
    this.#lines = [];
  }

  /** A request is written down after its answer, and reaches us a moment later. */
  async #settle(): Promise<void> {
    for (let before = -1; before !== this.#lines.length;) {
      before = this.#lines.length;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async requests(): Promise<readonly RequestLine[]> {
    await this.#settle();
    return this.#lines.flatMap((line) => {
      const [, method, path, status] = /"([A-Z]+) (\S+) HTTP\/[\d.]+" (\d{3}) /u.exec(line) ?? [];
      return method === undefined || path === undefined ? [] : [{ method, path, status: Number(status) }];
    });
  }
}

export const sha256 = (bytes: Uint8Array | string): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** Puts a blob into a plain registry without passwords, by one PUT. */
export async function putBlob(
  registry: Pick<TestRegistry, 'url'>,
  repository: string,
  bytes: Uint8Array,
): Promise<string> {
  const digest = sha256(bytes);
  const { location } = await send('POST', `${registry.url}/v2/${repository}/blobs/uploads/`, 202);
  const to = new URL(location, registry.url);
  to.searchParams.set('digest', digest);
  await send('PUT', to.href, 201, bytes, { 'content-type': 'application/octet-stream' });
  return digest;
}

/** Puts a manifest or an index there. Returns its digest. */
export async function putManifest(
  registry: Pick<TestRegistry, 'url'>,
  repository: string,
  tag: string,
  manifest: string | Uint8Array | { readonly mediaType: string; readonly [key: string]: unknown },
): Promise<string> {
  const bytes = Buffer.from(
    typeof manifest === 'string' || manifest instanceof Uint8Array ? manifest : JSON.stringify(manifest),
  );
  const { mediaType } = JSON.parse(bytes.toString()) as { mediaType: string };
  await send('PUT', `${registry.url}/v2/${repository}/manifests/${tag}`, 201, bytes, { 'content-type': mediaType });
  return sha256(bytes);
}

function send(
  method: string,
  url: string,
  wanted: number,
  body?: Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly location: string }> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, headers: { ...headers, 'content-length': body?.length ?? 0 } }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => {
        if (response.statusCode === wanted) resolve({ location: response.headers.location ?? '' });
        else reject(new Error(`${method} ${url}: ${response.statusCode} ${Buffer.concat(parts).toString()}`));
      });
    });
    asked.on('error', reject);
    asked.end(body);
  });
}
