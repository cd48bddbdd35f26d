/** The audit's rules about what a file leaves open and could close. Each is a pure function of the subject. */
import { LIMIT_ROWS } from '../limits/table.ts';
import { isSecretName, isSecretValue } from '../model/secrets.ts';
import type { Because } from '../model/because.ts';
import { outward, type SpecPath } from '../spec/spec-path.ts';
import { valueAt } from '../oci/resources.ts';
import { isAbout } from '../lock/fit.ts';
import { isLoopback } from '../registry/loopback.ts';
import { parseReference } from '../registry/reference.ts';
import type { ImageSource } from '../spec/spec.ts';
import { isDigestStart, isProblem } from '../text/image-name.ts';
import type { Finding, RuleName, Severity, Subject } from './finding.ts';

interface Found {
  readonly message: string;
  readonly because: Because;
}

interface Rule {
  readonly id: RuleName;
  readonly severity: Severity;
  readonly fix: string;
  find(subject: Subject): readonly Found[];
}

/** The line of a value; where the file does not have it, the line of what it would be in. */
function place({ document }: Subject, path: SpecPath): Because {
  for (const at of outward(path)) {
    const position = document.where(at);
    if (position !== undefined) return { kind: 'spec', path: at, at: position };
  }
  return { kind: 'default', name: path };
}

const when = (condition: boolean, message: string, because: Because): readonly Found[] =>
  condition ? [{ message, because }] : [];

function isRoot({ document, model }: Subject): boolean {
  const { user } = document.spec;
  return user === undefined ? model.config.process.user.uid === 0 : user.user === 0 || user.user === 'root';
}

/** Folders of the host that the container may write, beneath the file's own. */
function ownWritable({ model, document }: Subject): readonly { readonly source: string; readonly because: Because }[] {
  const demanded = new Set(model.demands.map(({ because }) => because));
  return model.mounts.flatMap(({ kind, source, options, asked, because }) => {
    const written = !options.includes('ro') && !options.includes('rro');
    if (kind === 'new' || !written || !asked || demanded.has(because)) return [];
    return source.startsWith(document.folder) ? [{ source, because }] : [];
  });
}

function environment({ model }: Subject): readonly (readonly [name: string, value: string])[] {
  return model.config.process.env.map((entry) => {
    const equals = entry.indexOf('=');
    return [entry.slice(0, equals), entry.slice(equals + 1)] as const;
  });
}

function isWritten(subject: Subject, name: string): boolean {
  const { taken, where } = subject.document;
  const path = `environment.${name}` as const;
  return where(path) !== undefined && !taken.some((one) => one.path === path);
}

/** Programs of the host, and references, have rules of their own. */
function isPinned(image: ImageSource | undefined): boolean {
  if (image?.kind === 'tar') return image.sha256 !== undefined;
  return image?.kind !== 'folder';
}

/** Whether the lock has the image. */
function isLocked({ document: { spec, folder }, lock }: Subject): boolean {
  const locked = lock?.lock.image;
  return locked !== undefined && spec.image !== undefined && isAbout(locked, spec.image, folder);
}

function referenceIn({ document }: Subject): (ImageSource & { readonly kind: 'reference' }) | undefined {
  const { image } = document.spec;
  return image?.kind === 'reference' ? image : undefined;
}

/** A registry that is asked without TLS. What is sent to a loopback address does not leave the machine. */
function plainRegistry(subject: Subject): readonly Found[] {
  const image = referenceIn(subject);
  const reference = image === undefined ? undefined : parseReference(image.name);
  if (reference === undefined || isProblem(reference) || isDigestStart(image?.name ?? '')) return [];
  const { registry } = reference;
  const isLocal = isLoopback(registry);
  if (!isLocal && subject.isInsecure?.(reference) !== true) return [];
  const how = isLocal
    ? 'over plain HTTP, at a port that any user of this host can have'
    : 'without TLS that can be trusted';
  return [{ message: `is made from an image of ${registry}, which is asked ${how}`, because: place(subject, 'image') }];
}

/** A rule for each limit without which the container can use up the host. */
const LIMIT_RULES: readonly Rule[] = LIMIT_ROWS.flatMap(([, { audit }]): readonly Rule[] => {
  if (audit === undefined) return [];
  const { rule: id, severity, fix, open, message } = audit;
  return [
    {
      id,
      severity,
      fix,
      find: (subject) => {
        const { resources = {} } = subject.model.config.linux;
        return when(valueAt(resources, open) === undefined, message, place(subject, 'limits'));
      },
    },
  ];
});

