import { BoxctlError } from '../../../errors.ts';
import type { HostFacts } from '../../../host/facts.ts';
import { reportImport } from '../../../container/import-image.ts';
import { findReference } from '../../../image/names.ts';
import { pushImages, type PushedImage } from '../../../image/push.ts';
import { openClient } from '../../../registry/client.ts';
import { pushLocationOf, readRegistries } from '../../../registry/config.ts';
import { registryOptions } from '../../../registry/person.ts';
import { inRegistry, noReference, writeReference, type Reference } from '../../../registry/reference.ts';
import { parsePlatformName } from '../../../spec/platform.ts';
import { isProblem, parseImageName } from '../../../text/image-name.ts';
import { safeJson } from '../../../text/safe.ts';
import type { Run } from '../../command.ts';
import { hostFacts } from '../../environment.ts';
import { homeOf } from '../../home.ts';
import { importView } from '../../import-view.ts';
import { jsonMessages, textMessages } from '../../messages.ts';
import { wantsColor, writeMessage, writeOutput } from '../../output.ts';
import { packingOf } from './packing.ts';
import { selectImage } from './select.ts';

const usage = (message: string, hint: string): BoxctlError => new BoxctlError('E_USAGE', message, { hint });

/** Where it goes. A registry has to be named: what is meant for a registry of one's own must not become public by an oversight. */
function targetOf(text: string): Reference {
  const name = parseImageName(text);
  if (isProblem(name)) throw noReference(text, name);
  if (name.registry === undefined) {
    throw usage(`"${text}" does not say to which registry it is to be pushed`, `in full: docker.io/YOU/${name.path}`);
  }
  const reference = inRegistry(name, name.registry);
  if (reference.digest === undefined) return reference;
  throw usage('a digest cannot be chosen: it is what comes out', `a tag: ${name.registry}/${name.path}:TAG`);
}

/** The images to push: each name for each platform that is asked for. Throws `E_IMAGE_NOT_FOUND`. */
function imagesOf(names: readonly string[], platforms: readonly string[], host: HostFacts): readonly PushedImage[] {
  if (platforms.length === 0) return names.map((name) => ({ digest: selectImage(name, host).digest, name }));
  return names.flatMap((name) =>
    platforms.map((platform) => {
      const digest = findReference(host.dirs.store, name, platform)?.digest;
      const image = selectImage(digest ?? name, host);
      if (image.records.some((record) => record.platform === platform)) return { digest: image.digest, name };
      throw new BoxctlError('E_IMAGE_NOT_FOUND', `the store has no image "${name}" for ${platform}`, {
        hint: `boxctl image pull --platform ${platform} ${name}`,
      });
    }),
  );
}

export const imagePush: Run = async (invocation) => {
  const { args, env } = invocation;
  const given = args.positionals;
  const names = given.length === 1 ? given : given.slice(0, -1);
  const platforms = args.values('platform').map((text) => {
    const platform = parsePlatformName(text);
    if (platform === undefined)
      throw usage(`--platform ${text} is no platform`, 'OS/ARCHITECTURE[/VARIANT]: linux/arm64');
    return platform;
  });
  const isChosen = args.value('compression') !== undefined || args.value('level') !== undefined;
  const packing = isChosen ? packingOf(args, 'gzip') : undefined;
  const mode = args.flag('json') ? 'json' : args.flag('quiet') ? 'quiet' : 'auto';
  const messages = mode === 'json' ? jsonMessages : textMessages(wantsColor(2, env), mode === 'quiet');
  try {
    const to = targetOf(given.at(-1) ?? '');
    const host = hostFacts(invocation);
    const images = imagesOf(names, platforms, host);
    const person = { env, home: homeOf(env), note: (message: string) => messages.warning(message, undefined) };
    const config = readRegistries(person);
    // Before anything is compressed: a registry that is blocked is not talked to.
    const location = pushLocationOf(to, config);
    const client = openClient({ ...registryOptions(person, config), pushLocationOf: () => location });
    try {
      const reporter = { ...messages, importing: (name: string) => importView(name, mode, env) };
      const gaveUp = (signal: string): string =>
        `the push was given up (${signal}); what the registry has of it, a later push does not send again`;
      const title = `pushing to ${writeReference(to)}`;
      const pushed = await reportImport({ title, reporter, takesSignals: true, gaveUp }, ({ onProgress, signal }) => {
        const onRetry = (why: string, delay: number): void =>
          messages.warning(`${to.registry}: ${why}; trying again in ${(delay / 1000).toFixed(1)} s`, undefined);
        const options = { packing, epoch: env['SOURCE_DATE_EPOCH'], onProgress, signal, onRetry };
        return pushImages(images, to, client, options, host);
      });
      const { digest, sent, sentBytes: bytes, present, mounted } = pushed;
      const event = { event: 'pushed', reference: writeReference(to), digest, sent, bytes, present, mounted };
      if (mode === 'json') writeMessage(`${safeJson(event)}\n`);
      writeOutput(`${digest}\n`);
      return 0;
    } finally {
      await client.close();
    }
  } catch (error) {
    return messages.failure(error);
  }
};
