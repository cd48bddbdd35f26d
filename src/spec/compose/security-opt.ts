/** `security_opt`: each of its options becomes the key that boxctl has for it. */
import { clip } from '../context.ts';
import type { TextProblems } from '../../yaml/problems.ts';
import type { Scalar, Tree } from '../../yaml/tree.ts';
import { scalarOf } from './branch.ts';

/** The key that an option becomes, and its value. */
export interface Option {
  readonly to: string;
  readonly value: Tree;
  /** The path of the option: `security_opt.0`. */
  readonly item: string;
}

const KNOWN = '`no-new-privileges`, `seccomp=`, `apparmor=`, `label=disable`, `systempaths=unconfined`';

const REFUSED: Readonly<Record<string, string>> = {
  label: 'a label is written whole: `selinux: "system_u:system_r:container_t:s0:c1,c2"`',
  mask: 'write `masked_paths: [PATH]`',
  unmask: 'write `masked_paths: ["!PATH"]` and `readonly_paths: ["!PATH"]`',
  systempaths: 'it takes `unconfined` alone; single paths are `masked_paths: ["!PATH"]`',
  credentialspec: 'Windows alone has it',
  'proc-opts': 'options of /proc cannot be given; `masked_paths` hides parts of it',
};

export function optionsOf(tree: Tree, problems: TextProblems): readonly Option[] {
  if (tree.kind !== 'list') {
    problems.add('E_SPEC_TYPE', '`security_opt` must be a list of options', {
      path: 'security_opt',
      at: tree.span,
      hint: `they are ${KNOWN}`,
    });
    return [];
  }
  return tree.items.flatMap((item, index) => optionOf(item, `security_opt.${index}`, problems));
}

function optionOf(tree: Tree, item: string, problems: TextProblems): readonly Option[] {
  const text = tree.kind === 'scalar' ? tree.text : '';
  const [, key = '', value] = /^([A-Za-z][\w-]*)(?:[=:]([^]*))?$/.exec(text) ?? [];
  const one = (to: string, said: string): readonly Option[] => [{ to, value: textOf(said, tree), item }];
  if (key === 'no-new-privileges') return one('no_new_privileges', value ?? 'true');
  if (key === 'seccomp' && value !== undefined) return one('seccomp', value === 'builtin' ? 'default' : value);
  if (key === 'apparmor' && value !== undefined) return one('apparmor', value);
  // No label is given unless `selinux` names one.
  if (key === 'label' && value === 'disable') return [];
  if (key === 'systempaths' && value === 'unconfined') {
    const list = (...paths: readonly string[]): Tree => ({
      kind: 'list',
      items: paths.map((path) => scalarOf(path, tree.span)),
      span: tree.span,
      size: { nodes: paths.length + 1, depth: 1 },
    });
    return [
      { to: 'masked_paths', value: list('!/proc', '!/sys'), item },
      { to: 'readonly_paths', value: list('!/proc'), item },
    ];
  }
  problems.add(
    'E_SPEC_UNSUPPORTED',
    `\`${item}\` is no option that boxctl has${text === '' ? '' : `: "${clip(text)}"`}`,
    {
      path: item,
      at: tree.span,
      hint: (Object.hasOwn(REFUSED, key) ? REFUSED[key] : undefined) ?? `the options are ${KNOWN}`,
    },
  );
  return [];
}

const textOf = (value: string, { span }: Tree): Scalar => scalarOf(value, span);
