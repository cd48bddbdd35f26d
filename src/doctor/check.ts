/** What the doctor says of one thing. */

/** `yes`: it is there; `no`: it is missed; `none`: it is not there, and not needed here. */
export type State = 'yes' | 'no' | 'none';

export interface Check {
  readonly group: string;
  readonly name: string;
  readonly state: State;
  /** A few words about what was found. */
  readonly detail: string;
  /** What it would give; only where it is missed. */
  readonly gives?: string;
  /** The one command, or change, that turns it on. */
  readonly fix?: string;
}
