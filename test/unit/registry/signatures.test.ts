import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { parsePublicKey, type PublicKey } from '../../../src/spec/public-key.ts';
import { parseStrictJson } from '../../../src/text/strict-json.ts';
import { checkBundle, checkSimpleSigning, Keyring, strictBase64 } from '../../../src/registry/signatures.ts';
import {
  bundleOf,
  digestOf,
  makeSigner,
  payloadOf,
  SIGNED_IMAGE,
  statementOf,
  STATEMENT,
  type KeyKind,
  type Signer,
} from '../../support/signing.ts';

const KINDS: readonly KeyKind[] = ['P-256', 'P-384', 'P-521', 'Ed25519', 'RSA'];
const signers = new Map(KINDS.map((kind) => [kind, makeSigner(kind)]));
const signerOf = (kind: KeyKind): Signer => signers.get(kind) ?? makeSigner(kind);

function keyOf(pem: string): PublicKey {
  const key = parsePublicKey(pem, 'cosign.pub');
  if ('problem' in key) throw new Error(key.problem);
  return key;
}
const ringOf = (...pems: readonly string[]) => new Keyring(pems.map(keyOf));

const DIGEST = digestOf('manifest');
const EXPECTED = {
  digests: [DIGEST, digestOf('index')],
  isNamed: (reference: string) => reference === 'registry.example/app',
  needsName: false,
};
const payload = payloadOf(DIGEST, 'registry.example/app');
const check = (signer: Signer, signed: Buffer, signature: unknown = signer.sign(signed), expected = EXPECTED) =>
  checkSimpleSigning(signed, signature, ringOf(signer.pem), expected);

/**
 * Signatures that cosign made and put beside images on a public registry; its payload, its signature and its key have been
 * published by who signed them.
 */
