/** Parses the options of a mount's short form, after the second colon. */
import { clip, addProblem, type Context } from './context.ts';
import { MOUNT_FLAGS, PROPAGATIONS, type MountFlag, type Propagation } from './spec.ts';
import { didYouMean } from './suggest.ts';

export interface MountOptions {
  readonly readOnly: boolean;
  readonly flags: readonly MountFlag[];
  readonly propagation?: Propagation;
  readonly nocopy: boolean;
  readonly idmap: boolean;
  /** The values of `key=value` options, not parsed. */
  readonly values: ReadonlyMap<string, string>;
}

/** A kind of mount: its name for messages, and the options that it has besides `ro`, `rw` and the attributes. */
export interface OptionKind {
  readonly name: string;
  readonly words: readonly string[];
  readonly keys: readonly string[];
}

/** Hints for options that boxctl does not have. */
const REFUSED: Readonly<Record<string, string>> = {
  suid: 'set-user-id programs of a mount are never honoured',
  dev: 'device nodes of a mount never work; name the device under `devices`',
};
/** Options without effect: defaults; options of Docker Desktop; `z` and `Z` of SELinux (files keep their labels). */
const ALWAYS: ReadonlySet<string> = new Set(
  ['rw', 'nosuid', 'nodev', 'exec'].concat(['consistent', 'cached', 'delegated'], ['z', 'Z']),
);

const isOneOf = <T extends string>(list: readonly T[], word: string): word is T => list.some((entry) => entry === word);

/** An option that is not known is reported at `path`, and left out. */
export function parseOptions(context: Context, text: string | undefined, path: string, kind: OptionKind): MountOptions {
  const flags = new Set<MountFlag>();
  const values = new Map<string, string>();
  let readOnly = false;
  let propagation: Propagation | undefined;
  let nocopy = false;
  let idmap = false;
  for (const option of text?.split(',') ?? []) {
    const equals = option.indexOf('=');
    const key = equals === -1 ? option : option.slice(0, equals);
    if (option === 'ro') readOnly = true;
    else if (isOneOf(MOUNT_FLAGS, option)) flags.add(option);
    else if (equals !== -1 && kind.keys.includes(key)) values.set(key, option.slice(equals + 1));
    else if (kind.words.includes(option) && isOneOf(PROPAGATIONS, option)) propagation = option;
    else if (kind.words.includes(option) && option === 'nocopy') nocopy = true;
    else if (kind.words.includes(option) && option === 'idmap') idmap = true;
    else if (!ALWAYS.has(option)) unknown(context, option, key, path, kind);
  }
  return { readOnly, flags: [...flags], ...(propagation === undefined ? {} : { propagation }), nocopy, idmap, values };
}

function unknown(context: Context, option: string, key: string, path: string, kind: OptionKind): void {
  const names = ['ro', 'rw', ...kind.keys, ...kind.words, ...MOUNT_FLAGS];
  const meant = didYouMean(key, names);
  const hint = REFUSED[option.toLowerCase()] ?? (meant === undefined ? undefined : `did you mean \`${meant}\`?`);
  addProblem(context, path, 'E_SPEC_VOLUME', `${kind.name} has no option "${clip(option)}"`, {
    hint: hint ?? `it has ${names.map((name) => (kind.keys.includes(name) ? `${name}=` : name)).join(', ')}`,
  });
}
