/** `image verify`: whether an image of a registry is signed as it must be. Nothing but its manifests and signatures is fetched. */
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import { BoxctlError } from '../../../errors.ts';
import { readBounded } from '../../../files/read.ts';
import { checkSigned, type CheckedImage } from '../../../image/check-signed.ts';
import { parsePlatformName } from '../../../spec/platform.ts';
import { parsePublicKey, type PublicKey } from '../../../spec/public-key.ts';
import type { Verification } from '../../../spec/spec.ts';
import { repositoryOf } from '../../../text/image-name.ts';
import { safeJson } from '../../../text/safe.ts';
import type { Arguments, Invocation, Run } from '../../command.ts';
import { hostFacts } from '../../environment.ts';
import { jsonMessages, textMessages } from '../../messages.ts';
import { wantsColor, writeOutput } from '../../output.ts';

const usage = (message: string, hint: string): BoxctlError => new BoxctlError('E_USAGE', message, { hint });

function keyOf(text: string, { cwd }: Invocation): PublicKey {
  const path = text.startsWith('~/') ? resolve(homedir(), text.slice(2)) : resolve(cwd, text);
  const read = readBounded(path, { regular: true });
  const key =
    read.text === undefined
      ? { problem: read.problem, hint: 'it must be a file that you may read' }
      : parsePublicKey(read.text, text);
  if (!('problem' in key)) return key;
  const { problem, hint } = key;
  throw new BoxctlError('E_SIGNATURE_KEY', `the public key ${text} cannot be used: ${problem}`, { hint });
}

/** What the options say. Undefined: what the policies demand is enough. */
function verificationOf(invocation: Invocation): Verification | undefined {
  const { args } = invocation;
  const [keys, named] = [args.values('key'), args.value('identity')];
  if (keys.length === 0) {
    if (named === undefined) return undefined;
    throw usage('--identity is about a signature, and no --key says whose', 'add --key cosign.pub');
  }
  const identity = named === undefined ? undefined : repositoryOf(named);
  if (named !== undefined && identity === undefined) {
    throw usage(`--identity ${named} is no repository in full, without a tag`, 'docker.io/library/alpine');
  }
  const read = keys.map((key) => keyOf(key, invocation));
  return identity === undefined ? { keys: read } : { keys: read, identity };
}

function platformOf(args: Arguments): string | undefined {
  const text = args.value('platform');
  const platform = text === undefined ? undefined : parsePlatformName(text);
  if (text === undefined || platform !== undefined) return platform;
  throw usage(`--platform ${text} is no platform`, 'OS/ARCHITECTURE[/VARIANT]: linux/arm64');
}

function tell({ reference, digest, signed }: CheckedImage, isJson: boolean): void {
  const by = signed.map(({ key, digest: of, identity }) => ({
    digest: of,
    key: key.path,
    fingerprint: `sha256:${key.fingerprint}`,
    identity,
  }));
  if (isJson) writeOutput(`${safeJson({ reference, digest, signed: by })}\n`);
  else writeOutput(`${digest} ${reference} is signed by ${by.map(({ key }) => key).join(' and by ')}\n`);
}

export const imageVerify: Run = async (invocation) => {
  const { args, env } = invocation;
  const isJson = args.flag('json');
  const messages = isJson ? jsonMessages : textMessages(wantsColor(2, env), false);
  try {
    const own = verificationOf(invocation);
    const platform = platformOf(args);
    const host = hostFacts(invocation);
    for (const name of args.positionals) tell(await checkSigned(name, { own, platform, host }), isJson);
    return 0;
  } catch (error) {
    return messages.failure(error);
  }
};
