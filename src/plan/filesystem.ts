/** New file systems through the mount API of Linux 5.2 (fsopen(2)): made detached, attached later through descriptors. */
import { NO_FD, type Fd, type Text } from '../kernel/calls.ts';
import { AT, FSCONFIG, FSMOUNT, FSOPEN, MOUNT_ATTR, MS } from '../kernel/constants.ts';
import type { Place, Steps } from './steps.ts';

const ATTRIBUTES = {
  ro: MOUNT_ATTR.MOUNT_ATTR_RDONLY,
  rw: 0,
  nosuid: MOUNT_ATTR.MOUNT_ATTR_NOSUID,
  suid: 0,
  nodev: MOUNT_ATTR.MOUNT_ATTR_NODEV,
  dev: 0,
  noexec: MOUNT_ATTR.MOUNT_ATTR_NOEXEC,
  exec: 0,
  noatime: MOUNT_ATTR.MOUNT_ATTR_NOATIME,
  strictatime: MOUNT_ATTR.MOUNT_ATTR_STRICTATIME,
  nodiratime: MOUNT_ATTR.MOUNT_ATTR_NODIRATIME,
  relatime: 0,
  nosymfollow: MOUNT_ATTR.MOUNT_ATTR_NOSYMFOLLOW,
} as const;
/** The kernel keeps one mode of access times: the old one is cleared when another is set. */
const ATIME: ReadonlySet<string> = new Set(['noatime', 'strictatime', 'relatime']);
const ATIME_MASK = 0x70;
const PROPAGATION: Readonly<Record<string, number>> = {
  private: MS.MS_PRIVATE,
  slave: MS.MS_SLAVE,
  shared: MS.MS_SHARED,
  unbindable: MS.MS_UNBINDABLE,
};

/** What mount_setattr(2) is given. */
export interface Attributes {
  readonly set: number;
  readonly clear: number;
  /** MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE; 0 leaves it as it is. */
  readonly propagation: number;
}

export interface MountOptions {
  /** Of the mount itself. */
  readonly own: Attributes;
  /** Of the mount and of those below it. */
  readonly recursive: Attributes;
  /** `key=value`, or a flag with an empty value, in order. */
  readonly data: readonly (readonly [key: string, value: Text | undefined])[];
}

const isAttribute = (word: string): word is keyof typeof ATTRIBUTES => Object.hasOwn(ATTRIBUTES, word);

/** What a word of mount(8) adds to the attributes; undefined if it is none of these words. */
function apply(word: string, before: Attributes): Attributes | undefined {
  if (isAttribute(word)) {
    const clear = before.clear | (ATIME.has(word) ? ATIME_MASK : 0);
    return { ...before, set: before.set | ATTRIBUTES[word], clear };
  }
  const propagation = PROPAGATION[word];
  return propagation === undefined ? undefined : { ...before, propagation };
}

/** The options of mount(8) that are attributes of the mount; everything else is the file system's. */
export function parseMountOptions(options: readonly string[]): MountOptions {
  let own: Attributes = { set: 0, clear: 0, propagation: 0 };
  let recursive = own;
  const data: (readonly [string, string | undefined])[] = [];
  for (const option of options) {
    const here = apply(option, own);
    const below = here === undefined && option.startsWith('r') ? apply(option.slice(1), recursive) : undefined;
    if (here !== undefined) {
      own = here;
    } else if (below !== undefined) {
      recursive = below;
    } else {
      const equals = option.indexOf('=');
      data.push(equals < 0 ? [option, undefined] : [option.slice(0, equals), option.slice(equals + 1)]);
    }
  }
  return { own, recursive, data };
}

const LOCKED_ATIME =
  'an ordinary user cannot change how access times are kept: leave out noatime, relatime, strictatime, nodiratime';

/** Sets the attributes of a detached mount, before anybody can reach it. */
export function setAttributes(steps: Steps, place: Place, id: string, mount: Fd, options: MountOptions): void {
  for (const [name, { set, clear, propagation }, flags] of [
    ['attributes', options.recursive, AT.AT_EMPTY_PATH | AT.AT_RECURSIVE],
    ['own_attributes', options.own, AT.AT_EMPTY_PATH],
  ] as const) {
    if (set === 0 && clear === 0 && propagation === 0) continue;
    const args = { dirfd: mount, pathname: '', flags, attr_set: set, attr_clr: clear, propagation, userns_fd: NO_FD };
    steps.add(place, `${id}.${name}`, 'mount_setattr', args, { hints: { EPERM: LOCKED_ATIME } });
  }
}

export interface NewFileSystem {
  /** MOUNT_ATTR_…, of the mount. */
  readonly attributes: number;
  readonly data: MountOptions['data'];
  /** Left out where the step before is left out. */
  readonly dependent?: true;
}

/** fsopen, fsconfig for each option, create, fsmount. Returns the detached mount. */
export function newFileSystem(steps: Steps, place: Place, id: string, type: string, options: NewFileSystem): Fd {
  const dependent = options.dependent === undefined ? {} : { dependent: options.dependent };
  const open = { fsname: type, flags: FSOPEN.FSOPEN_CLOEXEC };
  const fs = steps.add(place, `${id}.fsopen`, 'fsopen', open, dependent);
  for (const [key, value] of options.data) {
    steps.add(place, `${id}.${key}`, 'fsconfig', {
      fd: fs,
      cmd: value === undefined ? FSCONFIG.FSCONFIG_SET_FLAG : FSCONFIG.FSCONFIG_SET_STRING,
      key,
      value: value ?? '',
      aux: NO_FD,
    });
  }
  const create = { fd: fs, cmd: FSCONFIG.FSCONFIG_CMD_CREATE, key: '', value: '', aux: NO_FD };
  steps.add(place, `${id}.create`, 'fsconfig', create);
  const args = { fd: fs, flags: FSMOUNT.FSMOUNT_CLOEXEC, attr_flags: options.attributes };
  return steps.add(place, `${id}.fsmount`, 'fsmount', args, { undo: 'kernel' });
}