const PUBLISHED_KEY = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEKEBgXjBv494co5Ko5KED3BDrC1+Z
v8gRvhT0mhF8anj95LSFVoSSfptc/oOQGVk4m+B24aCmYURIDCyaI8i6Kw==
-----END PUBLIC KEY-----
`;
const PUBLISHED = [
  [
    'sha256:42180f8cf5acd4ad0fdfdc6b0e8c371b65d40a6e05c77c546743e940b899bc78',
    { commit: '9f61e50b6bea20e188eaa720e159d612a24b22c3' },
    'MEYCIQCHZr+SWZz7IX4zqrCJa2re6xOiJYiVy+1VqZ9wpbzWiwIhAPFQdUmauXXA7nQuwnecJ89P5977M+QWTU5mbjYhb+3Z',
  ],
  [
    'sha256:364f0ac6703714341daeb162325414e88117c1665e749fecad3cb6324f122d65',
    {
      commit: '32967e0c1c3f21cd22bcbae29e8b18391136917c',
      repo: 'acald-creator/underground-nexus-deployment',
      workflow: 'nexus',
    },
    'MEQCIGrURDaQ3YjsNu/WIoD8amgdlPNwVccuzUlRtY+ZF9yZAiBvJIOjCxvSValG43YrecTvHEA3RUVoPy8iv/+e8HM9fw==',
  ],
] as const;

describe('signatures of cosign', () => {
  it.each(PUBLISHED)(
    'a signature that cosign made of %s is valid for its image and its key',
    (digest, optional, sig) => {
      const name = 'index.docker.io/pyrrhus/nexus0';
      const expected = { ...EXPECTED, digests: [digest], isNamed: (reference: string) => reference === name };
      const signed = payloadOf(digest, name, optional);
      expect(checkSimpleSigning(signed, sig, ringOf(PUBLISHED_KEY), expected)).toMatchObject({ digest });
      expect(checkSimpleSigning(signed, sig, ringOf(signerOf('P-256').pem), expected)).toEqual({ why: 'key' });
    },
  );

  it.each(KINDS)('a signature by a key of the kind %s is valid', (kind) => {
    expect(check(signerOf(kind), payload)).toMatchObject({ digest: DIGEST, key: { algorithm: kind } });
  });

  it.each([
    ['P-384', 'sha384'],
    ['P-521', 'sha512'],
  ] as const)('a key of the curve %s may sign by its own hash, %s', (kind, hash) => {
    const signer = signerOf(kind);
    expect(check(signer, payload, signer.sign(payload, hash))).toMatchObject({ digest: DIGEST });
  });

  it.each([
    ['P-256', 'sha1'],
    ['P-256', 'sha384'],
    ['P-384', 'sha512'],
    ['RSA', 'sha1'],
    ['RSA', 'sha512'],
  ] as const)('a signature by a key of the kind %s with the hash %s is not valid', (kind, hash) => {
    const signer = signerOf(kind);
    expect(check(signer, payload, signer.sign(payload, hash))).toEqual({ why: 'key' });
  });

  it('one of several keys is enough, and the verdict says which', () => {
    const [first, second] = [signerOf('Ed25519'), signerOf('P-256')];
    const ring = ringOf(first.pem, second.pem);
    const verdict = checkSimpleSigning(payload, second.sign(payload), ring, EXPECTED);
    expect(verdict).toMatchObject({ key: { fingerprint: keyOf(second.pem).fingerprint } });
  });

  it('a signature of the index counts as much as one of the manifest', () => {
    const signed = payloadOf(digestOf('index'), 'registry.example/app');
    expect(check(signerOf('P-256'), signed)).toMatchObject({ digest: digestOf('index') });
  });
});

describe('signatures that do not count', () => {
  const ecdsa = signerOf('P-256');

  it('a signature by any other key is refused, whatever its kind', () => {
    for (const signs of KINDS) {
      for (const checks of KINDS) {
        const other = makeSigner(signs);
        expect(checkSimpleSigning(payload, other.sign(payload), ringOf(signerOf(checks).pem), EXPECTED)).toEqual({
          why: 'key',
        });
      }
    }
  });

  it('a signature of another image, or for another repository, is refused and named', () => {
    expect(check(ecdsa, payloadOf(digestOf('other'), 'registry.example/app'))).toEqual({
      why: 'image',
      detail: digestOf('other'),
    });
    expect(check(ecdsa, payloadOf(DIGEST, 'registry.example/other'))).toEqual({
      why: 'repository',
      detail: 'registry.example/other',
    });
  });

  it.each([
    ['cut short', (good: string) => Buffer.from(good, 'base64').subarray(0, -1).toString('base64')],
    [
      'longer by a byte',
      (good: string) => Buffer.concat([Buffer.from(good, 'base64'), Buffer.of(0)]).toString('base64'),
    ],
    [
      'changed in its last byte',
      (good: string) => {
        const bytes = Buffer.from(good, 'base64');
        bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
        return bytes.toString('base64');
      },
    ],
    ['a sequence of zeros', () => Buffer.from('3006020100020100', 'hex').toString('base64')],
  ])('a signature that is %s is refused', (_title, change) => {
    for (const kind of KINDS) {
      const signer = signerOf(kind);
      expect(check(signer, payload, change(signer.sign(payload)))).toEqual({ why: 'key' });
    }
  });

  it.each([
    ['with a line feed', (good: string) => `${good.slice(0, 20)}\n${good.slice(20)}`],
    ['without its padding', (good: string) => good.replace(/=+$/u, '')],
    ['in the alphabet of URLs', (good: string) => good.replaceAll('+', '-').replaceAll('/', '_')],
    [
      'with bits that mean nothing',
      (good: string) => good.replace(/.(?==+$)/u, (last) => String.fromCharCode(last.charCodeAt(0) + 1)),
    ],
    ['followed by something else', (good: string) => `${good}AAAA`],
    ['empty', () => ''],
  ])('a signature whose base64 is %s is refused', (_title, change) => {
    let good = ecdsa.sign(payload);
    // One that has padding, and letters that differ between the alphabets.
    while (!/[+/].*=$/u.test(good)) good = ecdsa.sign(payload);
    expect(check(ecdsa, payload, change(good))).not.toHaveProperty('key');
  });

  it.each([undefined, null, 7, [], {}])('a signature that is no text (%j) is malformed', (value) => {
    expect(check(ecdsa, payload, value ?? null)).toMatchObject({ why: 'malformed' });
  });

  const written = payload.toString();
  it.each([
    ['the digest twice', written.replace('"image":{', `"image":{"docker-manifest-digest":"${digestOf('other')}",`)],
    [
      'the same key twice, once escaped',
      written.replace('"image":{', String.raw`"image":{"docker-manifest\u002ddigest":"x",`),
    ],
    ['two parts that are critical', written.replace('{"critical"', '{"critical" :{},"critical"')],
    ['something critical that is not known', written.replace('"critical":{', '"critical":{"expires":1,')],
    ['something more in its image', written.replace('"image":{', '"image":{"x":1,')],
    ['no type', written.replace(/,"type":"[^"]*"/u, '')],
    [
      'a digest that is a list',
      written.replace(/"docker-manifest-digest":("[^"]*")/u, '"docker-manifest-digest":[$1]'),
    ],
    ['a byte order mark', `\ufeff${written}`],
    ['no JSON', 'critical'],
    ['a list', `[${written}]`],
    ['another spelling of a key', written.replace('docker-manifest-digest', 'Docker-manifest-digest')],
  ])('a signed payload with %s is malformed', (_title, text) => {
    expect(check(ecdsa, Buffer.from(text))).toMatchObject({ why: 'malformed' });
  });

  it('a signed payload that is not UTF-8 is malformed', () => {
    expect(check(ecdsa, Buffer.concat([payload, Buffer.of(0xff)]))).toMatchObject({ why: 'malformed' });
  });

  it('a payload of another type, such as that of a signature of a file, is refused', () => {
    const other = written.replace('cosign container image signature', 'atomic container signature');
    expect(check(ecdsa, Buffer.from(other))).toEqual({ why: 'kind', detail: 'atomic container signature' });
  });
});

describe('sigstore bundles', () => {
  const ecdsa = signerOf('P-256');
  const statement = statementOf(DIGEST);
  const checked = (bytes: Buffer, expected = EXPECTED, signer = ecdsa) =>
    checkBundle(bytes, ringOf(signer.pem), expected);

  it.each(KINDS)('a bundle that a key of the kind %s has signed is valid', (kind) => {
    const signer = signerOf(kind);
    expect(checked(bundleOf(signer, statement), EXPECTED, signer)).toMatchObject({ digest: DIGEST });
  });

  it('a bundle of another image, or by another key, is refused', () => {
    expect(checked(bundleOf(ecdsa, statementOf(digestOf('other'))))).toEqual({
      why: 'image',
      detail: digestOf('other'),
    });
    expect(checked(bundleOf(makeSigner(), statement))).toEqual({ why: 'key' });
  });

  it('a bundle names no repository, so it is refused where a signature has to', () => {
    expect(checked(bundleOf(ecdsa, statement), { ...EXPECTED, needsName: true })).toEqual({ why: 'nameless' });
  });

  it('an attestation by the same key is no signature', () => {
    const provenance = 'https://slsa.dev/provenance/v1';
    expect(checked(bundleOf(ecdsa, statementOf(DIGEST, provenance)))).toEqual({ why: 'kind', detail: provenance });
  });

  it('a bundle that a certificate goes with is said to be keyless', () => {
    const verificationMaterial = { certificate: { rawBytes: 'MIIB' } };
    expect(checked(bundleOf(makeSigner(), statement, { verificationMaterial }))).toEqual({ why: 'keyless' });
  });

  it('a signature of the bare statement, without the type that the envelope names, is refused', () => {
    const { dsseEnvelope } = JSON.parse(bundleOf(ecdsa, statement).toString()) as { dsseEnvelope: object };
    const signatures = [{ sig: ecdsa.sign(statement) }];
    expect(checked(bundleOf(ecdsa, statement, { dsseEnvelope: { ...dsseEnvelope, signatures } }))).toEqual({
      why: 'key',
    });
  });

  it('a payload of another type is refused, although it is signed and reads as a statement', () => {
    expect(checked(bundleOf(ecdsa, statement, {}, 'text/plain'))).toEqual({ why: 'kind', detail: 'text/plain' });
  });

  it('the length of the type and of the payload are signed, so that neither can grow into the other', () => {
    const moved = Buffer.from(` ${statement.length} `);
    const { dsseEnvelope } = JSON.parse(bundleOf(ecdsa, statement).toString()) as { dsseEnvelope: object };
    const changed = { ...dsseEnvelope, payloadType: `${STATEMENT}${moved.toString()}` };
    expect(checked(bundleOf(ecdsa, statement, { dsseEnvelope: changed }))).toEqual({ why: 'key' });
  });

  it.each([
    ['no signature', { signatures: [] }],
    ['two signatures', { signatures: [{ sig: 'AAAA' }, { sig: 'AAAA' }] }],
    ['a payload that is not base64', { payload: '***' }],
    ['a type that is no text', { payloadType: 7 }],
  ])('an envelope with %s is malformed', (_title, changes) => {
    const { dsseEnvelope } = JSON.parse(bundleOf(ecdsa, statement).toString()) as { dsseEnvelope: object };
    const bundle = bundleOf(ecdsa, statement, { dsseEnvelope: { ...dsseEnvelope, ...changes } });
    expect(checked(bundle)).toMatchObject({ why: 'malformed' });
  });

  it('a bundle that signs the bytes of a file is no signature of an image', () => {
    const messageSignature = { messageDigest: { algorithm: 'SHA2_256', digest: 'AA==' }, signature: 'AA==' };
    expect(checked(bundleOf(ecdsa, statement, { dsseEnvelope: undefined, messageSignature }))).toMatchObject({
      why: 'kind',
    });
  });

  it('what is no bundle, or has a key twice, is malformed', () => {
    expect(checked(Buffer.from('{}'))).toMatchObject({ why: 'malformed' });
    expect(checked(bundleOf(ecdsa, statement, { mediaType: 'application/json' }))).toMatchObject({ why: 'malformed' });
    const twice = bundleOf(ecdsa, statement).toString().replace('{"mediaType"', '{"dsseEnvelope":{},"mediaType"');
    expect(checked(Buffer.from(twice))).toMatchObject({ why: 'malformed' });
    const inside = Buffer.from(statement.toString().replace('{"_type"', `{"predicateType":"${SIGNED_IMAGE}","_type"`));
    expect(checked(bundleOf(ecdsa, inside))).toMatchObject({ why: 'malformed' });
  });
});

describe('public keys', () => {
  const problemOf = (text: string) => {
    const result = parsePublicKey(text, 'cosign.pub');
    return 'problem' in result ? result.problem : undefined;
  };
  const { pem } = signerOf('P-256');
  const privateKey = createPrivateKey(signerOf('P-256').privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const spkiOf = (key: ReturnType<typeof generateKeyPairSync>['publicKey']) =>
    String((key as unknown as { export(options: object): string }).export({ type: 'spki', format: 'pem' }));

  it.each(KINDS)('a key of the kind %s has the same fingerprint however its file is written', (kind) => {
    const plain = signerOf(kind).pem;
    const key = keyOf(plain);
    expect(key).toMatchObject({ algorithm: kind, fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/u) as string });
    expect(keyOf(`\n${plain.replaceAll('\n', '\r\n')}\n\n`).fingerprint).toBe(key.fingerprint);
    expect(problemOf(signerOf(kind).pem)).toBeUndefined();
  });

  it.each([
    ['a private key', String(privateKey.export({ type: 'pkcs8', format: 'pem' })), 'private key'],
    ['a private key of SEC 1', String(privateKey.export({ type: 'sec1', format: 'pem' })), 'private key'],
    [
      'a private key after a public one',
      `${pem}${String(privateKey.export({ type: 'pkcs8', format: 'pem' }))}`,
      'private key',
    ],
    [
      'an encrypted key of cosign',
      '-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----\nAA==\n-----END ENCRYPTED COSIGN PRIVATE KEY-----',
      'private key',
    ],
    [
      'an encrypted key of sigstore',
      '-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAA==\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----',
      'private key',
    ],
    ['a certificate', '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----', 'certificate'],
    ['a key of GnuPG', '-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAA==\n-----END PGP PUBLIC KEY BLOCK-----', 'GnuPG'],
    ['a key of PKCS #1', '-----BEGIN RSA PUBLIC KEY-----\nAA==\n-----END RSA PUBLIC KEY-----', 'PKCS #1'],
    ['a key of SSH', 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@host', 'SSH'],
    ['two keys', `${pem}${pem}`, '2 keys'],
    ['no PEM', 'hello', 'no PEM'],
    ['nothing', '', 'no PEM'],
    ['text around it', `hello\n${pem}`, 'something else around it'],
    ['damaged base64', pem.replace(/\n(.)/u, '\n'), 'damaged'],
    [
      'a byte less',
      '-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----',
      'another kind',
    ],
    ['a key that only agrees on keys', spkiOf(generateKeyPairSync('x25519').publicKey), 'another kind'],
    [
      'a key of another curve',
      spkiOf(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey),
      'another kind',
    ],
    ['a short key of RSA', spkiOf(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey), 'RSA'],
    ['a mebibyte of line feeds', '\n'.repeat(1 << 20), 'too large'],
  ])('a file with %s is refused, and the message says what it is', (_title, text, said) => {
    expect(problemOf(text)).toContain(said);
  });

  it('a key that is no point of its curve is an error before anything is checked', () => {
    const der = Buffer.from(keyOf(pem).spki, 'base64').fill(0x11, 27);
    expect(() => new Keyring([{ ...keyOf(pem), spki: der.toString('base64') }])).toThrow();
  });
});

describe('strict readers', () => {
  it.each([
    '{"a":1,"a":2}',
    '{"x":[{"b":1,"c":{},"b":2}]}',
    '{"a" \n\t :1,"\\u0061":2}',
    `{"a"${' '.repeat(1000)}:1,"a":2}`,
  ])('a key that is there twice is an error: %s', (text) => {
    expect(() => parseStrictJson(text)).toThrow(SyntaxError);
  });
  it.each([
    '{"a":"a","b":["a","a"]}',
    '[{"a":1},{"a":1}]',
    String.raw`{"a\"":1,"a":"\\"}`,
    '{"a":{"a":{"a":1}}}',
    '""',
  ])('JSON without such a key is read: %s', (text) => {
    expect(parseStrictJson(text)).toEqual(JSON.parse(text));
  });
  it('base64 has one spelling for each text', () => {
    expect(strictBase64('AAA=')).toEqual(Buffer.of(0, 0));
    for (const other of ['AAB=', 'AAA', 'AAA==', ' AAA=', 'AAA=\n', 'AA A='])
      expect(strictBase64(other)).toBeUndefined();
  });
});
