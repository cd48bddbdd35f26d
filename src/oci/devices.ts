/**
 * Devices. Their permissions are held by the nodes themselves, on every host and without a controller: nothing but what is
 * named here can be a device inside, since no node can be made (a user namespace) or none works (`nodev` everywhere).
 */
import type { HostFacts } from '../host/facts.ts';
import type { Device, Spec } from '../spec/spec.ts';
import type { OciDevice } from './config.ts';
import { defaultDevices } from './defaults.ts';
import type { DeviceNote } from './model.ts';
import type { Problems } from './problems.ts';
import type { Reasons } from './reasons.ts';

/** Where the container's root is not the owner, the bits for others are what it has, and it cannot change them. */
function restrictedMode({ read, write }: Device): number {
  return (read ? 0o444 : 0) | (write ? 0o222 : 0);
}

function checkPermissions(device: Device, spec: Spec, host: HostFacts, problems: Problems): void {
  if (device.read && device.write) return;
  const path = device.specPath;
  if (!host.privileged) {
    const message =
      'only root can hold back permissions of a device: without it, the container has what you have yourself';
    problems.add('E_DEVICE_PERMISSIONS', path, message, 'leave the permissions out, or run boxctl as root');
  } else if (spec.namespaces.user.kind !== 'private') {
    const message =
      'without a user namespace of its own, the container’s root can read and write any device it is given';
    problems.add(
      'E_DEVICE_PERMISSIONS',
      path,
      message,
      'leave `namespaces.user` private, or leave the permissions out',
    );
  }
}

export interface CompiledDevices {
  readonly devices: OciDevice[];
  readonly deviceNotes: ReadonlyMap<string, DeviceNote>;
}

export function compileDevices(spec: Spec, host: HostFacts, reasons: Reasons, problems: Problems): CompiledDevices {
  const devices = defaultDevices();
  const deviceNotes = new Map<string, DeviceNote>();
  reasons.byDefault('linux.devices', 'standard devices');
  for (const device of spec.devices) {
    checkPermissions(device, spec, host, problems);
    const { target, type, major, minor, source, mode, read, write } = device;
    const restricted = !read || !write;
    reasons.set(`linux.devices.${devices.length}`, device.specPath, 'device');
    const fileMode = restricted ? restrictedMode(device) : mode;
    devices.push({ type, path: target, major, minor, fileMode, uid: 0, gid: 0 });
    deviceNotes.set(target, { source, restricted, access: `${read ? 'r' : ''}${write ? 'w' : ''}` });
  }
  return { devices, deviceNotes };
}
