/**
 * Public keys of signatures: PEM files as `cosign public-key` and `openssl pkey -pubout` write them. Told apart by their first
 * bytes, so that a wrong file is an error when the specification is read, and node:crypto is not needed for that.
 */
import { sha256 } from '../native.ts';

export interface PublicKey {
  /** Where it was read; for messages. */
  readonly path: string;
  readonly algorithm: 'P-256' | 'P-384' | 'P-521' | 'Ed25519' | 'RSA';
  /** SubjectPublicKeyInfo (RFC 5280) in DER, as base64. */
  readonly spki: string;
  /** sha256 of the SubjectPublicKeyInfo: 64 hex digits. The same key has the same one, however its file is written. */
  readonly fingerprint: string;
}

export type KeyResult = PublicKey | { readonly problem: string; readonly hint: string };

const HOW = 'a public key in PEM: `cosign public-key --key cosign.key`, or `openssl pkey -in KEY -pubout`';

/** Labels of PEM files that people take for a public key (RFC 7468, and cosign's own), with what they are. */
const OTHERS: readonly (readonly [label: RegExp, problem: string, hint: string])[] = [
  [/PRIVATE KEY$/u, 'it is a private key, which signs', `keep it secret, and name ${HOW}`],
  [
    /CERTIFICATE$/u,
    'it is a certificate, and signatures are checked with a key alone',
    '`openssl x509 -in FILE -pubkey -noout` writes the key that is in it',
  ],
  [/^PGP /u, 'it is a key of GnuPG, whose signatures boxctl does not check', HOW],
  [/^RSA PUBLIC KEY$/u, 'it is a key in the format PKCS #1', '`openssl rsa -RSAPublicKey_in -in FILE -pubout`'],
];

/** The beginning of a SubjectPublicKeyInfo, and the length of the whole, by algorithm (RFC 5480, RFC 8410). */
const FORMS: readonly (readonly [algorithm: PublicKey['algorithm'], start: string, length: number])[] = [
  ['P-256', '3059301306072a8648ce3d020106082a8648ce3d03010703420004', 91],
  ['P-384', '3076301006072a8648ce3d020106052b8104002203620004', 120],
  ['P-521', '30819b301006072a8648ce3d020106052b810400230381860004', 158],
  ['Ed25519', '302a300506032b6570032100', 44],
];
/** rsaEncryption (RFC 3279), whatever the length of the modulus. */
const RSA = /^30(?:8[12])?(?:[0-9a-f]{2}){1,2}300d06092a864886f70d0101010500/u;
/** Of a modulus of 2048 bits. */
const LEAST_RSA = 294;
const MOST_RSA = 2100;

function algorithmOf(der: Buffer): PublicKey['algorithm'] | undefined {
  const hex = der.toString('hex');
  const form = FORMS.find(([, start, length]) => hex.startsWith(start) && der.length === length);
  if (form !== undefined) return form[0];
  return RSA.test(hex) && der.length >= LEAST_RSA && der.length <= MOST_RSA ? 'RSA' : undefined;
}

const BLOCK = /^-----BEGIN ([A-Z0-9 ]+)-----[ \t\r]*\n([A-Za-z0-9+/=\s]*)-----END \1-----$/u;

/** Characters. A key of RSA with 16384 bits has 2900. */
const MOST_TEXT = 16 * 1024;

/** What is wrong with it quotes nothing of the file, which may be a secret that was named by mistake. */
export function parsePublicKey(text: string, path: string): KeyResult {
  if (text.length > MOST_TEXT) return { problem: 'it is too large for a key', hint: HOW };
  const labels = [...text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----/gu)].map(([, label = '']) => label);
  const [first] = labels;
  if (first === undefined) {
    return { problem: /^(?:ssh-|ecdsa-)/u.test(text) ? 'it is a key of SSH' : 'it is no PEM file', hint: HOW };
  }
  const other = labels.flatMap((label) => OTHERS.filter(([pattern]) => pattern.test(label)))[0];
  if (other !== undefined) return { problem: other[1], hint: other[2] };
  if (labels.length > 1)
    return { problem: `it holds ${labels.length} keys`, hint: 'a file for each: `key: [a.pub, b.pub]`' };
  const [, label, body = ''] = BLOCK.exec(text.trim()) ?? [];
  if (label !== 'PUBLIC KEY') return { problem: 'its PEM is damaged, or has something else around it', hint: HOW };
  const spki = body.replaceAll(/\s/gu, '');
  const der = Buffer.from(spki, 'base64');
  if (der.toString('base64') !== spki) return { problem: 'its base64 is damaged', hint: HOW };
  const algorithm = algorithmOf(der);
  if (algorithm === undefined) {
    return {
      problem: RSA.test(der.toString('hex'))
        ? 'its RSA key is not of 2048 to 16384 bits'
        : 'its key is of another kind',
      hint: 'keys can be ECDSA (P-256, P-384, P-521), Ed25519, or RSA of at least 2048 bits',
    };
  }
  return { path, algorithm, spki, fingerprint: sha256(der) };
}
