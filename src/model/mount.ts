/** A mount of a container, in boxctl's own words; as-oci.ts writes it in the OCI's. */
import type { GivenFile, Guard } from '../spec/spec.ts';
import type { Because } from './because.ts';
import type { MountMaps } from './idmap.ts';

interface Attached {
  /** Absolute path inside. */
  readonly target: string;
  /** Words of mount(8), without those that say how a bind is taken. */
  readonly options: readonly string[];
  /** The specification asks for it; the others are those that every container has. */
  readonly asked: boolean;
  readonly because: Because;
}

/** A file system that is made for the container: of the kernel's, or in memory. */
export interface NewMount extends Attached {
  readonly kind: 'new';
  /** As filesystems(5) names it: `proc`, `tmpfs`. */
  readonly type: string;
  /** What /proc/mounts shows as its source. */
  readonly source: string;
}

/** A file or folder of the host. */
export interface BindMount extends Attached {
  readonly kind: 'bind';
  readonly source: string;
  /** With the mounts below the source. Words of `options` that begin with `r` are for those, too. */
  readonly recursive: boolean;
  /** The source is a file and not a folder, as it was when the specification was loaded. */
  readonly isFile: boolean;
  /** Folders of the host to be made for it first, the outermost before those in it. */
  readonly create: readonly string[];
  /** False: files show the owners that the kernel gives them, which in a user namespace is nobody. */
  readonly translated: boolean;
  /** Ids of the source's file system as ids of the host, where the file asks for an id-mapped mount. */
  readonly maps?: MountMaps;
  /** What in the source the container must not change. */
  readonly guards: readonly Guard[];
  /** The file asks for everything in it to be writable. */
  readonly unprotected: boolean;
}

/** A volume of boxctl's own. */
export interface VolumeMount extends Attached {
  readonly kind: 'volume';
  /** What the container sees of it: a path of the store. */
  readonly source: string;
  readonly volume: StoredVolume;
}

/** A file in memory with a content of the caller's, read-only: a secret or a config. */
export interface GivenMount extends Attached {
  readonly kind: 'given';
  readonly what: GivenFile['kind'];
  readonly name: string;
  /** `secret NAME` or `config NAME`. */
  readonly source: string;
  /** Its place in `Model.contents`, which the launcher is given beside the plan. */
  readonly index: number;
  readonly uid: number;
  readonly gid: number;
  /** Permission bits. */
  readonly mode: number;
}

export type Mount = NewMount | BindMount | VolumeMount | GivenMount;

export interface StoredVolume {
  /** As the file names it. */
  readonly name: string;
  /** The volume's name in the store. */
  readonly id: string;
  /** The folder of the specification that it belongs to. */
  readonly folder: string;
  /** A new one starts with what the image has at the target. */
  readonly copy: boolean;
  readonly subpath?: string;
  /** Whose a new one is where the image has nothing at the target: the command's user. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /** What the file says of a new one, whatever the image has there. */
  readonly given: { readonly uid?: number; readonly gid?: number; readonly mode?: number };
}
