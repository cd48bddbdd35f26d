import { describe, expect, it } from 'vitest';
import { approval } from '../../../src/image/signed.ts';
import { BoxctlError } from '../../../src/errors.ts';
import { parsePublicKey } from '../../../src/spec/public-key.ts';
import { digestOf, makeSigner, payloadOf, SIGNATURE_NOTE, SIMPLE_SIGNING } from '../../support/signing.ts';

const signer = makeSigner();
const key = parsePublicKey(signer.pem, 'cosign.pub');
if ('problem' in key) throw new Error(key.problem);

const MANIFEST = digestOf('manifest');
const NAME = 'registry.example/app';
const REFERENCE = { registry: 'registry.example', repository: 'app', tag: undefined, digest: MANIFEST };

/** A registry that has an index, and a signature of it alone. */
function sourceWith(index: Buffer) {
  const payload = payloadOf(digestOf(index), NAME);
  const layer = { mediaType: SIMPLE_SIGNING, digest: digestOf(payload), size: payload.length };
  const signatures = Buffer.from(
    JSON.stringify({ layers: [{ ...layer, annotations: { [SIGNATURE_NOTE]: signer.sign(payload) } }] }),
  );
  const documents = new Map([
    [digestOf(index), index],
    [`${digestOf(index).replace(':', '-')}.sig`, signatures],
  ]);
  const missing = (): Promise<never> => Promise.reject(new BoxctlError('E_REGISTRY_NOT_FOUND', 'there is none'));
  return {
    manifest: ({ tag, digest }: { readonly tag: string | undefined; readonly digest: string | undefined }) => {
      const bytes = documents.get(digest ?? tag ?? '');
      return bytes === undefined ? missing() : Promise.resolve({ mediaType: 'x', digest: digestOf(bytes), bytes });
    },
    document: () => Promise.resolve(payload),
    referrers: () => Promise.resolve([]),
  };
}

describe('an image that a lock has pinned to the manifest of one platform', () => {
  const approve = async (index: Buffer, named: string = digestOf(index)): Promise<readonly string[]> => {
    const signed: string[] = [];
    const source = { verify: { keys: [key] }, index: named };
    await approval(sourceWith(index), REFERENCE, source, {}, signed)([MANIFEST]);
    return signed;
  };

  it('is signed by a signature of the index that has the manifest', async () => {
    const index = Buffer.from(JSON.stringify({ manifests: [{ digest: digestOf('other') }, { digest: MANIFEST }] }));
    expect(await approve(index)).toEqual([key.fingerprint]);
  });

  it.each([
    ['does not have the manifest', JSON.stringify({ manifests: [{ digest: digestOf('other') }] })],
    ['has no manifests', '{}'],
    ['is no JSON', '}'],
    ['only mentions it elsewhere', JSON.stringify({ manifests: [{ annotations: { digest: MANIFEST } }] })],
  ])('is not signed by a signature of an index that %s', async (_title, text) => {
    await expect(approve(Buffer.from(text))).rejects.toMatchObject({ code: 'E_SIGNATURE_MISSING' });
  });

  it('is not signed where the registry has no such index any more', async () => {
    const index = Buffer.from(JSON.stringify({ manifests: [{ digest: MANIFEST }] }));
    await expect(approve(index, digestOf('gone'))).rejects.toMatchObject({ code: 'E_SIGNATURE_MISSING' });
  });
});
