/** What a command of boxctl is. Help, completion and parsing are derived from the table of them. */

export interface OptionRow {
  readonly short?: string;
  /** Name of the value, for those that take one. */
  readonly value?: string;
  /** The values that there are, or how values begin, for completion. */
  readonly words?: readonly string[];
  /** May be given more than once. */
  readonly multiple?: boolean;
  readonly text: string;
}

export interface Arguments {
  readonly positionals: readonly string[];
  /** The command, with its own options. */
  readonly rest: readonly string[];
  flag(name: string): boolean;
  value(name: string): string | undefined;
  values(name: string): readonly string[];
}

export interface Invocation {
  readonly args: Arguments;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** All that there are, for help and completion. */
  readonly commands: readonly Command[];
}

/** Returns the exit status; throws BoxctlError. */
export type Run = (invocation: Invocation) => Promise<number> | number;

export interface Command {
  /** As it is typed: `up`, `image ls`. */
  readonly name: string;
  /** After the name, as in a manual page. */
  readonly usage: string;
  readonly summary: string;
  readonly description: string;
  readonly options: Readonly<Record<string, OptionRow>>;
  readonly examples: readonly (readonly [command: string, what: string])[];
  /** Least and most positionals. */
  readonly positionals: readonly [least: number, most: number];
  /** What positionals are, where they are not files. */
  readonly words?: readonly string[];
  /** Whether it takes a command: what comes after `--`, or after the last positional. */
  readonly takesRest: boolean;
  readonly load: () => Promise<Run>;
  /** Of a command that is only the first word of others. */
  readonly verbs?: readonly Command[];
}
