/** The program `boxctl` at a terminal of its own, which script(1) of util-linux makes. */
import { run, type RunOptions } from './boxctl.ts';
import { FRONT } from './front.ts';

export interface AtTerminal {
  readonly output: string;
  /** What stty(1) says of the terminal. */
  readonly before: string;
  readonly after: string;
  readonly status: number | null;
}

/** `boxctl ARGS…`; `withNode`: whether there is a Node. */
export async function underTerminal(
  args: readonly string[],
  options: RunOptions,
  { withNode = true } = {},
): Promise<AtTerminal> {
  const quoted = [FRONT, ...args].map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`).join(' ');
  const program = withNode ? quoted : `PATH=/nowhere ${quoted}`;
  const script = `stty cols 91 rows 27; stty -a; echo; echo @@@; ${program}; s=$?; echo @@@; stty -a; exit $s`;
  const ended = await run(['script', '-qec', script, '/dev/null'], options);
  // The end of standard input is shown as `^@`, at no certain place.
  const [before = '', output = '', after = ''] = ended.stdout.replaceAll(/\r|\^@/gu, '').split('@@@\n');
  return { output, before: before.trim(), after: after.trim(), status: ended.status };
}
