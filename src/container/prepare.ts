/** From a file to the model of its container: what a run and a bundle have in common. */
import { environment } from '../inputs/environment.ts';
import type { HostFacts } from '../host/facts.ts';
import { givenSockets, otherReceiver } from '../host/sockets.ts';
import { noteGap } from '../inputs/record.ts';
import type { Claims } from '../model/claims.ts';
import { compile, outline, type Overrides } from '../model/compile.ts';
import type { Demand } from '../model/demand.ts';
import type { ImageFacts } from '../model/image.ts';
import type { Model } from '../model/model.ts';
import type { SpecDocument } from '../spec/spec.ts';
import { isDue } from '../image/resolve.ts';
import { claimIds } from '../state/id-ranges.ts';
import type { Ended } from './ended.ts';
import { findImageOf, isUnread, takeImage } from './image-of.ts';
import { unlocked, withLock, type LockedDocument } from './lock.ts';
import { pullGivenUp, reportImport, titleOf } from './import-image.ts';
import { asksRegistry, judgeRegistries } from './registry-demands.ts';
import type { ImportReporter } from './reporter.ts';

/** Throws where the container must not have what it demands of the host. */
export type Judge = (demands: readonly Demand[]) => void;

export interface PrepareOptions {
  readonly host: HostFacts;
  /** Where programs are looked for; that of this process by default. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly reporter: ImportReporter;
  readonly judge: Judge;
  readonly takesSignals: boolean;
  /** Nothing is started from the model: it is given no addresses of the host, and no name is looked up for it. */
  readonly isStatic?: boolean;
  /** Take the image even where the container shares the mount namespace of others and does not see it. */
  readonly alwaysWithImage?: boolean;
  /** The lock beside the file must be there and have all that the file names. By default it is used if it is there. */
  readonly locked?: boolean;
  /** Of a container that is started again: its image, whatever its file and the lock beside that name by now. */
  readonly imageOf?: (document: SpecDocument, host: HostFacts, claims: Claims) => ImageFacts;
  /** A container that was started from a kept plan has ended: its claims are those that it had. */
  readonly ended?: Pick<Ended, 'claim'>;
  /** Claims that were made already, and are not to be released. */
  readonly claimed?: Claims;
  /** What the caller wants in place of what the file says. */
  readonly overrides?: (image: ImageFacts | undefined) => Overrides;
}

export interface Prepared {
  readonly image: ImageFacts | undefined;
  readonly model: Model;
  /** With those of the network where the file has one. */
  readonly host: HostFacts;
  /** To be released at the end of the run. */
  readonly claims: Claimed;
}

interface Claimed extends Claims {
  /** Descriptors that hold the claims: a launcher that keeps them open keeps what was claimed. */
  readonly locks: readonly number[];
  release(): void;
}

/**
 * Reads the lock beside the file, judges the file, claims its ids and addresses, finds or imports its image, compiles its model and judges that. A file that
 * is refused is given nothing, and nothing of its image is read. Where no ids are chosen, nobody is asked, and the image is in the store, it is
 * judged once, with its model: a claim of an address is given back then.
 */
export async function prepare(given: SpecDocument, options: PrepareOptions): Promise<Prepared> {
  const { judge, overrides, env, reporter, locked = false, isStatic = false } = options;
  const wanted = isStatic ? withoutNetwork(given) : given;
  const onWarning: ImportReporter['warning'] = (message, at) => reporter.warning(message, at);
  const lock = options.imageOf === undefined ? withLock(wanted, options.host, { locked, onWarning }) : unlocked(wanted);
  const { document } = lock;
  const facts = withSockets(document, await withNetworkFacts(document, options.host, env), { env, reporter });
  const isFirst = document.spec.autoIds !== undefined || asksOthers(document) || isUnread(document);
  if (isFirst) judge(outline(document, facts).demands);
  const claims = await claimFor(document, facts, options);
  const host = inJoinedUser(facts, claims);
  try {
    const image = await imageOf(lock, claims, { ...options, host });
    const model = compile(document, image, host, overrides?.(image), claims);
    judge(model.demands);
    return { image, model, host, claims };
  } catch (error) {
    claims.release();
    throw error;
  }
}

/** In the user namespace of another container (src/model/joined-user.ts) setgroups(2) may be forbidden. */
function inJoinedUser(host: HostFacts, { joined }: Claims): HostFacts {
  return host.privileged || joined?.user?.setsGroups !== false ? host : { ...host, setsGroups: false };
}

