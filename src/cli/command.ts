/** What a command of boxctl is. Help, completion and parsing are derived from the table of them. */

export interface OptionRow {
  readonly short?: string;
  /** The name of its value in help texts; undefined: it takes none. */
  readonly value?: string;
  /** Its possible values, or the beginnings of values, for completion. */
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

/** What native/front could not do, or not any more. */
export interface Front {
  /** The words of the command line. */
  readonly words: readonly string[];
  /** It has started the container from a kept plan, and needs words for how that went. */
  readonly hasEnded: boolean;
  /** The id of the container in the background that was not started then: what it has made of it is to be removed. */
  readonly givenUp?: string;
}

export interface Invocation {
  readonly args: Arguments;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Where the program `boxctl` has executed Node (native/front). */
  readonly front?: Front;
  /** Every command, for help and completion. */
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
  /** How many positionals it takes at least and at most. */
  readonly positionals: readonly [least: number, most: number];
  /** The possible positionals, for completion; undefined: files. */
  readonly words?: readonly string[];
  /** Whether it takes a command: what comes after `--`, or after the last positional. */
  readonly takesRest: boolean;
  readonly load: () => Promise<Run>;
  /** The commands that begin with its name, such as `image ls` of `image`. */
  readonly verbs?: readonly Command[];
}
