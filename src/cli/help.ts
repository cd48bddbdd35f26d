/** Help texts, from the table. */
import type { Command, OptionRow } from './command.ts';

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join('');
}

/** Broken between words, for terminals of 100 columns. */
function paragraph(text: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line.length + word.length > 98) {
      lines.push(line.trimEnd());
      line = '';
    }
    line += `${word} `;
  }
  return [...lines, line.trimEnd()].join('\n');
}

function optionNames(name: string, { short, value }: OptionRow): string {
  return `${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`;
}

export function commandHelp(command: Command): string {
  const options = [
    ...Object.entries(command.options).map(([name, row]) => [optionNames(name, row), row.text] as const),
    ['-h, --help', 'print this'] as const,
  ];
  const verbs = command.verbs?.map(({ name, summary }) => [name, summary] as const);
  const examples = command.examples.map(([line, what]) => [line, `# ${what}`] as const);
  return (
    `Usage: boxctl ${command.name} ${command.usage}\n\n${paragraph(command.description)}\n\n` +
    (verbs === undefined ? '' : `Verbs:\n${columns(verbs)}\n`) +
    `Options:\n${columns(options)}\nExamples:\n${columns(examples)}`
  );
}

export function generalHelp(all: readonly Command[]): string {
  const commands = all.map(({ name, summary }) => [name, summary] as const);
  return (
    'Usage: boxctl COMMAND [OPTIONS]\n\n' +
    'Isolated Linux containers from one readable YAML file: no daemon, no root, every step shown.\n\n' +
    `Commands:\n${columns(commands)}\n` +
    'Options:\n' +
    columns([
      ['-h, --help', 'print this, or the help of a command'],
      ['-V, --version', 'print the version'],
    ]) +
    '\nExamples:\n' +
    columns([
      ['boxctl up examples/hello/container.yaml', '# start a container'],
      ['boxctl plan examples/hello/container.yaml', '# see first what would be done'],
      ['boxctl help run', '# how another command is run in it'],
    ]) +
    '\nExit status: the command’s own, or 128+n when signal n ended it; 125 when boxctl itself failed,\n' +
    '126 when the command cannot be executed, 127 when it is not there.\n'
  );
}
