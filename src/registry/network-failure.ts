/** What an error of Node's network modules means for a person. */
import { clipped, Failure } from './failure.ts';

/** A limit of time was over. `connect`: before there was a connection. */
export class TimeIsOver extends Error {
  readonly stage: 'connect' | 'answer' | 'body' | 'document';
  readonly ms: number;

  constructor(stage: TimeIsOver['stage'], ms: number) {
    super('the time is over');
    this.stage = stage;
    this.ms = ms;
  }
}

const CERTS =
  'put the certificate of its authority into /etc/containers/certs.d/HOST/ca.crt, with HOST as the reference has it (and its port)';

/** OpenSSL's reasons to refuse a certificate, as Node names them. */
const CERTIFICATE: Readonly<Record<string, readonly [what: string, hint: string]>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: ['its certificate is signed by itself', CERTS],
  SELF_SIGNED_CERT_IN_CHAIN: ['its certificate is of an authority that this host does not know', CERTS],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: ['its certificate is of an authority that this host does not know', CERTS],
  UNABLE_TO_GET_ISSUER_CERT: ['its certificate is of an authority that this host does not know', CERTS],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: ['its certificate is of an authority that this host does not know', CERTS],
  CERT_HAS_EXPIRED: ['its certificate has expired', 'it must be renewed there; is the clock of this host right?'],
  CERT_NOT_YET_VALID: ['its certificate is not valid yet', 'is the clock of this host right?'],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    'its certificate is for another host',
    'is the host of the reference the right one? The certificate must have that name',
  ],
};

const UNREACHABLE: Readonly<Record<string, readonly [what: string, retry: boolean]>> = {
  ENOTFOUND: ['no address is known for its name', false],
  EAI_AGAIN: ['no name server answers, so its address is not known', true],
  ECONNREFUSED: ['it refuses connections', false],
  EHOSTUNREACH: ['there is no way to it', false],
  ENETUNREACH: ['there is no network that leads to it', false],
  EADDRNOTAVAIL: ['there is no network that leads to it', false],
  EACCES: ['this host does not allow the connection', false],
  EPERM: ['this host does not allow the connection', false],
  ETIMEDOUT: ['it does not answer', true],
};

const seconds = (ms: number): string => (ms < 1000 ? `${ms} ms` : `${Math.round(ms / 1000)} s`);

function late({ stage, ms }: TimeIsOver): Failure {
  if (stage === 'connect') {
    return new Failure('E_REGISTRY_UNREACHABLE', `there was no connection within ${seconds(ms)}`, {
      retry: true,
      unconnected: true,
    });
  }
  const what = {
    answer: `it took the request and did not answer within ${seconds(ms)}`,
    body: `it sent nothing for ${seconds(ms)}`,
    document: `it needed more than ${seconds(ms)} for a small document`,
  }[stage];
  return new Failure('E_REGISTRY_TIMEOUT', what, { retry: stage !== 'document' });
}

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : '';

/** `begun`: an answer had begun. What the caller has aborted is not for here. */
export function networkFailure(error: unknown, begun: boolean): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof TimeIsOver) return late(error);
  const code = codeOf(error);
  const message = error instanceof Error ? error.message : '';

  const certificate = CERTIFICATE[code];
  if (certificate !== undefined) {
    return new Failure('E_REGISTRY_TLS', `${certificate[0]} (${code})`, { hint: certificate[1] });
  }
  const isPlain = /wrong version number|packet length too long|http request/iu.test(message);
  if (isPlain && /^(?:EPROTO$|ERR_SSL_)/u.test(code)) {
    return new Failure('E_REGISTRY_TLS', 'it does not speak TLS on this port', {
      hint: 'if it is meant to be reached over plain HTTP, set `insecure = true` for it in registries.conf',
      otherScheme: true,
    });
  }
  if (/^(?:EPROTO$|ERR_SSL_|ERR_TLS_|CERT_|UNABLE_TO_|ERR_OSSL_)/u.test(code)) {
    const wantsCertificate = /certificate.required|handshake.failure|bad.certificate/iu.test(`${code} ${message}`);
    return new Failure('E_REGISTRY_TLS', `no secure connection can be made (${clipped(code)})`, {
      hint: wantsCertificate
        ? 'if it asks for a certificate of the client, put NAME.cert and NAME.key into /etc/containers/certs.d/HOST'
        : undefined,
    });
  }
  if (code.startsWith('HPE_')) {
    const what =
      code === 'HPE_HEADER_OVERFLOW' ? 'its answer has too many or too long headers' : 'its answer is not HTTP';
    return new Failure('E_REGISTRY_PROTOCOL', `${what} (${code})`, { otherScheme: code === 'HPE_INVALID_CONSTANT' });
  }
  const unreachable = UNREACHABLE[code];
  if (unreachable !== undefined) {
    return new Failure('E_REGISTRY_UNREACHABLE', `${unreachable[0]} (${code})`, {
      retry: begun || unreachable[1],
      unconnected: true,
    });
  }
  const what = begun
    ? 'the connection broke in the middle of its answer'
    : 'it closed the connection without an answer';
  const named = code === '' ? '' : ` (${clipped(code)})`;
  return new Failure('E_REGISTRY_UNREACHABLE', `${what}${named}`, { retry: true, otherScheme: !begun });
}
