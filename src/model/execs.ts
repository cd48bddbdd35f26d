/** Commands that the launcher runs in the container beside its own: the health check, and hooks. */
import type { OciCapabilities, OciProcess } from '../oci/config.ts';
import { parseTest } from '../spec/execs.ts';
import type { HealthTimes, Hook, Spec } from '../spec/spec.ts';
import type { Because } from './because.ts';
import { UNKNOWN_IMAGE, type ImageFacts, type Ownership } from './image.ts';
import type { Problems } from './problems.ts';
import type { Reasons } from './reasons.ts';
import { isMapped, resolveUser, type ResolvedUser } from './users.ts';

export type ModelExec = {
  readonly process: OciProcess;
  readonly because: Because;
} & (
  | { readonly kind: 'health'; readonly times: HealthTimes }
  | { readonly kind: 'post_start' | 'pre_stop'; readonly times?: never }
);

/** Docker's. */
const DEFAULT_TIMES: HealthTimes = {
  interval: 30_000,
  timeout: 30_000,
  startPeriod: 0,
  startInterval: 5000,
  retries: 3,
};

/** Another user than the container's own, with what it may have: root has what the container's root may have. */
export function withUser(process: OciProcess, user: ResolvedUser): OciProcess {
  const { umask } = process.user;
  return {
    ...process,
    user: {
      uid: user.uid,
      gid: user.gid,
      ...(umask === undefined ? {} : { umask }),
      ...(user.additionalGids.length === 0 ? {} : { additionalGids: [...user.additionalGids] }),
    },
    capabilities: capabilitiesOf(process, user.uid),
  };
}

/** Root has what the container's root may have; another user what every user of it has. */
function capabilitiesOf({ user, capabilities }: OciProcess, uid: number): OciCapabilities {
  if (uid === user.uid) return capabilities;
  const { bounding, ambient } = capabilities;
  if (uid === 0) return { bounding, effective: bounding, permitted: bounding, inheritable: [], ambient: [] };
  return { bounding, effective: ambient, permitted: ambient, inheritable: ambient, ambient };
}

/** `values` win over what is there. */
export function withEnvironment(env: readonly string[], values: Readonly<Record<string, string>>): string[] {
  const given = env.map((entry): [string, string] => {
    const at = entry.indexOf('=');
    return [entry.slice(0, at), entry.slice(at + 1)];
  });
  return Object.entries({ ...Object.fromEntries(given), ...values }).map(([name, value]) => `${name}=${value}`);
}

function compileHealth(
  { healthcheck }: Spec,
  image: ImageFacts | undefined,
  process: OciProcess,
  reasons: Reasons,
  problems: Problems,
): ModelExec | undefined {
  const ofImage = image?.defaults.healthcheck;
  const imageTest = ofImage === undefined ? undefined : parseTest(ofImage.test);
  if (healthcheck?.isOff === true) return undefined;
  const test = healthcheck?.test ?? (imageTest === 'none' ? undefined : imageTest);
  if (test === undefined) {
    if (healthcheck !== undefined && image !== UNKNOWN_IMAGE) {
      problems.add(
        'E_NO_HEALTH_TEST',
        'healthcheck',
        'there is nothing to check: `healthcheck` has no `test`, and the image has none',
        'add `test: [CMD, program, argument…]`, or take `healthcheck` out',
      );
    }
    return undefined;
  }
  const { test: _test, ...imageTimes } = ofImage ?? { test: [] };
  const { isOff: _isOff, test: _own, ...ownTimes } = healthcheck ?? { isOff: false };
  const because =
    healthcheck?.test === undefined
      ? reasons.of('healthcheck', 'health check of the image')
      : reasons.of('healthcheck.test', 'health check');
  return {
    kind: 'health',
    process: { ...process, terminal: false, args: [...test] },
    because,
    times: { ...DEFAULT_TIMES, ...imageTimes, ...ownTimes },
  };
}

function compileHook(
  kind: 'post_start' | 'pre_stop',
  hook: Hook,
  { spec, image, maps, process, reasons, problems }: Given,
): ModelExec {
  const { specPath } = hook;
  const user = hook.user === undefined ? undefined : resolveUser(hook.user, image, atPath(problems, specPath));
  if (user !== undefined && !(isMapped(maps?.uidMap, user.uid) && isMapped(maps?.gidMap, user.gid))) {
    problems.add(
      'E_USER_NOT_MAPPED',
      `${specPath}.user`,
      'the container has no such user or group: it is in none of its maps',
    );
  }
  if (hook.privileged && !spec.privileged) {
    problems.add(
      'E_HOOK_PRIVILEGED',
      `${specPath}.privileged`,
      'a command in a container has no more rights than the container itself',
      'take `privileged` out, or let it do the work as another user: `user: root`',
    );
  }
  const own = user === undefined ? process : withUser(process, user);
  return {
    kind,
    process: {
      ...own,
      terminal: false,
      args: [...hook.command],
      cwd: hook.workingDir ?? own.cwd,
      env: withEnvironment(own.env, { ...(user === undefined ? {} : { HOME: user.home }), ...hook.environment }),
    },
    because: reasons.of(specPath, kind),
  };
}

/** The same problems, at the hook in place of the container's `user`. */
function atPath(problems: Problems, specPath: Hook['specPath']): Pick<Problems, 'add'> {
  return { add: (code, _path, message, hint) => problems.add(code, `${specPath}.user`, message, hint) };
}

interface Given {
  readonly spec: Spec;
  readonly image: ImageFacts | undefined;
  readonly maps: Ownership | undefined;
  readonly process: OciProcess;
  readonly reasons: Reasons;
  readonly problems: Problems;
}

export function compileExecs(given: Given): readonly ModelExec[] {
  const { spec, image, process, reasons, problems } = given;
  const health = compileHealth(spec, image, process, reasons, problems);
  return [
    ...(health === undefined ? [] : [health]),
    ...(spec.postStart ?? []).map((hook) => compileHook('post_start', hook, given)),
    ...(spec.preStop ?? []).map((hook) => compileHook('pre_stop', hook, given)),
  ];
}
