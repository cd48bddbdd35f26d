/**
 * Devices by cgroup: nothing, and then what the container has. It is the second wall; /dev and `nodev` are the first
 * (dev.ts). The rules belong to a cgroup around the container's own: who is root of the host inside can mount what lies
 * in its own cgroup namespace and change that, and the kernel gives no child more than its parent has.
 */
import type { DevicesHome } from '../host/facts.ts';
import type { Because } from '../model/because.ts';
import { devicesHome } from '../model/devices.ts';
import type { Fd } from '../kernel/calls.ts';
import { BPF_ATTACH_FLAGS, BPF_ATTACH_TYPE, BPF_PROG_TYPE } from '../kernel/constants.ts';
import { onHost, type PlanContext } from './context.ts';
import { deviceProgram, type DeviceRule } from './device-program.ts';

export interface DeviceRules {
  readonly home: DevicesHome;
  readonly list: readonly (DeviceRule & { readonly because: Because })[];
  readonly because: Because;
}

/**
 * True where only mounts stand between the container and the host's devices: nodes of some are given to it, or it could
 * mount a file system on which they work, or make one. In a user namespace of its own nobody makes nodes.
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

/** Undefined where there are to be none, or where the host does not let boxctl make some. */
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

/** Version 1 (devices.rst), read again as a whole. */
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

/** Version 2 (bpf(2)). The program goes with the cgroup. */
export function attachRules({ steps }: PlanContext, { list, because }: DeviceRules, cgroup: Fd): void {
  const place = onHost('cgroup', because);
  const { BPF_PROG_TYPE_CGROUP_DEVICE: prog_type } = BPF_PROG_TYPE;
  const program = { prog_type, insns: deviceProgram(list), license: 'MIT' };
  const attach_bpf_fd = steps.add(place, 'cgroup.devices', 'bpf_prog_load', program);
  const { BPF_CGROUP_DEVICE: attach_type } = BPF_ATTACH_TYPE;
  const { BPF_F_ALLOW_MULTI: attach_flags } = BPF_ATTACH_FLAGS;
  const attachment = { target_fd: cgroup, attach_bpf_fd, attach_type, attach_flags };
  steps.add(place, 'cgroup.devices.attach', 'bpf_prog_attach', attachment, { undo: 'kernel' });
}
