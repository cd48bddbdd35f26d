/**
 * Rules of the cgroup for devices: all are denied, and then those of the container allowed. They are a second protection beside
 * /dev and `nodev` (dev.ts). The rules are set on a cgroup around the container's own. A container whose root is the host's
 * root can mount the cgroups of its namespace and change them, but a child never gets more devices than its parent has.
 */
import type { DevicesHome } from '../host/facts.ts';
import type { Because } from '../model/because.ts';
import { devicesHome } from '../model/devices.ts';
import type { Fd } from '../kernel/calls.ts';
import { BPF_ATTACH_FLAGS, BPF_ATTACH_TYPE, BPF_PROG_TYPE } from '../kernel/constants.ts';
import { once, onHost, type PlanContext } from './context.ts';
import { deviceProgram, type DeviceRule } from './device-program.ts';

export interface DeviceRules {
  readonly home: DevicesHome;
  readonly list: readonly (DeviceRule & { readonly because: Because })[];
  readonly because: Because;
}

/**
 * True if the container could reach a device of the host but for its mounts: the file gives it nodes, or it can mount file
 * systems (CAP_SYS_ADMIN), or make nodes (CAP_MKNOD in the host's user namespace).
 */
function reachesDevices(context: PlanContext): boolean {
  const { devices, config } = context.model;
  const may = (name: string): boolean => config.process.capabilities.bounding.includes(name);
  return (
    devices.some(({ asked }) => asked) ||
    may('CAP_SYS_ADMIN') ||
    (context.namespace('user').kind === 'host' && may('CAP_MKNOD'))
  );
}

/** Undefined if the container needs no rules, or the host does not let boxctl make them. */
export function deviceRules(context: PlanContext): DeviceRules | undefined {
  const path = 'linux.resources.devices';
  const { model } = context;
  const [first, ...rest] = model.config.linux.resources?.devices ?? [];
  const home = devicesHome(context.host);
  if (home === undefined || first === undefined || first.allow || !reachesDevices(context)) return undefined;
  const list = rest.map(({ allow, type, major, minor, access }, index) => {
    if (!allow || type === undefined || major === undefined) throw new Error('a rule allows a device by its number');
    return { type, major, minor, access, because: model.because(`${path}.${index + 1}`) };
  });
  return { home, list, because: model.because(path) };
}

const lineOf = ({ type, major, minor, access }: DeviceRule): string => `${type} ${major}:${minor ?? '*'} ${access}`;

const NOT_ABOVE = 'the cgroup that boxctl is in does not have this device itself: allow it there first';

/** cgroup v1 (devices.rst). The list is read again as a whole, and must be what was written. */
export function writeRules({ steps }: PlanContext, { list, because }: DeviceRules, cgroup: Fd): void {
  const place = onHost('cgroup', because);
  steps.add(place, 'cgroup.devices.deny', 'write', { dirfd: cgroup, pathname: 'devices.deny', data: 'a' });
  for (const rule of list) {
    const args = { dirfd: cgroup, pathname: 'devices.allow', data: lineOf(rule) };
    steps.add(onHost('cgroup', rule.because), 'cgroup.devices.allow', 'write', args, { hints: { EPERM: NOT_ABOVE } });
  }
  const data = list.map(lineOf).join('\n');
  steps.add(place, 'cgroup.devices.list', 'read', { dirfd: cgroup, pathname: 'devices.list', data });
}

/** cgroup v2 (bpf(2)). The kernel removes the program with the cgroup. `stays`: the cgroup is that of all runs. */
export function attachRules(context: PlanContext, { list, because }: DeviceRules, cgroup: Fd, stays: boolean): void {
  const { steps } = context;
  const plain = onHost('cgroup', because);
  const place = stays ? once(context, plain) : plain;
  const { BPF_PROG_TYPE_CGROUP_DEVICE: prog_type } = BPF_PROG_TYPE;
  const program = { prog_type, insns: deviceProgram(list), license: 'MIT' };
  const attach_bpf_fd = steps.add(place, 'cgroup.devices', 'bpf_prog_load', program);
  const { BPF_CGROUP_DEVICE: attach_type } = BPF_ATTACH_TYPE;
  const { BPF_F_ALLOW_MULTI: attach_flags } = BPF_ATTACH_FLAGS;
  const attachment = { target_fd: cgroup, attach_bpf_fd, attach_type, attach_flags };
  steps.add(place, 'cgroup.devices.attach', 'bpf_prog_attach', attachment, { undo: 'kernel' });
}
