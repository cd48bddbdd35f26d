/** A folder with a container.yaml, and the callers that boxctl is tested for. */
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { gatherHostFacts } from '../../src/host/gather.ts';
import { boxctl, CLONE, type Ended, type RunOptions } from './boxctl.ts';
import { CONTAINER_NAME, hostState } from './host-state.ts';
import { busyboxRootfs } from './rootfs.ts';
import { tempFolder } from './temp.ts';
import { isRoot, testUser, type TestUser } from './user.ts';

export interface Caller {
  readonly title: string;
  readonly user: TestUser | undefined;
  /** As the host numbers it. */
  readonly uid: number;
  /** Keys that every file of this caller's has. */
  readonly keys: Readonly<Record<string, unknown>>;
  /** What root inside is outside. */
  readonly rootOutside: number;
  readonly store: string;
  readonly stateFolder: string;
}

const own = process.getuid?.() ?? 0;
/** One for each clone: the store of one state of the code is not what another expects. */
const storeOf = (uid: number): string => `/var/tmp/boxctl-test-store-${uid}-${CLONE}`;

/** The one that runs the tests. */
export const self: Caller = {
  title: isRoot ? 'root' : 'an ordinary user',
  user: undefined,
  uid: own,
  keys: {},
  rootOutside: isRoot ? 524_288 : own,
  store: storeOf(own),
  stateFolder: isRoot ? '/run/boxctl' : `/tmp/boxctl-${own}`,
};

function ordinary(title: string, user: TestUser, keys: Caller['keys']): Caller {
  const { uid } = user;
  return { title, user, uid, keys, rootOutside: uid, store: storeOf(uid), stateFolder: `/tmp/boxctl-${uid}` };
}

/** Root, and an ordinary user with subordinate ids and with his own id alone, as far as they can be had here. */
export const callers: readonly Caller[] = [
  self,
  ...(testUser === undefined
    ? []
    : [
        ordinary('an ordinary user with subordinate ids', testUser, {}),
        ordinary('an ordinary user with no id but his own', testUser, {
          uid_map: [`0:${testUser.uid}:1`],
          gid_map: [`0:${testUser.gid}:1`],
        }),
      ]),
];

export const state = ({ stateFolder, store }: Caller): object => hostState({ stateFolder, store });

/** Whether this test's process may limit memory, processes and processors: it is root, or has a cgroup of its own. */
export const hasLimits: boolean = (['memory', 'pids', 'cpu'] as const).every(
  (controller) => gatherHostFacts(process.env).cgroup.controllers[controller].usable,
);

/** Writes container.yaml, with the small image unless it names another, and gives the folder. */
export function specFolder(spec: Readonly<Record<string, unknown>>, caller: Caller = self): string {
  const folder = tempFolder({ open: true });
  const all = { name: CONTAINER_NAME, image: busyboxRootfs(), ...caller.keys, ...spec };
  const kept = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  writeFileSync(join(folder, 'container.yaml'), stringify(kept));
  if (caller.user !== undefined) chownSync(folder, caller.user.uid, caller.user.gid);
  return folder;
}

/** A folder that the caller owns, to be given to a container. */
export function ownedFolder(caller: Caller, name: string, within: string): string {
  const path = join(within, name);
  mkdirSync(path);
  chmodSync(path, 0o755);
  if (caller.user !== undefined) chownSync(path, caller.user.uid, caller.user.gid);
  return path;
}

export function callerOptions(caller: Caller, cwd: string, options: RunOptions = {}): RunOptions {
  return {
    cwd,
    ...(caller.user === undefined ? {} : { user: caller.user }),
    ...options,
    env: { BOXCTL_STORE: caller.store, ...options.env },
  };
}

export interface UpOptions extends RunOptions {
  readonly args?: readonly string[];
}

/** `boxctl up` of a specification. */
export function up(
  spec: Readonly<Record<string, unknown>>,
  caller: Caller = self,
  { args = ['up'], ...options }: UpOptions = {},
): Promise<Ended> {
  return boxctl(args, callerOptions(caller, specFolder(spec, caller), options));
}

/** `boxctl up` of a script of the small image's shell. */
export function sh(
  script: string,
  spec: Readonly<Record<string, unknown>> = {},
  caller: Caller = self,
  options: UpOptions = {},
): Promise<Ended> {
  return up({ command: ['sh', '-c', script.replaceAll('$', '$$$$')], ...spec }, caller, options);
}
