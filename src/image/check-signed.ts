/** Whether an image of a registry is signed, without the image: its manifests and signatures alone are fetched. */
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { openRegistries } from '../registry/access.ts';
import { writeReference } from '../registry/reference.ts';
import type { Verification } from '../spec/spec.ts';
import { parsePlatform } from './platform.ts';
import { findFirst } from './pull.ts';
import { chainOf } from './registry-image.ts';
import { demandsOn, verifyAll, type SignedBy } from './signed.ts';

export interface CheckedImage {
  readonly reference: string;
  /** `sha256:…` of what the reference leads to. */
  readonly digest: string;
  readonly signed: readonly SignedBy[];
}

export interface CheckOptions {
  /** Beside what the policies demand. */
  readonly own: Verification | undefined;
  /** Undefined: what suits this machine best. */
  readonly platform: string | undefined;
  readonly host: HostFacts;
}

/** Throws as `pullImage` does; E_USAGE where nothing is demanded of the image. */
export async function checkSigned(name: string, { own, platform, host }: CheckOptions): Promise<CheckedImage> {
  const registries = openRegistries();
  try {
    const { client } = registries;
    const { references } = registries.candidates(name);
    const { reference, top } = await findFirst(client, references, (each) => void demandsOn(each, own), {});
    if (demandsOn(reference, own).length === 0) {
      throw new BoxctlError('E_USAGE', `no policy demands a signature of ${writeReference(reference)}`, {
        hint: 'say by which key it must be signed: --key cosign.pub',
      });
    }
    const choice = { host, platform: platform === undefined ? undefined : parsePlatform(platform) };
    const chain = await chainOf(client, reference, top, choice, {});
    const digests = chain.map(({ digest }) => digest);
    const signed = await verifyAll(client, reference, digests, own, {});
    return { reference: writeReference(reference), digest: top.digest, signed };
  } finally {
    await registries.close();
  }
}
