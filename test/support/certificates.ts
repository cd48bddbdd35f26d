/** Certificate authorities of the tests' own, by the openssl program: for servers, for clients, and for tokens. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Certificate {
  /** Paths of PEM files. */
  readonly cert: string;
  readonly key: string;
}

export interface CertificateOptions {
  /** Subject alternative names, as openssl writes them. Without them: 127.0.0.1, ::1 and localhost. */
  readonly names?: readonly string[];
  readonly client?: boolean;
  /** It was valid only until yesterday. */
  readonly expired?: boolean;
}

const LOOPBACK = ['IP:127.0.0.1', 'IP:::1', 'DNS:localhost'];
const DAY = 24 * 3600 * 1000;
const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

const openssl = (...args: readonly string[]): void => {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
};

/** As `openssl ca` takes a time: YYYYMMDDHHMMSSZ. */
const asn1 = (time: number): string => `${new Date(time).toISOString().replaceAll(/\D/gu, '').slice(0, 14)}Z`;

export class Authority {
  readonly #folder: string;
  #made = 0;

  /** In a folder that is there, which is not removed here. */
  constructor(folder: string, name = 'Authority of the tests') {
    this.#folder = join(folder, `authority-${name.replaceAll(/\W+/gu, '-')}`);
    mkdirSync(join(this.#folder, 'issued'), { recursive: true });
    writeFileSync(join(this.#folder, 'index.txt'), '');
    const key = join(this.#folder, 'ca.key');
    openssl('req', '-x509', ...CURVE, '-keyout', key, '-out', this.cert, '-days', '2', '-subj', `/CN=${name}`);
  }

  /** The path of its own certificate, as PEM. */
  get cert(): string {
    return join(this.#folder, 'ca.crt');
  }

  get pem(): string {
    return readFileSync(this.cert, 'utf8');
  }

  issue({ names = LOOPBACK, client = false, expired = false }: CertificateOptions = {}): Certificate {
    this.#made += 1;
    const path = (suffix: string): string => join(this.#folder, `${this.#made}.${suffix}`);
    openssl(
      'req',
      ...CURVE,
      '-keyout',
      path('key'),
      '-out',
      path('csr'),
      '-subj',
      `/CN=${client ? 'client' : 'server'}`,
    );
    writeFileSync(
      path('conf'),
      `[ca]
default_ca = own
[own]
database = ${this.#folder}/index.txt
new_certs_dir = ${this.#folder}/issued
certificate = ${this.cert}
private_key = ${this.#folder}/ca.key
default_md = sha256
policy = any
x509_extensions = extensions
unique_subject = no
rand_serial = yes
[any]
commonName = supplied
[extensions]
basicConstraints = critical,CA:false
extendedKeyUsage = ${client ? 'clientAuth' : 'serverAuth'}
${names.length === 0 ? '' : `subjectAltName = ${names.join(',')}`}
`,
    );
    const end = Date.now() + (expired ? -DAY : DAY);
    const dates = ['-startdate', asn1(end - 2 * DAY), '-enddate', asn1(end)];
    openssl('ca', '-batch', '-notext', '-config', path('conf'), '-in', path('csr'), '-out', path('crt'), ...dates);
    return { cert: path('crt'), key: path('key') };
  }
}
