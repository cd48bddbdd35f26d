/** What a row of the table of limits says (table.ts). */
import type { CgroupController } from '../kernel/cgroup.ts';
import type { Schema, ValueKind } from './values.ts';

/** A name that Compose has for a limit. */
export interface ComposeName {
  /** What the schema says after "Compose's name of …". */
  readonly note?: string;
  /** What the schema says instead of both. */
  readonly description?: string;
  /** Keywords of the schema, where they are not those of the limit's kind. */
  readonly schema?: Schema;
  /** Values that mean that there is no limit. */
  readonly none?: readonly number[];
  /** How its value becomes the limit's, where the two differ (src/spec/compose/convert.ts). */
  readonly convert?: 'memory and swap' | 'quota';
}

/** A limit that the kernel applies to a cgroup. */
export interface CgroupLimit<Path extends string = string> {
  readonly controller: CgroupController;
  /** Where OCI's configuration has it, below `linux.resources`; for a list of limits, the list. */
  readonly path: Path;
  /** The file that is written in version 1; undefined: version 1 has no such limit. `SIZE` is the size of a huge page. */
  readonly v1: string | undefined;
  readonly v2: string;
  /** The word before the value, where one file of version 2 has several limits of a device. */
  readonly v2Word?: string;
  /** A share for when containers compete, not a maximum. It is written before the maxima of its controller. */
  readonly weight?: true;
  /**
   * Where the kernel may take a value and apply another without an error: what is read after the write, and must say the
   * same. `written`: the file itself.
   */
  readonly readAgain?: 'written' | { readonly v1: string; readonly v2: string };
  /** What specs/limits.md says beside the files' names. */
  readonly notes?: { readonly v1?: string; readonly v2?: string };
  /** What is written to take the limit from a running container; absent: it cannot be taken away. */
  readonly unlimited?: { readonly v1: string; readonly v2: string };
}

/** A number that the kernel counts in a cgroup, read when the container has ended. */
export interface Counter {
  /** Its name in a plan's reports. */
  readonly what: string;
  /** `key` is the first word of the line with the number; empty where the file is the number. */
  readonly v1: { readonly file: string; readonly key: string };
  readonly v2: { readonly file: string; readonly key: string };
}

/** That a limit was reached, in words. */
export interface Reached {
  /** Killed processes, or failed forks. */
  readonly count: number;
  /** The most that was in use, where the kernel knows it. */
  readonly peak?: number;
  /** False: the reason was not this limit, but the host's, or that of a cgroup further above. */
  readonly own: boolean;
  /** A sentence without full stop. */
  readonly message: string;
}

export interface LimitRow<Path extends string = string, Field extends string = string, Rule extends string = string> {
  /** The key's description in the schema. */
  readonly about: string;
  readonly kind: ValueKind;
  /** Keywords of the schema beside those of the kind: bounds, and examples. */
  readonly schema?: Schema;
  /** Its name in `Spec.limits`. Several rows may name one list, which then has the items of all of them. */
  readonly field: Field;
  /** Other words that people write for it, for "did you mean". */
  readonly words?: readonly string[];
  readonly compose?: Readonly<Record<string, ComposeName>>;
  /** docker's option for it, of `boxctl update`; `none`: its numbers that mean that there is no limit. */
  readonly option?: { readonly name: string; readonly none?: readonly number[]; readonly example: string };
  /** The least number of bytes that makes sense. */
  readonly least?: number;
  /** What is wrong with 0. */
  readonly notZero?: string;
  /** The limit that must be there, too, since this one adds to it. */
  readonly needs?: 'memory';
  /** The limit that this one must not exceed. */
  readonly within?: 'memory';
  /** Its name in a plan that has no line of the file to show. */
  readonly label: string;
  readonly cgroup?: CgroupLimit<Path>;
  /** Who applies it, for specs/limits.md, where no cgroup does. */
  readonly appliedBy?: string;
  /** How `boxctl diff` compares it. A set gains by what is added to it. */
  readonly diff:
    | 'set'
    | {
        readonly name: string;
        /** What more of it is to the container. */
        readonly more: 'gains' | 'loses';
        /** What holds where the file says nothing; infinite: no limit. */
        readonly unset: number;
      };
  /** What `boxctl audit` says where nothing below `open` of `linux.resources` is set. */
  readonly audit?: {
    readonly rule: Rule;
    readonly severity: 'low' | 'medium';
    readonly open: Path | 'pids' | 'cpu';
    readonly message: string;
    readonly fix: string;
  };
  /** A value that `boxctl doctor` tries. */
  readonly trial?: string;
  /** How it is known that it was reached, and how that is said. */
  readonly reached?: {
    readonly counters: readonly Counter[];
    /** Undefined where it was not. `limit`: undefined where the file has another limit of the controller alone. */
    readonly tell: (
      counts: Readonly<Record<string, number | undefined>>,
      limit: number | undefined,
    ) => Reached | undefined;
  };
}

/** A key that has limits below it. */
export interface LimitGroup {
  readonly about: string;
  readonly words: readonly string[];
  readonly compose: Readonly<Record<string, ComposeName>>;
  readonly examples: readonly unknown[];
}
