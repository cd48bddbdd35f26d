/** `pull` and `image pull`: images of registries, by a file or by their references. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { BoxctlError } from '../../errors.ts';
import { pullGivenUp, reportImport } from '../../container/import-image.ts';
import { withLock } from '../../container/lock.ts';
import { asksRegistry, judgeRegistries } from '../../container/registry-demands.ts';
import type { HostFacts } from '../../host/facts.ts';
import { findImage, isDue, pullReference } from '../../image/resolve.ts';
import type { PulledImage, PullSource } from '../../image/pull.ts';
import { findReference } from '../../image/names.ts';
import { imageOwnership } from '../../model/compile.ts';
import type { Demand } from '../../model/demand.ts';
import type { ImageFacts } from '../../model/image.ts';
import { noReference } from '../../registry/reference.ts';
import { loadSpecText } from '../../spec/load.ts';
import { parsePlatformName } from '../../spec/platform.ts';
import { parsePullPolicy } from '../../spec/pull-policy.ts';
import type { SpecDocument } from '../../spec/spec.ts';
import { isProblem, parseImageName } from '../../text/image-name.ts';
import { safeJson } from '../../text/safe.ts';
import type { Arguments, Invocation, Run } from '../command.ts';
import { hostFacts, loadDocument, specFile } from '../environment.ts';
import { homeOf } from '../home.ts';
import { importView } from '../import-view.ts';
import { jsonMessages, textMessages, type Messages } from '../messages.ts';
import { wantsColor, writeMessage, writeOutput } from '../output.ts';
import { checkDemands, permitsOf } from '../trust.ts';

const usage = (message: string, hint: string): BoxctlError => new BoxctlError('E_USAGE', message, { hint });

type Wishes = Pick<PullSource, 'platform' | 'pullPolicy'>;

/** What the options say. */
function wishesOf(args: Arguments): Wishes {
  const [platform, policy] = [args.value('platform'), args.value('policy')];
  const parsed = platform === undefined ? undefined : parsePlatformName(platform);
  if (platform !== undefined && parsed === undefined) {
    throw usage(`--platform ${platform} is no platform`, 'OS/ARCHITECTURE[/VARIANT]: linux/arm64');
  }
  const pullPolicy = policy === undefined ? undefined : parsePullPolicy(policy);
  if (policy !== undefined && pullPolicy === undefined) {
    throw usage(`--policy ${policy} is no policy`, 'missing, always, never, daily, weekly, or every_12h');
  }
  return {
    ...(parsed === undefined ? {} : { platform: parsed }),
    ...(pullPolicy === undefined ? {} : { pullPolicy }),
  };
}

function sourceOf(name: string, wishes: Wishes): PullSource {
  const parsed = parseImageName(name);
  if (isProblem(parsed)) throw noReference(name, parsed);
  return { kind: 'reference', name, ...wishes };
}

/** What is wanted, and by the ids of which file. */
interface Order {
  readonly source: PullSource;
  readonly document: SpecDocument;
  /** Throws where the image is another than the lock of the file has. */
  readonly check?: (image: ImageFacts) => void;
}

/** The ids of a file that says nothing about them; for others, an image that is unpacked is unpacked anew. */
function plainDocument({ env }: Invocation): SpecDocument {
  return loadSpecText('image: {host_tools: [sh]}\n', 'pull', { env: {}, home: homeOf(env), folder: '/' });
}

/** The image of a file, as its lock has it. What the command line says goes before what the file says. */
async function orderOf(
  invocation: Invocation,
  file: string,
  wishes: Wishes,
  host: HostFacts,
  messages: Messages,
): Promise<Order> {
  const given = loadDocument(invocation, file);
  const { image } = given.spec;
  if (image?.kind === 'reference') {
    // Who says `pull` wants what the tag points to now.
    const { pullPolicy: _, ...source } = image;
    const wanted: PullSource = { ...source, ...wishes };
    const document = { ...given, spec: { ...given.spec, image: wanted } };
    const lock = withLock(document, host, {
      locked: invocation.args.flag('locked'),
      onWarning: (message, at) => messages.warning(message, at),
    });
    const locked = lock.document.spec.image;
    const found = locked?.kind === 'reference' ? locked : wanted;
    const permits = permitsOf(invocation);
    const judge = (demands: readonly Demand[]): void => checkDemands(invocation, document, demands, permits);
    if (asksRegistry(found, host)) await judgeRegistries(document, found, invocation.env, judge);
    return { source: found, document, check: (pulled) => lock.checkImage(pulled) };
  }
  throw new BoxctlError('E_USAGE', `the image of ${file} is not one of a registry: there is nothing to pull`, {
    hint: 'an archive is imported by `boxctl up`, or by `boxctl image import`',
  });
}

