/**
 * Plans that work on the image store: unpacking a tree and removing one. Both run where nothing but the tree can be
 * seen, as the one who owns it, so that what an archive says can do no harm outside.
 */
import type { HostFacts } from '../host/facts.ts';
import type { Ownership } from '../image/image.ts';
import type { OciConfig } from '../oci/config.ts';
import type { Model } from '../oci/model.ts';
import { AT_FDCWD, type Fd } from './calls.ts';
import { O, PR } from './constants.ts';
import { inside, onHost, planContext, type PlanContext } from './context.ts';
import { isolateMounts, planClone, dieWithParent } from './namespaces.ts';
import { PLAN_VERSION, type Plan } from './plan.ts';
import { openTree, pivot } from './root.ts';
import { dropPrivileges } from './security.ts';
import { attach, byDefault, Steps } from './steps.ts';
import { becomeRoot, planMaps } from './users.ts';

/** Making files of any owner and kind, and nothing else. */
const FILE_CAPABILITIES = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_MKNOD',
  'CAP_SETFCAP',
];

function workerModel(name: string, ownership: Ownership | undefined): Model {
  const capabilities = { bounding: FILE_CAPABILITIES, permitted: FILE_CAPABILITIES, effective: FILE_CAPABILITIES };
  const maps = (ids: Ownership['uidMap']) =>
    ids.map((map) => ({ containerID: map.container, hostID: map.host, size: map.size }));
  const user = ownership === undefined ? [] : [{ type: 'user' } as const];
  const config: OciConfig = {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: 0, gid: 0, umask: 0 },
      args: [],
      env: [],
      cwd: '/',
      capabilities: { ...capabilities, inheritable: [], ambient: [] },
      noNewPrivileges: true,
    },
    root: { path: '/', readonly: false },
    mounts: [],
    linux: {
      namespaces: [...user, { type: 'mount' }, { type: 'pid' }, { type: 'ipc' }],
      ...(ownership === undefined ? {} : { uidMappings: maps(ownership.uidMap), gidMappings: maps(ownership.gidMap) }),
    },
  };
  return {
    name,
    config,
    init: false,
    stdinOpen: false,
    because: () => byDefault('confined work on the image store'),
    dropped: [],
    demands: [],
    warnings: [],
    mountNotes: new Map(),
  };
}

/** Everything up to a process that sees `folder` as its root and nothing else, and that owns what is in it. */
function confine(folder: string, ownership: Ownership | undefined, host: HostFacts, name: string): PlanContext {
  const steps = new Steps();
  const context = planContext(workerModel(name, ownership), undefined, host, steps);
  const because = byDefault('confined work on the image store');
  // Entered by the launcher, because the container's own ids may not be allowed to walk there.
  steps.add(onHost('sources', because), 'folder', 'chdir', { path: folder });
  planClone(context, { birthplace: undefined, tasks: [], reports: [] });
  planMaps(context);
  becomeRoot(context);
  const place = inside('security', because);
  steps.add(place, 'dumpable', 'prctl', { option: PR.PR_SET_DUMPABLE, arg2: 0, arg3: 0, arg4: 0, arg5: 0 });
  isolateMounts(context);
  const root = openTree(context, inside('root', because), 'root', '.', false);
  attach(steps, inside('root', because), 'root.attach', root, AT_FDCWD);
  pivot(context, root);
  dropPrivileges(context);
  dieWithParent(context, 'pdeathsig');
  return context;
}

function openRoot(context: PlanContext): Fd {
  const flags = O.O_RDONLY | O.O_DIRECTORY | O.O_CLOEXEC;
  const place = inside('command', byDefault('confined work on the image store'));
  return context.steps.add(place, 'target', 'openat2', { dirfd: AT_FDCWD, pathname: '/', flags, mode: 0, resolve: 0 });
}

function finish(context: PlanContext): Plan {
  const { model, steps } = context;
  const { name, dropped, demands, warnings } = model;
  const rest = { reports: [], terminal: undefined, dropped, demands, warnings };
  return { version: PLAN_VERSION, name, steps: steps.list, ...rest };
}

/**
 * Unpacks the tar stream of descriptor 0 into the existing folder `target` and writes one line of JSON to descriptor 2.
 * With `ownership`, `target` must belong to the host id of the map's root.
 */
export function planUnpack(options: {
  readonly target: string;
  readonly ownership: Ownership | undefined;
  readonly host: HostFacts;
}): Plan {
  const context = confine(options.target, options.ownership, options.host, 'unpack');
  const dirfd = openRoot(context);
  context.steps.add(inside('command', byDefault('unpack the archive')), 'unpack', 'unpack', { dirfd });
  return finish(context);
}

/** Removes the tree `name` in the folder `parent`, whose files may belong to ids that the caller has only by the map. */
export function planRemove(options: {
  readonly parent: string;
  readonly name: string;
  readonly ownership: Ownership | undefined;
  readonly host: HostFacts;
}): Plan {
  const context = confine(options.parent, options.ownership, options.host, 'remove');
  const dirfd = openRoot(context);
  const place = inside('command', byDefault('remove the tree'));
  context.steps.add(place, 'rmtree', 'rmtree', { dirfd, pathname: options.name }, { undo: 'none' });
  return finish(context);
}
