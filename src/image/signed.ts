/**
 * Who must have signed an image of a registry: what the container file says (`image.verify`), and what the policy files of this
 * machine and person say of its registry. What was verified is remembered with the name by which the image was pulled, so
 * that a start asks nobody.
 */
import { homedir } from 'node:os';
import type { Verification } from '../spec/spec.ts';
import { isProblem, parseImageName } from '../text/image-name.ts';
import { demandedOf } from '../trust/image-rules.ts';
import { readImageRules } from '../trust/policy.ts';
import type { Named } from './names.ts';

/** A repository of a registry. */
interface Repository {
  readonly registry: string;
  readonly repository: string;
}

/**
 * All of it has to be satisfied.
 *
 * @throws BoxctlError E_IMAGE_NOT_ACCEPTED; E_SIGNATURE_KEY, E_POLICY_INVALID, E_POLICY_UNSAFE, E_POLICY_UNREADABLE
 */
export function demandsOn(repository: Repository, own: Verification | undefined): readonly Verification[] {
  const owner = { env: process.env, home: homedir(), euid: process.geteuid?.() ?? 0 };
  const ofPolicies = demandedOf(readImageRules(owner), repository, owner);
  return own === undefined ? ofPolicies : [own, ...ofPolicies];
}

/** A signature that was found, as it is remembered: by which key, and which other repository it had to name. */
export function signedBy(fingerprint: string, { identity }: Verification): string {
  return identity === undefined ? fingerprint : `${fingerprint} ${identity}`;
}

/** Whether it is remembered for an image that one of the keys has signed it. */
function isSatisfied(demanded: Verification, signed: readonly string[]): boolean {
  return demanded.keys.some(({ fingerprint }) => signed.includes(signedBy(fingerprint, demanded)));
}

/**
 * Whether what the store has under a name may be used as it is. A name that a person has given to an image of the store is no
 * image of a registry: only what the file says holds for it. Throws as demandsOn does.
 */
export function isAccepted({ name, pulled }: Named, own: Verification | undefined): boolean {
  const parsed = parseImageName(name);
  if (isProblem(parsed) || parsed.registry === undefined) return own === undefined;
  const demands = demandsOn({ registry: parsed.registry, repository: parsed.path }, own);
  return demands.every((one) => isSatisfied(one, (pulled as { signed?: readonly string[] } | undefined)?.signed ?? []));
}
