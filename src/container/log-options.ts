/** What is read of what a container has written. */
export interface LogOptions {
  /** Waits for more until the container has ended. */
  readonly follow?: boolean;
  /** As `parseMoment` gives it. */
  readonly since?: string;
  readonly until?: string;
  /** The last lines alone. */
  readonly tail?: number;
}
