/** Scripts by which shells complete boxctl's commands and options, from the table. */
import { BoxctlError } from '../../errors.ts';
import type { Command, Run } from '../command.ts';
import { TAKES_CONTAINERS } from '../container-table.ts';
import { TAKES_IMAGES } from '../image-table.ts';
import { TAKES_VOLUMES } from '../volume-table.ts';
import { writeOutput } from '../output.ts';

/** The commands in the forms that the scripts need. */
interface Table {
  readonly commands: readonly Command[];
  readonly names: string;
  /** Those that have verbs. */
  readonly groups: readonly Command[];
  readonly groupPattern: string;
  /** All that take options, verbs by both their words. */
  readonly all: readonly Command[];
}

function tableOf(commands: readonly Command[]): Table {
  const groups = commands.filter((command) => command.verbs !== undefined);
  return {
    commands,
    names: commands.map(({ name }) => name).join(' '),
    groups,
    groupPattern: groups.map(({ name }) => name).join('|'),
    all: commands.flatMap((command) => [command, ...(command.verbs ?? [])]),
  };
}

const verbsOf = (group: Command): readonly Command[] => group.verbs ?? [];
const lastWord = (name: string): string => name.slice(name.lastIndexOf(' ') + 1);
const verbNames = (group: Command): string =>
  verbsOf(group)
    .map(({ name }) => lastWord(name))
    .join(' ');

interface Asked {
  readonly ask: string;
  /** The words that it prints are the beginnings of others, and files are offered beside them. */
  readonly andFiles?: true;
}

/** What a shell has to run, or the words that there are, for the positionals of a command; undefined: files. */
function positionalsOf({ names }: Table, { name, words }: Command): Asked | { readonly words: string } | undefined {
  if (TAKES_IMAGES.has(name)) return { ask: 'boxctl image ls --names 2>/dev/null' };
  if (TAKES_VOLUMES.has(name)) return { ask: 'boxctl volume ls --ids 2>/dev/null' };
  const containers = TAKES_CONTAINERS.get(name);
  if (containers !== undefined) return { ask: `boxctl ${containers} 2>/dev/null` };
  // NAME:PATH
  if (name === 'cp') return { ask: 'boxctl ps --all --names 2>/dev/null | paste -d: - /dev/null', andFiles: true };
  if (name === 'help') return { words: names };
  return words === undefined ? undefined : { words: words.join(' ') };
}

/** Each option whose values are known, by the names that it has. */
function valuesOf(command: Command): readonly { readonly options: readonly string[]; readonly words: string }[] {
  return Object.entries(command.options).flatMap(([name, { short, words }]) =>
    words === undefined
      ? []
      : [{ options: [`--${name}`, ...(short === undefined ? [] : [`-${short}`])], words: words.join(' ') }],
  );
}

function optionWords(command: Command): string {
  const words = Object.entries(command.options).flatMap(([name, { short }]) => [
    `--${name}`,
    ...(short === undefined ? [] : [`-${short}`]),
  ]);
  return [...words, '--help'].join(' ');
}

/** The cases of a shell, `say` making of words the line that offers them. */
function valueCases(table: Table, say: (words: string) => string): string {
  const rows = table.all.flatMap((command) =>
    valuesOf(command).map(({ options, words }) => {
      const patterns = options.map((option) => `"${command.name} ${option}"`).join('|');
      return `    ${patterns}) ${say(words)}; return ;;`;
    }),
  );
  return rows.join('\n');
}

function positionalCases(table: Table, say: (words: string) => string, ask: (asked: Asked) => string): string {
  const rows = table.all.flatMap((command) => {
    const found = positionalsOf(table, command);
    if (found === undefined) return [];
    return [`    "${command.name}") ${'ask' in found ? ask(found) : say(found.words)} ;;`];
  });
  return rows.join('\n');
}

function bash(table: Table): string {
  const { names, groups, groupPattern, all } = table;
  const cases = all.map((command) => `    "${command.name}") words="${optionWords(command)}" ;;`).join('\n');
  const verbs = groups.map((group) => `      ${group.name}) words="${verbNames(group)} --help" ;;`).join('\n');
  const say = (words: string): string => `COMPREPLY=($(compgen -W "${words}" -- "$word"))`;
  const ask = ({ ask: program, andFiles }: Asked): string => {
    const files = andFiles === true ? ' $(compgen -f -- "$word")); compopt -o nospace 2>/dev/null' : ')';
    return `COMPREPLY=($(compgen -W "$(${program})" -- "$word")${files}`;
  };
  return `_boxctl() {
  local word="\${COMP_WORDS[COMP_CWORD]}" words="" command="\${COMP_WORDS[1]}"
  local option="\${COMP_WORDS[COMP_CWORD-1]}"
  # Bash takes --option=value apart, into three words.
  if [ "$word" = "=" ]; then
    word=""
  elif [ "$option" = "=" ] && [ "$COMP_CWORD" -ge 2 ]; then
    option="\${COMP_WORDS[COMP_CWORD-2]}"
  fi
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${names} --help --version" -- "$word"))
    return
  fi
  if [ "$COMP_CWORD" -eq 2 ]; then
    case "$command" in
${verbs}
    esac
    if [ -n "$words" ]; then
      COMPREPLY=($(compgen -W "$words" -- "$word"))
      return
    fi
  fi
  case "$command" in
    ${groupPattern}) command="$command \${COMP_WORDS[2]}" ;;
  esac
  case "$command $option" in
${valueCases(table, say)}
  esac
  case "$command" in
${cases}
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$words" -- "$word")); return ;;
  esac
  case "$command" in
${positionalCases(table, say, ask)}
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}
complete -o filenames -F _boxctl boxctl
`;
}

