/**
 * Who must have signed an image of a registry: what the container file says (`image.verify`), and what the policy files of this
 * machine and person say of its registry. What was verified is remembered with the name by which the image was pulled, so
 * that a start asks nobody.
 */
import { BoxctlError } from '../errors.ts';
import { environment } from '../inputs/environment.ts';
import { effectiveUser, homedir } from '../inputs/outside.ts';
import type { Events, RegistryReader } from '../registry/protocol.ts';
import { writeReference, type Reference } from '../registry/reference.ts';
import type { Verified } from '../registry/signatures.ts';
import { verifySignatures } from '../registry/verify.ts';
import type { Verification } from '../spec/spec.ts';
import { isProblem, parseImageName } from '../text/image-name.ts';
import { isRecord } from '../text/json.ts';
import { demandedOf } from '../trust/image-rules.ts';
import { readImageRules } from '../trust/policy.ts';
import { allNames, type Named } from './names.ts';
import type { Approve } from './registry-image.ts';

/**
 * What an image of a repository must satisfy, all of it.
 *
 * @throws BoxctlError E_IMAGE_NOT_ACCEPTED; E_SIGNATURE_KEY, E_POLICY_INVALID, E_POLICY_UNSAFE, E_POLICY_UNREADABLE
 */
export function demandsOn(
  repository: Pick<Reference, 'registry' | 'repository'>,
  own: Verification | undefined,
): readonly Verification[] {
  const owner = { env: environment, home: homedir(), euid: effectiveUser() };
  const ofPolicies = demandedOf(readImageRules(owner), repository, owner);
  return own === undefined ? ofPolicies : [own, ...ofPolicies];
}

/** A signature that was found, as it is remembered: by which key, and which other repository it had to name. */
function signedBy(fingerprint: string, identity: string | undefined): string {
  return identity === undefined ? fingerprint : `${fingerprint} ${identity}`;
}

/** Whether it is remembered for an image that one of the keys has signed it. */
function isSatisfied(demanded: Verification, signed: readonly string[]): boolean {
  return demanded.keys.some(({ fingerprint }) => signed.includes(signedBy(fingerprint, demanded.identity)));
}

/**
 * Whether what the store has under a name may be used as it is. Names that a person has given to an image of the store have no
 * registry: for these no policy holds, and with `verify` they are none of those that are meant. Throws as demandsOn does.
 */
export function isAccepted({ name, pulled }: Named, own: Verification | undefined): boolean {
  const parsed = parseImageName(name);
  if (isProblem(parsed) || parsed.registry === undefined) return own === undefined;
  const demands = demandsOn({ registry: parsed.registry, repository: parsed.path }, own);
  return demands.every((one) => isSatisfied(one, pulled?.signed ?? []));
}

/**
 * The same for an image that is named by the digits of its digest: one that came from registries alone must be accepted by one
 * of the names by which it came.
 */
export function isAcceptedByDigest(store: string, digest: string, own: Verification | undefined): boolean {
  const names = allNames(store).filter((named) => named.digest === digest);
  if (own === undefined && (names.length === 0 || names.some(({ pulled }) => pulled === undefined))) return true;
  let refusal: unknown;
  for (const named of names) {
    try {
      if (isAccepted(named, own)) return true;
    } catch (error) {
      refusal ??= error;
    }
  }
  if (refusal !== undefined) throw refusal;
  return false;
}

export function unverified(name: string): BoxctlError {
  return new BoxctlError(
    'E_SIGNATURE_UNVERIFIED',
    `the store has the image ${name}, and it is not known that it is signed as it must be`,
    { hint: `its registry has to be asked for the signature: boxctl pull, or another \`pull_policy\` than never` },
  );
}

/** A signature that an image had to have. */
export interface SignedBy extends Verified {
  /** The other repository that it had to name. */
  readonly identity: string | undefined;
}

type Source = Pick<RegistryReader, 'manifest' | 'document' | 'referrers'>;

/** All signatures that are demanded of an image with these digests. Throws as demandsOn and verifySignatures do. */
export async function verifyAll(
  client: Source,
  reference: Reference,
  digests: readonly string[],
  own: Verification | undefined,
  events: Events,
): Promise<readonly SignedBy[]> {
  const signed: SignedBy[] = [];
  for (const demanded of demandsOn(reference, own)) {
    const image = { repository: reference, name: writeReference(reference), digests };
    signed.push({ ...(await verifySignatures(client, image, demanded, events)), identity: demanded.identity });
  }
  return signed;
}

/** Verifies what is demanded of an image before more than its manifests is fetched. What was verified is added to `signed`. */
export function approval(
  client: Source,
  reference: Reference,
  { verify: own, index }: { readonly verify?: Verification; readonly index?: string },
  events: Events,
  signed: string[],
): Approve {
  return async (digests) => {
    if (demandsOn(reference, own).length === 0) return;
    const all = index === undefined ? digests : await withIndex(client, reference, digests, index, events);
    for (const { key, identity } of await verifyAll(client, reference, all, own, events)) {
      signed.push(signedBy(key.fingerprint, identity));
    }
  };
}

/**
 * The digests with that of an index before them, if the index really has the first of them. A digest is often that of one
 * platform, and the signature that of the index.
 */
async function withIndex(
  client: Source,
  reference: Reference,
  digests: readonly string[],
  index: string,
  events: Events,
): Promise<readonly string[]> {
  if (digests.includes(index)) return digests;
  let manifests: unknown;
  try {
    const { bytes } = await client.manifest({ ...reference, tag: undefined, digest: index }, events);
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    manifests = isRecord(value) ? value['manifests'] : undefined;
  } catch (error) {
    const isGone = error instanceof BoxctlError && error.code === 'E_REGISTRY_NOT_FOUND';
    if (!isGone && !(error instanceof SyntaxError)) throw error;
  }
  const [first] = digests;
  const has = Array.isArray(manifests) && manifests.some((one: unknown) => isRecord(one) && one['digest'] === first);
  return has ? [index, ...digests] : digests;
}
