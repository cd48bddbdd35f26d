/**
 * The devices that a container has. Two things refuse all others. First, /dev has no other nodes, and new ones cannot be made
 * (in a user namespace) or do not work (`nodev` on all mounts); this holds on every host. Second, rules of the cgroup, where
 * the host lets boxctl make them; these hold whatever the container mounts.
 */
import type { DevicesHome, HostFacts } from '../host/facts.ts';
import type { Device, Spec } from '../spec/spec.ts';
import type { OciDeviceRule } from '../oci/config.ts';
import { defaultDevices, TERMINALS } from './defaults.ts';
import type { DeviceNode } from './device.ts';
import type { Problems } from './problems.ts';
import type { Reasons } from './reasons.ts';

/** The container's root is not the owner of such a node: it has the permissions of others, and cannot change them. */
function restrictedMode({ read, write }: Device): number {
  return (read ? 0o444 : 0) | (write ? 0o222 : 0);
}

/** Where the host lets boxctl make rules for devices: the kernel takes them from root of the host alone. */
export function devicesHome(host: HostFacts): DevicesHome | undefined {
  return host.privileged ? host.cgroup.devices : undefined;
}

function checkPermissions(device: Device, spec: Spec, host: HostFacts, problems: Problems): void {
  if (device.read && device.write) return;
  const path = device.specPath;
  if (!host.privileged) {
    const message =
      'only root can hold back permissions of a device: without it, the container has what you have yourself';
    problems.add('E_DEVICE_PERMISSIONS', path, message, 'leave the permissions out, or run boxctl as root');
  } else if (spec.namespaces.user.kind !== 'private' && (spec.privileged || devicesHome(host) === undefined)) {
    const reason = spec.privileged
      ? 'a privileged container has no rules for devices'
      : 'this host has no rules for devices';
    const message = `without a user namespace of its own, the container’s root can read and write any device it is given: ${reason}`;
    problems.add(
      'E_DEVICE_PERMISSIONS',
      path,
      message,
      'leave `namespaces.user` private, or leave the permissions out',
    );
  }
}

const numberOf = ({ type, major, minor }: OciDeviceRule): string => `${type} ${major}:${minor ?? '*'}`;

/** The rules: all devices are denied, then each is allowed. If two rules are for one device, it has the permissions of both. */
class Rules {
  readonly list: OciDeviceRule[] = [{ allow: false, access: 'rwm' }];

  /** Returns the index of the rule in the list. */
  allow(rule: Omit<OciDeviceRule, 'allow' | 'access'>, access: string): number {
    const known = this.list.findIndex((other) => numberOf(other) === numberOf({ ...rule, allow: true, access }));
    const index = known < 0 ? this.list.length : known;
    const letters = `${this.list[known]?.access ?? ''}${access}`;
    const all = [...'rwm'].filter((letter) => letters.includes(letter)).join('');
    this.list[index] = { allow: true, ...rule, access: all };
    return index;
  }
}

export interface CompiledDevices {
  readonly devices: readonly DeviceNode[];
  /** For `linux.resources.devices`, whether or not this host can have them. */
  readonly rules: OciDeviceRule[];
}

export function compileDevices(spec: Spec, host: HostFacts, reasons: Reasons, problems: Problems): CompiledDevices {
  const devices = [...defaultDevices()];
  const rules = new Rules();
  for (const { type, major, minor } of devices) rules.allow({ type, major, minor }, 'rwm');
  for (const terminal of TERMINALS) rules.allow(terminal, 'rw');
  reasons.byDefault('linux.resources.devices', 'standard devices');
  for (const device of spec.devices) {
    checkPermissions(device, spec, host, problems);
    const { target: path, type, major, minor, source, read, write, mknod } = device;
    const restricted = !read || !write;
    const mode = restricted ? restrictedMode(device) : device.mode;
    const because = reasons.of(device.specPath, 'device');
    devices.push({ path, source, type, major, minor, mode, restricted, asked: true, because });
    const rule = rules.allow({ type, major, minor }, `${read ? 'r' : ''}${write ? 'w' : ''}${mknod ? 'm' : ''}`);
    reasons.set(`linux.resources.devices.${rule}`, device.specPath, 'device');
  }
  if (!spec.privileged) return { devices, rules: rules.list };
  reasons.set('linux.resources.devices', 'privileged', 'privileged');
  return { devices, rules: [{ allow: true, access: 'rwm' }] };
}