function zsh(table: Table): string {
  const { commands, groups, groupPattern, all } = table;
  const quote = (text: string): string => text.replaceAll("'", "'\\''").replaceAll(':', '\\:');
  const described = (rows: readonly Command[], indent: string): string =>
    rows.map(({ name, summary }) => `${indent}'${lastWord(name)}:${quote(summary)}'`).join('\n');
  const cases = all.map((command) => `    "${command.name}") compadd -- ${optionWords(command)} ;;`).join('\n');
  const say = (words: string): string => `compadd -- ${words}`;
  const ask = ({ ask: program, andFiles }: Asked): string => {
    const words = `\${(f)"$(${program})"}`;
    return andFiles === true ? `compadd -S '' -- ${words}; _files` : `compadd -- ${words}`;
  };
  const verbs = groups
    .map(
      (group) => `      ${group.name})
        words_of=(
${described(verbsOf(group), '          ')}
        )
        _describe verb words_of
        return
        ;;`,
    )
    .join('\n');
  return `#compdef boxctl
_boxctl() {
  local -a commands words_of
  local command=$words[2] option=$words[CURRENT-1]
  commands=(
${described(commands, '    ')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  if (( CURRENT == 3 )); then
    case $command in
${verbs}
    esac
  fi
  case $command in
    ${groupPattern}) command="$command $words[3]" ;;
  esac
  if [[ $PREFIX == --*=* ]]; then
    option=\${PREFIX%%=*}
    compset -P 1 '*='
  fi
  case "$command $option" in
${valueCases(table, say)}
  esac
  if [[ $PREFIX != -* ]]; then
    case $command in
${positionalCases(table, say, ask)}
      *) _files ;;
    esac
    return
  fi
  case $command in
${cases}
  esac
}
# In a file of a folder of $fpath, this is the function's first call.
if [[ "$funcstack[1]" == _boxctl ]]; then
  _boxctl "$@"
else
  compdef _boxctl boxctl
fi
`;
}

function fish(table: Table): string {
  const { groups, all } = table;
  const quote = (text: string): string => text.replaceAll("'", "\\'");
  const seen = (name: string): string =>
    name
      .split(' ')
      .map((word) => `__fish_seen_subcommand_from ${word}`)
      .join('; and ');
  const lines = all.flatMap((command) => {
    const group = groups.find(({ name }) => command.name.startsWith(`${name} `));
    const when =
      group === undefined
        ? '__fish_use_subcommand'
        : `${seen(group.name)}; and not __fish_seen_subcommand_from ${verbNames(group)}`;
    const found = positionalsOf(table, command);
    const offered = found === undefined ? undefined : 'ask' in found ? `(${found.ask})` : found.words;
    const isMixed = found !== undefined && 'ask' in found && found.andFiles === true;
    const isAlone = command.verbs === undefined && command.positionals[1] === 0;
    const here =
      command.verbs === undefined
        ? seen(command.name)
        : `${seen(command.name)}; and not __fish_seen_subcommand_from ${verbNames(command)}`;
    return [
      `complete -c boxctl -f -n '${when}' -a ${lastWord(command.name)} -d '${quote(command.summary)}'`,
      // Without -f, files are offered, too.
      ...(offered !== undefined ? [`complete -c boxctl ${isMixed ? '' : '-f '}-n '${here}' -a '${offered}'`] : []),
      ...(isAlone || command.verbs !== undefined ? [`complete -c boxctl -f -n '${here}'`] : []),
      ...Object.entries(command.options).map(([name, { short, value, words, text }]) => {
        const letter = short === undefined ? '' : ` -s ${short}`;
        const values = words === undefined ? (value === undefined ? '' : ' -r') : ` -x -a '${words.join(' ')}'`;
        return `complete -c boxctl -n '${seen(command.name)}' -l ${name}${letter}${values} -d '${quote(text)}'`;
      }),
    ];
  });
  return `${lines.join('\n')}\n`;
}

const SCRIPTS: Readonly<Record<string, (table: Table) => string>> = { bash, zsh, fish };

export const completion: Run = ({ args, commands }) => {
  const shell = args.positionals[0] ?? '';
  const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
  if (script === undefined) {
    throw new BoxctlError('E_USAGE', `there is no completion for "${shell}"`, {
      hint: 'boxctl completion bash|zsh|fish',
    });
  }
  writeOutput(script(tableOf(commands)));
  return 0;
};
