/** What a file asks for and an OCI configuration has no words for: another runtime does nothing of it. */
import type { Model } from '../model/model.ts';
import type { Spec } from '../spec/spec.ts';

const hasExec = ({ execs = [] }: Model, kind: string): boolean => execs.some((exec) => exec.kind === kind);

const KEYS: Readonly<Record<string, (spec: Spec, model: Model) => boolean>> = {
  init: ({ init }) => init,
  socket_activation: ({ socketActivation }) => socketActivation === true,
  restart: (_, { restart }) => restart !== undefined,
  healthcheck: (_, model) => hasExec(model, 'health'),
  post_start: (_, model) => hasExec(model, 'post_start'),
  pre_stop: (_, model) => hasExec(model, 'pre_stop'),
  stop_signal: ({ stopSignal }) => stopSignal !== undefined,
  stop_grace_period: ({ stopGracePeriod }) => stopGracePeriod !== undefined,
  'limits.time': (_, { timeLimitMs }) => timeLimitMs !== undefined,
  logging: ({ logging }) => logging !== undefined,
  labels: ({ labels }) => labels !== undefined,
  writable: ({ writable }) => writable === 'tmpfs',
  seccomp: (_, { observes }) => observes !== undefined,
  // It stands in for these namespaces (src/plan/landlock.ts).
  landlock: ({ namespaces: { net, pid } }, { landlock }) => landlock && (net.kind === 'host' || pid.kind === 'host'),
};

/** The keys, as the file has them. */
export const keysWithoutWords = (spec: Spec, model: Model): readonly string[] =>
  Object.entries(KEYS).flatMap(([key, isAsked]) => (isAsked(spec, model) ? [key] : []));
