/** The options of an import, and what its parts have in common. */
import type { HostFacts } from '../host/facts.ts';
import type { Ownership } from '../model/image.ts';
import type { ImageRecord } from './records.ts';
import type { WorkLimits } from '../worker/work.ts';
import type { Workspace } from './workspace.ts';

export interface ImportProgress {
  /** Bytes of the archive, or of the layer, that have been read, and how many there are; 0: nobody knows. */
  readonly read: number;
  readonly total: number;
  /** Files, folders and links that have been unpacked. */
  readonly entries?: number;
  /** Of an archive in layers: which one, from 1 on, and how many there are. */
  readonly layer?: {
    readonly number: number;
    readonly of: number;
    /** `there`: the store had it. `done`: it has it now. Absent: it is at work. */
    readonly state?: 'there' | 'done';
  };
}

export interface ImportOptions {
  /** What the files are unpacked under (treeOwnership); with none, `limits.owners` says which owners they can have. */
  readonly ownership: Ownership | undefined;
  readonly limits: WorkLimits;
  /** 64 lower-case hex digits that the file must hash to. */
  readonly pin?: string | undefined;
  /** Which image of an archive that holds several. */
  readonly wanted?: string | undefined;
  /**
   * The user's archive may be used where it lies, where that is safe, and goes by its identity until its digest is known.
   * False: the store gets a copy under its digest.
   */
  readonly inPlace: boolean;
  readonly onProgress?: ((progress: ImportProgress) => void) | undefined;
  readonly onImported?: ((record: ImageRecord) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Another process brings the same layer in, and is waited for. */
  readonly onWait?: (() => void) | undefined;
  /** The origin that is written into the record; by default the archive's path. */
  readonly source?: string | undefined;
}

/** A running import. */
export interface Job {
  readonly host: HostFacts;
  readonly options: ImportOptions;
  readonly workspace: Workspace;
  /** Archives are mounted rather than unpacked. */
  readonly mounts: boolean;
}