/** The same with `lo` alone: other runtimes make no interface. */
function withoutNetwork(document: SpecDocument): SpecDocument {
  const { network, extraHosts = [], ...spec } = document.spec;
  if (network === undefined) return document;
  return { ...document, spec: { ...spec, extraHosts: extraHosts.filter(({ address }) => address !== 'host-gateway') } };
}

/** Whether the host's network has to be looked at for the file. */
export function usesNetwork({ spec: { network, namespaces } }: SpecDocument): boolean {
  return network !== undefined || namespaces.net.kind === 'container';
}

/** Whether the claim of its network asks somebody: name servers, or a container whose network it joins. An address it has only locked. */
function asksOthers({ spec: { network, namespaces } }: SpecDocument): boolean {
  return namespaces.net.kind === 'container' || network?.egress?.some(({ to }) => to.kind === 'name') === true;
}

/** The sockets that boxctl was started with are looked at for a file that asks for them. */
export function withSockets(
  { spec, where }: SpecDocument,
  host: HostFacts,
  { env = environment, reporter }: { readonly env?: PrepareOptions['env']; readonly reporter?: ImportReporter },
): HostFacts {
  if (spec.socketActivation === undefined) return host;
  const at = where('socket_activation');
  const other = otherReceiver(env);
  if (other !== undefined) {
    reporter?.warning(
      `the sockets of LISTEN_FDS are for the process ${other}, which is not boxctl: none is passed on`,
      at,
    );
  }
  const sockets = givenSockets(env, at === undefined ? {} : { at });
  return sockets === undefined ? host : { ...host, sockets };
}

/** Nothing of the host's network is looked at, and no code for it is loaded, for a file without one. */
export async function withNetworkFacts(
  document: SpecDocument,
  host: HostFacts,
  env: PrepareOptions['env'] = environment,
): Promise<HostFacts> {
  if (!usesNetwork(document)) return host;
  if (asksOthers(document))
    noteGap('names in `egress`, or the network of another container, are looked up for each start');
  const { withNetwork } = await import('../host/network.ts');
  return withNetwork(host, env);
}

async function claimFor(document: SpecDocument, host: HostFacts, options: PrepareOptions): Promise<Claimed> {
  if (options.claimed !== undefined) return { ...options.claimed, locks: [], release: () => undefined };
  const ids = claimIds(document, host);
  if (!usesNetwork(document)) return ids;
  try {
    const { release, locks, ...claims } = await claimOfNetwork(document, host, options);
    return {
      ...ids,
      ...claims,
      locks: [...ids.locks, ...locks],
      release: () => {
        release();
        ids.release();
      },
    };
  } catch (error) {
    ids.release();
    throw error;
  }
}

/** A container's own network, or that of another container; nothing for a file without either. */
export async function claimOfNetwork(
  document: SpecDocument,
  host: HostFacts,
  { isStatic = false, ended }: Pick<PrepareOptions, 'isStatic' | 'ended'> = {},
): Promise<Claimed> {
  if (!usesNetwork(document) || (isStatic && document.spec.network !== undefined))
    return { locks: [], release: () => undefined };
  if (document.spec.network === undefined) {
    return (await import('./join-container.ts')).joinContainer(document, host, isStatic);
  }
  return (await import('./network-claims.ts')).claimNetwork(document, host, ended?.claim);
}

async function imageOf(
  { document, checkImage, explain }: LockedDocument,
  claims: Claims,
  { host, env, judge, reporter, takesSignals, alwaysWithImage = false, imageOf: madeFrom }: PrepareOptions,
): Promise<ImageFacts | undefined> {
  const { image: source, namespaces } = document.spec;
  if (source === undefined || (namespaces.mount.kind !== 'private' && !alwaysWithImage)) return undefined;
  if (madeFrom !== undefined) return madeFrom(document, host, claims);
  const found = findImageOf(document, source, host, claims);
  if (found !== undefined && !isDue(source, host)) {
    checkImage(found);
    return found;
  }
  // An import reads files of the host, and runs its programs: not before the file is allowed.
  judge(outline(document, host).demands);
  if (asksRegistry(source, host)) await judgeRegistries(document, source, env, judge);
  const gaveUp = source.kind === 'reference' ? pullGivenUp : undefined;
  try {
    const image = await reportImport({ title: titleOf(source), reporter, takesSignals, gaveUp }, (hooks) =>
      takeImage(document, source, host, claims, hooks),
    );
    checkImage(image);
    return image;
  } catch (error) {
    throw explain(error);
  }
}
