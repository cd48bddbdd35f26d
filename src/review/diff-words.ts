/** Differences of image, command, environment and names. */
import type { SpecPath } from '../spec/spec-path.ts';
import { DEFAULT_LIMITS } from '../image/limits.ts';
import { isSecret } from '../model/secrets.ts';
import { formatBytes } from '../text/sizes.ts';
import type { GivenFile, Hook, ImageSource, Verification } from '../spec/spec.ts';
import {
  both,
  keyIn,
  moved,
  reworded,
  shown,
  switched,
  type Change,
  type Comparison,
  type Direction,
  type Side,
} from './change.ts';

export const compareImage: Comparison = (old, young) => {
  const [was, is] = [old.document.spec.image, young.document.spec.image];
  const pin = (source: ImageSource | undefined): string | undefined =>
    source?.kind === 'tar' ? source.sha256 : undefined;
  const text = (source: ImageSource | undefined, side: Side): string => {
    if (source === undefined) return 'none';
    if (source.kind === 'folder') return shown(source.path, side);
    if (source.kind === 'reference') return referenceText(source, side);
    if (source.kind !== 'tar') return JSON.stringify(source);
    return `${shown(source.path, side)}${source.wanted === undefined ? '' : `, the image ${source.wanted} in it`}`;
  };
  const [from, to] = [text(was, old), text(is, young)];
  const changes: Change[] = [];
  if (from !== to) changes.push(both('changes', `image ${from} → ${to}`, old, young, 'image'));
  changes.push(...comparePullPolicy(old, young), ...compareSigners(old, young), ...compareImageLimits(old, young));
  if (pin(was) === pin(is)) return changes;
  if (pin(is) === undefined) changes.push(both('gains', 'the image is not pinned any more', old, young, 'image'));
  else if (pin(was) === undefined) changes.push(both('loses', 'the image is pinned', old, young, 'image.sha256'));
  else changes.push(both('changes', `image sha256 ${pin(was)} → ${pin(is)}`, old, young, 'image.sha256'));
  return changes;
};

/** `platform` beside `image` is told by itself. */
function referenceText({ name, platform }: ImageSource & { readonly kind: 'reference' }, { document }: Side): string {
  return platform === undefined || document.spec.platform !== undefined ? name : `${name} for ${platform}`;
}

const comparePullPolicy: Comparison = (old, young) => {
  const policy = ({ document: { spec } }: Side): string | undefined => {
    if (spec.image?.kind !== 'reference') return undefined;
    const { pullPolicy = 'missing' } = spec.image;
    return typeof pullPolicy === 'string' ? pullPolicy : `every ${pullPolicy.every / 1000} s`;
  };
  const [was, is] = [policy(old), policy(young)];
  if (was === undefined || is === undefined || was === is) return [];
  return [both('changes', `pull_policy ${was} → ${is}`, old, young, 'pull_policy', 'image')];
};

/** Who must have signed the image. Keys are compared by what they are: the same one may be in another file. */
const compareSigners: Comparison = (old, young) => {
  const signers = ({ document: { spec } }: Side) => (spec.image?.kind === 'reference' ? spec.image.verify : undefined);
  const [was, is] = [signers(old), signers(young)];
  const place = ['image.verify', 'image'] as const;
  if (was === undefined && is === undefined) return [];
  if (is === undefined) return [both('gains', 'the image need not be signed any more', old, young, ...place)];
  if (was === undefined) return [both('loses', 'the image must be signed', old, young, ...place)];
  const keys = ({ keys: all }: Verification) => all.map(({ fingerprint }) => fingerprint);
  const { added, gone } = moved(keys(was), keys(is));
  const named = (side: Side, fingerprint: string): string => {
    const path = signers(side)?.keys.find((key) => key.fingerprint === fingerprint)?.path ?? '';
    return `${shown(path, side)} (sha256 ${fingerprint.slice(0, 12)}…)`;
  };
  const identity = ({ identity: other = 'its own repository' }: Verification) => other;
  const [from, to] = [identity(was), identity(is)];
  return [
    ...added.map((one) => both('gains', `the image may be signed by ${named(young, one)}`, old, young, ...place)),
    ...gone.map((one) => both('loses', `the image may not be signed by ${named(old, one)}`, old, young, ...place)),
    ...(from === to ? [] : [both('changes', `the image must be signed as ${from} → ${to}`, old, young, ...place)]),
  ];
};

const compareImageLimits: Comparison = (old, young) => {
  const limits = ({ document }: Side) => {
    const { image } = document.spec;
    const { maxSize = DEFAULT_LIMITS.maxBytes, maxEntries = DEFAULT_LIMITS.maxEntries } =
      image?.kind === 'tar' || image?.kind === 'reference' ? image : {};
    return { max_size: maxSize, max_entries: maxEntries };
  };
  const [was, is] = [limits(old), limits(young)];
  return (['max_size', 'max_entries'] as const).flatMap((key): readonly Change[] => {
    if (was[key] === is[key]) return [];
    const text = (value: number): string => (key === 'max_size' ? formatBytes(value) : String(value));
    const message = `image ${key}: ${text(was[key])} → ${text(is[key])}`;
    return [both(is[key] > was[key] ? 'gains' : 'loses', message, old, young, `image.${key}`, 'image')];
  });
};

