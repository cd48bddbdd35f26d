/** A device of a container, in boxctl's own words; as-oci.ts writes it in the OCI's. */
import type { Because } from './because.ts';

export interface DeviceNode {
  /** Inside. */
  readonly path: string;
  /** Path on the host. */
  readonly source: string;
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number;
  readonly mode: number;
  /** It can be read or written, not both: the container's root must not own it. */
  readonly restricted: boolean;
  /** The specification asks for it; the others are those that every container has. */
  readonly asked: boolean;
  readonly because: Because;
}
