/** A specification as the loader would give it, made by hand: what the model is tested with. */
import type { Position } from '../../src/errors.ts';
import { NAMESPACE_KINDS, type NamespaceChoice, type NamespaceKind, type Spec } from '../../src/spec/spec.ts';
import type { SpecDocument } from '../../src/spec/spec.ts';

const PRIVATE: NamespaceChoice = { kind: 'private' };
const NONE = Object.fromEntries(NAMESPACE_KINDS.map((kind) => [kind, PRIVATE]));

export interface DocumentOptions extends Omit<Partial<Spec>, 'namespaces'> {
  readonly namespaces?: Partial<Record<NamespaceKind, NamespaceChoice>>;
}

/** `lines` says on which line a path was written; whatever is not in it was not written. */
export function testDocument(
  options: DocumentOptions = {},
  lines: Readonly<Record<string, number>> = {},
): SpecDocument {
  const { pid, mount, uts, ipc, net, user, cgroup, time } = { ...NONE, ...options.namespaces };
  const spec: Spec = {
    name: 'builder',
    keepId: false,
    keepGroups: false,
    groupAdd: [],
    capAdd: [],
    capDrop: [],
    privileged: false,
    noNewPrivileges: true,
    landlock: true,
    ulimits: [],
    sysctls: [],
    maskedPaths: { add: [], remove: [] },
    readonlyPaths: { add: [], remove: [] },
    limits: { optional: false },
    environment: {},
    volumes: [],
    devices: [],
    readOnly: false,
    init: false,
    systemd: false,
    tty: false,
    stdinOpen: false,
    ...options,
    namespaces: {
      pid: pid ?? PRIVATE,
      mount: mount ?? PRIVATE,
      uts: uts ?? PRIVATE,
      ipc: ipc ?? PRIVATE,
      net: net ?? PRIVATE,
      user: user ?? PRIVATE,
      cgroup: cgroup ?? PRIVATE,
      time: time ?? PRIVATE,
    },
  };
  const where = (path: string): Position | undefined => {
    const line = lines[path];
    return line === undefined ? undefined : { file: 'container.yaml', line, column: 1, length: 1 };
  };
  return { file: 'container.yaml', folder: '/', source: '', spec, taken: [], files: [], borrowed: [], where };
}