const words =
  (key: 'entrypoint' | 'command' | 'workingDir') =>
  ({ document }: Side): string => {
    const value = document.spec[key];
    return value === undefined ? 'the image’s' : JSON.stringify(value);
  };
export const compareEntrypoint = reworded('entrypoint', words('entrypoint'), 'entrypoint');
export const compareCommand = reworded('command', words('command'), 'command');
export const compareWorkingDir = reworded('working_dir', words('workingDir'), 'working_dir');

export const compareEnvironment: Comparison = (old, young) => {
  const [was, is] = [old.document.spec.environment, young.document.spec.environment];
  return [...new Set([...Object.keys(was), ...Object.keys(is)])].flatMap((name): readonly Change[] => {
    const [from, to] = [was[name], is[name]];
    if (from === to) return [];
    // The output of a review is public, in a CI log for instance.
    const text = (value: string | undefined, { variables }: Side): string => {
      if (value === undefined) return 'not set';
      return variables?.get(name) ?? (variables && isSecret(name, value) ? '…' : JSON.stringify(value));
    };
    return [
      both('changes', `${name} ${text(from, old)} → ${text(to, young)}`, old, young, `environment.${name}`, 'env_file'),
    ];
  });
};

/** Files of variables within the file's own folder. Others are demands. */
export const compareFiles: Comparison = (old, young) => {
  const files = (side: Side): readonly string[] => {
    const demanded = new Set(side.model.demands.map(({ value }) => value));
    return side.document.files
      .filter(({ kind, file }) => kind === 'env_file' && !demanded.has(file))
      .map(({ file }) => shown(file, side));
  };
  const { added, gone } = moved(files(old), files(young));
  return [
    ...added.map((file) => both('changes', `gets the variables of ${file}`, old, young, 'env_file')),
    ...gone.map((file) => both('changes', `does not get the variables of ${file}`, old, young, 'env_file')),
  ];
};

/** What secrets and configs hold; where they are is a mount. That it is another one is told, and nothing of it. */
export const compareGiven: Comparison = (old, young) => {
  const all = ({ document }: Side): ReadonlyMap<string, GivenFile> =>
    new Map((document.spec.given ?? []).map((file) => [`${file.kind} ${file.name} at ${file.target}`, file]));
  const before = all(old);
  return [...all(young)].flatMap(([what, { content, specPath }]): readonly Change[] => {
    const was = before.get(what);
    if (was?.content === undefined || content === undefined || was.content.equals(content)) return [];
    const after = { kind: 'spec', path: specPath, at: young.document.where(specPath) } as const;
    return [{ direction: 'changes', message: `another content of ${what}`, before: undefined, after }];
  });
};

const compareNotes =
  (key: 'labels' | 'annotations', what: string): Comparison =>
  (old, young) => {
    const [was = {}, is = {}] = [old.document.spec[key], young.document.spec[key]];
    return [...new Set([...Object.keys(was), ...Object.keys(is)])].flatMap((name): readonly Change[] => {
      const [from, to] = [was[name], is[name]];
      if (from === to) return [];
      const text = (value: string | undefined): string => (value === undefined ? 'none' : JSON.stringify(value));
      return [both('changes', `${what} ${name}: ${text(from)} → ${text(to)}`, old, young, key)];
    });
  };
export const compareLabels = compareNotes('labels', 'label');
export const compareAnnotations = compareNotes('annotations', 'annotation');

/** A name that boxctl took from the folder's name is not compared. */
const named = (key: 'name' | 'hostname' | 'domainname' | 'platform'): Comparison =>
  reworded(key, ({ document }) => (document.where(key) === undefined ? 'default' : String(document.spec[key])), key);
export const compareName = named('name');
export const compareHostname = named('hostname');
export const compareDomainname = named('domainname');
export const comparePlatform = named('platform');

export const compareStopSignal = reworded(
  'stop_signal',
  ({ document }) => String(document.spec.stopSignal ?? 'the image’s, or SIGTERM'),
  'stop_signal',
);
export const compareStopTime = reworded(
  'stop_grace_period',
  ({ model }) => `${model.stop.graceMs} ms`,
  'stop_grace_period',
);
export const compareRestart = reworded(
  'restart',
  ({ model: { restart } }) => {
    if (restart === undefined) return 'no';
    return restart.most === undefined ? restart.when : `${restart.when}:${restart.most}`;
  },
  'restart',
);
export const compareLogging = reworded(
  'logging',
  ({ model: { logging } }) => {
    const { driver, maxSize, maxFiles } = logging;
    if (driver !== 'json-file') return driver;
    return `json-file, ${maxFiles} files of ${maxSize === 0 ? 'any size' : formatBytes(maxSize)}`;
  },
  'logging',
);
function healthcheckText({ document: { spec } }: Side): string {
  const { healthcheck } = spec;
  if (healthcheck === undefined) return 'of the image';
  const { isOff, test, ...times } = healthcheck;
  const what = isOff ? 'none' : (test?.join(' ') ?? 'of the image');
  return [what, ...Object.entries(times).map(([name, value]) => `${name} ${value}`)].join(', ');
}

