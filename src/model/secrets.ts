/** Which variables are likely to hold a secret, by their name and their value. A guess; what it misses is not allowed for. */

const WORDS: ReadonlySet<string> = new Set(
  `token tokens secret secrets password passwords passwd passphrase passcode pwd pw pass credential credentials cred creds
  key keys apikey auth authorization cookie cookies jwt pat dsn bearer session otp totp pin salt seed mnemonic webhook netrc
  dockerconfig kubeconfig`.split(/\s+/u),
);

/** Words that are written together with what is before them: PGPASSWORD, SECRETKEY. */
const ENDS =
  /(?:token|secret|password|passwd|passphrase|apikey|secretkey|privatekey|accesskey|signingkey|encryptionkey|credential|cred|creds)s?$/u;

/** Addresses, which hold a password as often as not. */
const ADDRESS: ReadonlySet<string> = new Set(['url', 'urls', 'uri', 'uris']);
const SERVICES =
  /^(?:database|db|redis|mongo(?:db)?|postgres(?:ql)?|pg|mysql|mariadb|mssql|sql(?:server|alchemy)?|amqp|rabbit(?:mq)?|broker|celery|kafka|nats|elastic(?:search)?|clickhouse|cassandra|couch(?:db)?|neo4j|memcached?|jdbc|odbc|smtp|mail|mailer|email|ldap|s3|storage|sentry|callback|hook)\d*$/u;

/** Names that hold such a word and mean something else. */
const HARMLESS: ReadonlySet<string> = new Set(['PWD', 'OLDPWD', 'SSH_AUTH_SOCK', 'XDG_SESSION_ID', 'XDG_SESSION_TYPE']);

/** `POSTGRES_PASSWORD_FILE` names where the secret is, and a public key is for everybody. */
function isOpen(words: readonly string[]): boolean {
  const [before, last] = words.slice(-2);
  return words.length > 1 && (last === 'file' || last === 'path' || (before === 'public' && last === 'key'));
}

/** `githubToken2` is `github token`. */
function wordsOf(name: string): readonly string[] {
  return name
    .replaceAll(/(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/gu, '_')
    .toLowerCase()
    .split(/[^a-z0-9]+/u)
    .map((word) => word.replace(/\d+$/u, ''))
    .filter((word) => word !== '');
}

/** Whether a variable of this name is likely to hold a secret: `GITHUB_TOKEN`, `PGPASSWORD`, `DATABASE_URL`. */
export function isSecretName(name: string): boolean {
  const words = wordsOf(name);
  if (HARMLESS.has(name) || isOpen(words)) return false;
  if (words.some((word) => WORDS.has(word) || ENDS.test(word))) return true;
  const all = words.join('');
  if (ENDS.test(all) || /(?:connection|conn)(?:string|str)$|connstr(?:ing)?$/u.test(all)) return true;
  if (!words.some((word) => ADDRESS.has(word)) && !/(?:url|uri)$/u.test(all)) return false;
  const services = words.map((word) => word.replace(/(?:url|uri)s?$/u, ''));
  return services.some((word) => SERVICES.test(word));
}

/** native/front/fill.cc (`is_plain`) must not take any of these for a plain value. */
const VALUES: readonly RegExp[] = [
  // A password, or a long name that is a token, before the host of a URL (RFC 3986, "userinfo").
  /[a-z][a-z0-9+.-]*:\/\/(?:[^\s/?#@:]*:[^\s@]+|[^\s/?#@:]{20,})@/iu,
  // A password among the parameters of a URL or of a connection.
  /(?:^|[?&;,\s])(?:password|passwd|pwd|pass|secret|token|access_?token|auth_?token|api_?key|client_?secret|account_?key|shared_?access_?key|sig(?:nature)?)\s*=\s*[^\s&;]/iu,
  // Keys and tokens that show by their form what they are.
  /-----BEGIN [A-Z ]*PRIVATE KEY-----/u,
  /\bgh[pousr]_[A-Za-z0-9]{30,}\b/u,
  /\bgithub_pat_\w{30,}/u,
  /\bglpat-[\w-]{20,}/u,
  /\bA(?:KIA|SIA)[A-Z0-9]{16}\b/u,
  /\bxox[abprs]-[\w-]{10,}/u,
  /\bsk_live_\w{16,}/u,
  /\bAIza[\w-]{30,}/u,
  /\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+/u,
];

/** Whether a value is one that holds a password, whatever its name: `http://me:secret@proxy:3128`. */
export function isSecretValue(value: string): boolean {
  return VALUES.some((pattern) => pattern.test(value));
}

export function isSecret(name: string, value: string): boolean {
  return isSecretName(name) || isSecretValue(value);
}
