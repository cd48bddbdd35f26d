/** Scripts by which shells complete boxctl's commands and options, from the table. */
import { BoxctlError } from '../../errors.ts';
import type { Run } from '../command.ts';
import { writeOutput } from '../output.ts';
import { COMMANDS } from '../table.ts';

const names = COMMANDS.map((command) => command.name).join(' ');

function optionWords(command: (typeof COMMANDS)[number]): string {
  const words = Object.entries(command.options).flatMap(([name, { short }]) => [
    `--${name}`,
    ...(short === undefined ? [] : [`-${short}`]),
  ]);
  return [...words, '--help'].join(' ');
}

function bash(): string {
  const cases = COMMANDS.map((command) => `    ${command.name}) words="${optionWords(command)}" ;;`).join('\n');
  return `_boxctl() {
  local word="\${COMP_WORDS[COMP_CWORD]}" words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${names} --help --version" -- "$word"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases}
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}
complete -o filenames -F _boxctl boxctl
`;
}

function zsh(): string {
  const quote = (text: string): string => text.replaceAll("'", "'\\''").replaceAll(':', '\\:');
  const commands = COMMANDS.map(({ name, summary }) => `    '${name}:${quote(summary)}'`).join('\n');
  const cases = COMMANDS.map((command) => `    ${command.name}) compadd -- ${optionWords(command)} ;;`).join('\n');
  return `#compdef boxctl
_boxctl() {
  local -a commands
  commands=(
${commands}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  if [[ $PREFIX != -* ]]; then
    _files
    return
  fi
  case $words[2] in
${cases}
  esac
}
compdef _boxctl boxctl
`;
}

function fish(): string {
  const quote = (text: string): string => text.replaceAll("'", "\\'");
  const lines = COMMANDS.flatMap((command) => [
    `complete -c boxctl -n __fish_use_subcommand -a ${command.name} -d '${quote(command.summary)}'`,
    ...Object.entries(command.options).map(([name, { short, value, text }]) => {
      const letter = short === undefined ? '' : ` -s ${short}`;
      const required = value === undefined ? '' : ' -r';
      return `complete -c boxctl -n '__fish_seen_subcommand_from ${command.name}' -l ${name}${letter}${required} -d '${quote(text)}'`;
    }),
  ]);
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