function hookText({ command, user, workingDir, privileged, environment }: Hook): string {
  const values = Object.entries(environment).map(([name, value]) => `${name}=${isSecret(name, value) ? '…' : value}`);
  return [
    command.join(' '),
    ...(user === undefined ? [] : [`as ${user.user}${user.group === undefined ? '' : `:${user.group}`}`]),
    ...(workingDir === undefined ? [] : [`in ${workingDir}`]),
    ...(privileged ? ['privileged'] : []),
    ...values,
  ].join(', ');
}

const hooksText = (hooks: readonly Hook[] = []): string =>
  hooks.length === 0 ? 'none' : hooks.map(hookText).join('; ');

export const compareHealthcheck = reworded('healthcheck', healthcheckText, 'healthcheck');
export const comparePostStart = reworded(
  'post_start',
  ({ document }) => hooksText(document.spec.postStart),
  'post_start',
);
export const comparePreStop = reworded('pre_stop', ({ document }) => hooksText(document.spec.preStop), 'pre_stop');
export const compareInit = reworded(
  'init',
  ({ model }) => (model.systemd === true ? 'systemd' : String(model.init)),
  'init',
);
export const compareTty = reworded('tty', ({ document }) => String(document.spec.tty), 'tty');
export const compareStdin = reworded('stdin_open', ({ document }) => String(document.spec.stdinOpen), 'stdin_open');
export const compareKeepId = reworded('keep_id', ({ document }) => String(document.spec.keepId), 'keep_id');

/** Where nothing is written, there is no place for it. */
export const compareWritable: Comparison = (old, young) =>
  [old, young].some(({ document }) => document.spec.readOnly)
    ? []
    : reworded(
        'what is written to the root lies in',
        ({ model }) => (model.writable === 'disk' ? 'the store' : 'memory'),
        'writable',
      )(old, young);

export const compareRoot = switched(
  ({ model }) => model.config.root.readonly,
  { direction: 'loses', message: 'the root file system cannot be written' },
  'the root file system can be written',
  'read_only',
);

export const compareLandlock = switched(
  ({ model }) => model.landlock,
  { direction: 'loses', message: 'is held back by Landlock where it shares a namespace of the host' },
  'is not held back by Landlock where it shares a namespace of the host',
  'landlock',
);

export const compareUser: Comparison = (old, young) => {
  const who = ({ document }: Side): string => {
    const { user: choice } = document.spec;
    if (choice === undefined) return 'the image’s user';
    return choice.group === undefined ? String(choice.user) : `${choice.user}:${choice.group}`;
  };
  const [was, is] = [who(old), who(young)];
  if (was === is) return [];
  const low = (text: string): boolean => /^(?:0|root|the image)/u.test(text.split(':', 1)[0] ?? '');
  const direction: Direction = low(was) === low(is) ? 'changes' : low(is) ? 'gains' : 'loses';
  return [both(direction, `runs as ${was} → ${is}`, old, young, 'user')];
};

export const compareMaps: Comparison = (old, young) => {
  // Each side is reviewed for the kind of host that it asks for.
  if (old.document.spec.keepId !== young.document.spec.keepId) return [];
  return (['uid', 'gid'] as const).flatMap((kind): readonly Change[] => {
    const text = ({ model }: Side): string =>
      (model.config.linux[`${kind}Mappings`] ?? [])
        .map(({ containerID, hostID, size }) => `${containerID}:${hostID}:${size}`)
        .join(', ');
    const [was, is] = [text(old), text(young)];
    // Without a user namespace is a demand.
    if (was === is || was === '' || is === '') return [];
    return [both('changes', `${kind}_map ${was} → ${is}`, old, young, `${kind}_map`, 'uid_map', 'gid_map')];
  });
};

export const compareSysctls: Comparison = (old, young) => {
  const values = ({ document }: Side) => new Map(document.spec.sysctls.map((one) => [one.path, one]));
  const [was, is] = [values(old), values(young)];
  return [...new Set([...was.keys(), ...is.keys()])].flatMap((path): readonly Change[] => {
    const text = (value: string | undefined): string => (value === undefined ? 'not set' : JSON.stringify(value));
    const [before, after] = [was.get(path), is.get(path)];
    if (before?.value === after?.value) return [];
    const message = `sysctl ${path.replaceAll('/', '.')} ${text(before?.value)} → ${text(after?.value)}`;
    const place = (side: Side, specPath: SpecPath | undefined) => keyIn(side, specPath ?? 'sysctls', 'sysctls');
    return [
      { direction: 'changes', message, before: place(old, before?.specPath), after: place(young, after?.specPath) },
    ];
  });
};