const RULES: readonly Rule[] = [
  {
    id: 'secret-value',
    severity: 'critical',
    fix: 'revoke it, since whoever reads the file has it; pass the new one with `-e` when it is run',
    find: (subject) =>
      environment(subject).flatMap(([name, value]) =>
        when(
          isWritten(subject, name) && isSecretValue(value),
          `has a key, a token or a password written down in the file, in ${name}`,
          place(subject, `environment.${name}`),
        ),
      ),
  },
  {
    id: 'secret-name',
    severity: 'high',
    fix: 'take the value out of the file: pass it with `-e` when it is run',
    find: (subject) =>
      environment(subject).flatMap(([name, value]) =>
        when(
          isSecretName(name) && value !== '' && isWritten(subject, name) && !isSecretValue(value),
          `has ${name} written down in the file`,
          place(subject, `environment.${name}`),
        ),
      ),
  },
  {
    id: 'bind-own-file',
    severity: 'medium',
    fix: 'add `:ro`, or bind a folder beneath it: what runs inside decides else what is started next time',
    find: (subject) =>
      ownWritable(subject)
        .filter(({ source }) => source === subject.document.folder)
        .map(({ because }) => ({
          message: 'can change the project around its container file, and so what you build, run or open of it later',
          because,
        })),
  },
  {
    id: 'bind-writable',
    severity: 'low',
    fix: 'add `:ro` if it is only read',
    find: (subject) =>
      ownWritable(subject)
        .filter(({ source }) => source !== subject.document.folder)
        .map(({ source, because }) => ({ message: `can change ${source}`, because })),
  },
  ...LIMIT_RULES,
  {
    id: 'optional-limits',
    severity: 'low',
    fix: 'take `optional` out, and run it where its limits can be had',
    find: (subject) =>
      when(
        subject.document.spec.limits.optional && subject.document.where('limits') !== undefined,
        'starts without its limits where they cannot be had',
        place(subject, 'limits.optional'),
      ),
  },
  {
    id: 'unpinned-image',
    severity: 'medium',
    fix: '`boxctl lock`; or `image: {tar: …, sha256: …}`, with what sha256sum prints',
    find: (subject) =>
      when(
        !isPinned(subject.document.spec.image) && !isLocked(subject),
        'is made from whatever its image holds by then: it is not pinned',
        place(subject, 'image'),
      ),
  },
  {
    id: 'floating-tag',
    severity: 'medium',
    fix: '`boxctl lock`, and keep the lock beside the file; or write the digest behind the name: `NAME:TAG@sha256:…`',
    find: (subject) => {
      const image = referenceIn(subject);
      const isFixed = image === undefined || /(?:^|@)sha256:/u.test(image.name) || isLocked(subject);
      const message = `is made from whatever ${image?.name ?? ''} points to by then: it has neither a digest nor a lock`;
      return when(!isFixed, message, place(subject, 'image'));
    },
  },
  {
    id: 'plain-registry',
    severity: 'medium',
    fix: 'use a registry with TLS; a lock, or a digest, keeps at least its content from being exchanged',
    find: plainRegistry,
  },
  {
    id: 'policy-beside-lock',
    severity: 'low',
    fix: 'take `pull_policy` out, or the lock',
    find: (subject) => {
      const policy = referenceIn(subject)?.pullPolicy ?? 'missing';
      const asks = policy !== 'missing' && policy !== 'never';
      const message = 'asks no registry for a newer image, whatever `pull_policy` says: its lock decides';
      return when(asks && isLocked(subject), message, place(subject, 'pull_policy'));
    },
  },
  {
    id: 'host-tools-image',
    severity: 'low',
    fix: 'use a pinned tarball where it must be the same everywhere',
    find: (subject) =>
      when(
        subject.document.spec.image?.kind === 'host_tools',
        'is made from programs of the host, which differ from host to host',
        place(subject, 'image'),
      ),
  },
  {
    id: 'root-user',
    severity: 'low',
    fix: '`user: "1000:1000"`',
    find: (subject) =>
      when(
        isRoot(subject) && subject.model.config.linux.namespaces.some(({ type }) => type === 'user'),
        'runs its command as root of its own user namespace, unless the image says otherwise',
        place(subject, 'user'),
      ),
  },
  {
    id: 'root-of-host',
    severity: 'critical',
    fix: 'make the user namespace private, or `user: "1000:1000"`',
    find: (subject) =>
      when(
        isRoot(subject) && !subject.model.config.linux.namespaces.some(({ type }) => type === 'user'),
        'runs its command as root of the host',
        place(subject, 'user'),
      ),
  },
  {
    id: 'writable-root',
    severity: 'low',
    fix: '`read_only: true`, with `tmpfs` for what must be written',
    find: (subject) =>
      when(
        !subject.model.config.root.readonly && subject.document.spec.image !== undefined,
        'can change its own root file system while it runs',
        place(subject, 'read_only'),
      ),
  },
];

export function openFindings(subject: Subject): readonly Finding[] {
  return RULES.flatMap(({ id, severity, fix, find }) =>
    find(subject).map(({ message, because }) => ({ rule: id, severity, message, fix, because })),
  );
}
