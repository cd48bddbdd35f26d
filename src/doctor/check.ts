/** The result of one check of `boxctl doctor`. */

/** `yes`: the host has it. `no`: the host lacks it, and a container could use it. `none`: the host lacks it and needs none. */
export type State = 'yes' | 'no' | 'none';

export interface Check {
  readonly group: string;
  readonly name: string;
  readonly state: State;
  /** A few words about what was found. */
  readonly detail: string;
  /** What containers would gain by it. Only where the state is `no`. */
  readonly gives?: string;
  /** The command, or the change, that turns it on. */
  readonly fix?: string;
}