/** A word is a file where there is one, or where it can be nothing else. */
function isFile({ cwd }: Invocation, word: string): boolean {
  return /^[./~]|\.ya?ml$/u.test(word) || statSync(resolve(cwd, word), { throwIfNoEntry: false })?.isFile() === true;
}

/** Without a policy a registry is asked each time. */
async function pullOrFind(
  { source, document }: Order,
  host: HostFacts,
  hooks: Parameters<typeof pullReference>[3],
): Promise<PulledImage> {
  const ownership = imageOwnership(document, host);
  const { pullPolicy = 'always' } = source;
  const found = pullPolicy === 'always' ? undefined : findImage(source, ownership, host);
  const named = findReference(host.dirs.store, source.name, source.platform);
  if (found !== undefined && named !== undefined && !isDue(source, host)) {
    const digest = named.pulled?.index ?? named.pulled?.manifest ?? found.digest;
    return { image: found, reference: named.name, digest: `sha256:${digest}`, wasThere: true };
  }
  if (pullPolicy === 'never') {
    throw new BoxctlError('E_IMAGE_NOT_FOUND', `the store has no image "${source.name}"`, {
      hint: '`never` keeps it from being pulled',
    });
  }
  return pullReference(source, ownership, host, hooks);
}

async function pullAll(
  invocation: Invocation,
  orders: (host: HostFacts, messages: Messages) => readonly (Order | Promise<Order>)[],
): Promise<number> {
  const { args, env } = invocation;
  const mode = args.flag('json') ? 'json' : args.flag('quiet') ? 'quiet' : 'auto';
  const messages = mode === 'json' ? jsonMessages : textMessages(wantsColor(2, env), mode === 'quiet');
  try {
    const host = hostFacts(invocation);
    const reporter = { ...messages, importing: (name: string) => importView(name, mode, env) };
    for (const each of orders(host, messages)) {
      const order = await each;
      const options = { title: order.source.name, reporter, takesSignals: true, gaveUp: pullGivenUp };
      const pulled = await reportImport(options, (hooks) => pullOrFind(order, host, hooks));
      order.check?.(pulled.image);
      tell(pulled, mode, messages);
    }
    return 0;
  } catch (error) {
    return messages.failure(error);
  }
}

function tell(pulled: PulledImage, mode: 'json' | 'quiet' | 'auto', messages: Messages): void {
  const { reference, digest, image, wasThere } = pulled;
  if (mode === 'json') {
    const event = { event: 'pulled', reference, digest, image: image.digest, was_there: wasThere };
    writeMessage(`${safeJson(event)}\n`);
  } else if (wasThere && mode === 'auto') {
    messages.notice(`${reference} is what the store has already`, undefined);
  }
  writeOutput(mode === 'quiet' ? `${digest}\n` : `${digest} ${reference}\n`);
}

export const imagePull: Run = (invocation) => {
  const { positionals } = invocation.args;
  const wishes = wishesOf(invocation.args);
  return pullAll(invocation, () =>
    positionals.map((name) => ({ source: sourceOf(name, wishes), document: plainDocument(invocation) })),
  );
};

export const pull: Run = (invocation) => {
  const { positionals } = invocation.args;
  const wishes = wishesOf(invocation.args);
  return pullAll(invocation, (host, messages) => {
    const words = positionals.length > 0 ? positionals : [specFile(invocation)];
    return words.map((word) =>
      positionals.length === 0 || isFile(invocation, word)
        ? orderOf(invocation, word, wishes, host, messages)
        : { source: sourceOf(word, wishes), document: plainDocument(invocation) },
    );
  });
};
