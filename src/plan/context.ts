/** What every part of the planner looks at. */
import type { HostFacts } from '../host/facts.ts';
import type { ImageFacts } from '../model/image.ts';
import type { OciNamespace } from '../oci/config.ts';
import type { Model } from '../model/model.ts';
import type { Because } from '../model/because.ts';
import type { Place, Steps } from './steps.ts';

export type NamespaceState =
  { readonly kind: 'private' } | { readonly kind: 'host' } | { readonly kind: 'path'; readonly path: string };

export interface PlanContext {
  readonly model: Model;
  /** Undefined where the container has no root of its own. */
  readonly image: ImageFacts | undefined;
  readonly host: HostFacts;
  readonly steps: Steps;
  /** The container has a folder of its own that stays, and is left to its launcher (kept.ts). */
  readonly kept: boolean;
  /** Another launcher has run it before: its layer has what is written there once. */
  readonly again: boolean;
  /** The first of the descriptors of the launcher that are mounts of the image's layers; undefined: none are. */
  readonly mounted?: number | undefined;
  namespace(type: OciNamespace['type']): NamespaceState;
  /** Who asked for the namespace to be as it is. */
  becauseNamespace(type: OciNamespace['type']): Because;
  /** boxctl has privileges on the host and the container has a user namespace of its own: owners are shifted by mounts. */
  readonly shiftsOwners: boolean;
}

export function planContext(
  model: Model,
  image: ImageFacts | undefined,
  host: HostFacts,
  steps: Steps,
  kept = false,
  again = false,
): PlanContext {
  const namespaces = model.config.linux.namespaces;
  const indexOf = (type: OciNamespace['type']): number => namespaces.findIndex((entry) => entry.type === type);
  const namespace = (type: OciNamespace['type']): NamespaceState => {
    const entry = namespaces[indexOf(type)];
    if (entry === undefined) return { kind: 'host' };
    return entry.path === undefined ? { kind: 'private' } : { kind: 'path', path: entry.path };
  };
  return {
    model,
    image,
    host,
    steps,
    kept,
    again,
    namespace,
    becauseNamespace: (type) => model.because(`linux.namespaces.${indexOf(type)}`),
    shiftsOwners: host.privileged && namespace('user').kind === 'private',
  };
}

/** Steps of the host's side, made by the launcher. */
export function onHost(group: Place['group'], because: Because): Place {
  return { group, side: 'host', because };
}

/** Steps that are made once for all runs of a container that can be started again. */
export function once({ kept }: PlanContext, place: Place): Place {
  return kept ? { ...place, once: true } : place;
}

/** Steps of the container's first process. */
export function inside(group: Place['group'], because: Because): Place {
  return { group, side: 'container', because };
}
