/** New file systems through the mount API of Linux 5.2 (fsopen(2)): made detached, attached later through descriptors. */
import { NO_FD, type Fd } from './calls.ts';
import { FSCONFIG, FSMOUNT, FSOPEN, MOUNT_ATTR } from './constants.ts';
import type { Place, Steps } from './steps.ts';

/** The options of mount(8) that are attributes of the mount, as bits to set; everything else is the file system's. */
const ATTRIBUTES: Readonly<Record<string, number>> = {
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
};
/** Words of OCI bind mounts that say how the source is taken, not how it is mounted. */
const BIND_WORDS: ReadonlySet<string> = new Set(['bind', 'rbind', 'private', 'rprivate', 'idmap', 'ridmap']);

export interface MountOptions {
  readonly attributes: number;
  /** `key=value`, or a flag with an empty value, in order. */
  readonly data: readonly (readonly [key: string, value: string | undefined])[];
}

export function parseMountOptions(options: readonly string[]): MountOptions {
  let attributes = 0;
  const data: (readonly [string, string | undefined])[] = [];
  for (const option of options) {
    const attribute = ATTRIBUTES[option];
    if (attribute !== undefined) {
      attributes |= attribute;
    } else if (!BIND_WORDS.has(option)) {
      const equals = option.indexOf('=');
      data.push(equals < 0 ? [option, undefined] : [option.slice(0, equals), option.slice(equals + 1)]);
    }
  }
  return { attributes, data };
}

/** fsopen, fsconfig for each option, create, fsmount. Returns the detached mount. */
export function newFileSystem(steps: Steps, place: Place, id: string, type: string, options: MountOptions): Fd {
  const fs = steps.add(place, `${id}.fsopen`, 'fsopen', { fsname: type, flags: FSOPEN.FSOPEN_CLOEXEC });
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
