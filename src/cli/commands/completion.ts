/** Scripts by which shells complete boxctl's commands and options, from the table. */
import { BoxctlError } from '../../errors.ts';
import type { Command, Run } from '../command.ts';
import { TAKES_IMAGES } from '../image-table.ts';
import { writeOutput } from '../output.ts';
import { COMMANDS } from '../table.ts';

const names = COMMANDS.map((command) => command.name).join(' ');
const GROUPS = COMMANDS.filter((command) => command.verbs !== undefined);
/** All that take options, verbs by both their words. */
const ALL = COMMANDS.flatMap((command) => [command, ...(command.verbs ?? [])]);
const IMAGES = 'boxctl image ls --names 2>/dev/null';

const verbsOf = (group: Command): readonly Command[] => group.verbs ?? [];
const lastWord = (name: string): string => name.slice(name.lastIndexOf(' ') + 1);
const verbNames = (group: Command): string =>
  verbsOf(group)
    .map(({ name }) => lastWord(name))
    .join(' ');

function optionWords(command: Command): string {
  const words = Object.entries(command.options).flatMap(([name, { short }]) => [
    `--${name}`,
    ...(short === undefined ? [] : [`-${short}`]),
  ]);
  return [...words, '--help'].join(' ');
}

const groupPattern = GROUPS.map(({ name }) => name).join('|');
const imagePattern = [...TAKES_IMAGES].map((name) => `"${name}"`).join('|');

function bash(): string {
  const cases = ALL.map((command) => `    "${command.name}") words="${optionWords(command)}" ;;`).join('\n');
  const verbs = GROUPS.map((group) => `      ${group.name}) words="${verbNames(group)} --help" ;;`).join('\n');
  return `_boxctl() {
  local word="\${COMP_WORDS[COMP_CWORD]}" words="" command="\${COMP_WORDS[1]}"
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
  case "$command" in
${cases}
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$words" -- "$word")); return ;;
  esac
  case "$command" in
    ${imagePattern}) COMPREPLY=($(compgen -W "$(${IMAGES})" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}
complete -o filenames -F _boxctl boxctl
`;
}

function zsh(): string {
  const quote = (text: string): string => text.replaceAll("'", "'\\''").replaceAll(':', '\\:');
  const described = (rows: readonly Command[], indent: string): string =>
    rows.map(({ name, summary }) => `${indent}'${lastWord(name)}:${quote(summary)}'`).join('\n');
  const cases = ALL.map((command) => `    "${command.name}") compadd -- ${optionWords(command)} ;;`).join('\n');
  const verbs = GROUPS.map(
    (group) => `      ${group.name})
        words_of=(
${described(verbsOf(group), '          ')}
        )
        _describe verb words_of
        return
        ;;`,
  ).join('\n');
  return `#compdef boxctl
_boxctl() {
  local -a commands words_of
  local command=$words[2]
  commands=(
${described(COMMANDS, '    ')}
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
  if [[ $PREFIX != -* ]]; then
    case $command in
      ${imagePattern}) compadd -- \${(f)"$(${IMAGES})"} ;;
      *) _files ;;
    esac
    return
  fi
  case $command in
${cases}
  esac
}
compdef _boxctl boxctl
`;
}

function fish(): string {
  const quote = (text: string): string => text.replaceAll("'", "\\'");
  const seen = (name: string): string =>
    name
      .split(' ')
      .map((word) => `__fish_seen_subcommand_from ${word}`)
      .join('; and ');
  const lines = ALL.flatMap((command) => {
    const group = GROUPS.find(({ name }) => command.name.startsWith(`${name} `));
    const when =
      group === undefined
        ? '__fish_use_subcommand'
        : `${seen(group.name)}; and not __fish_seen_subcommand_from ${verbNames(group)}`;
    return [
      `complete -c boxctl -n '${when}' -a ${lastWord(command.name)} -d '${quote(command.summary)}'`,
      ...(TAKES_IMAGES.has(command.name) ? [`complete -c boxctl -f -n '${seen(command.name)}' -a '(${IMAGES})'`] : []),
      ...Object.entries(command.options).map(([name, { short, value, text }]) => {
        const letter = short === undefined ? '' : ` -s ${short}`;
        const required = value === undefined ? '' : ' -r';
        return `complete -c boxctl -n '${seen(command.name)}' -l ${name}${letter}${required} -d '${quote(text)}'`;
      }),
    ];
  });
  return `${lines.join('\n')}\n`;
}

const SCRIPTS: Readonly<Record<string, () => string>> = { bash, zsh, fish };

export const completion: Run = ({ args }) => {
  const shell = args.positionals[0] ?? '';
  const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
  if (script === undefined) {
    throw new BoxctlError('E_USAGE', `there is no completion for "${shell}"`, {
      hint: 'boxctl completion bash|zsh|fish',
    });
  }
  writeOutput(script());
  return 0;
};
