/** What to do about a limit that could not be set. */
import type { Call } from '../kernel/calls.ts';

export function cgroupHint(call: Call, name: string): string | undefined {
  if (call.name === 'start_transient_unit') return scopeHint(name);
  const devices = devicesHint(call, name);
  if (devices !== undefined) return devices;
  if (call.name === 'read') {
    return 'the kernel took the limit and applies another: a cgroup above gives less, or it is no value that can be had';
  }
  if (name === 'EBUSY' || name === 'EINVAL') {
    return 'the kernel refused the value: it may be less than what is in use, or than the least that it takes';
  }
  if (name === 'ENODEV') return 'there is no such disk; a partition cannot be limited, its whole disk can';
  if (call.name === 'write' && name === 'ENOENT') return 'this kernel does not have this limit';
  return undefined;
}

/** Why rules for devices could not be set. */
function devicesHint(call: Call, name: string): string | undefined {
  if (call.name === 'bpf_prog_load' || call.name === 'bpf_prog_attach') {
    return name === 'EPERM'
      ? 'programs for devices take CAP_SYS_ADMIN of the host, and a cgroup above that lets others be attached'
      : 'this kernel has no programs for devices (CONFIG_CGROUP_BPF): leave `namespaces.user` private, without `devices`';
  }
  if (call.name === 'write' && call.args.pathname === 'devices.allow' && name === 'EPERM') {
    return 'the cgroup that boxctl is in does not have this device itself: allow it there first';
  }
  return undefined;
}

/** Why a user's systemd, or its bus, may have refused. */
function scopeHint(name: string): string {
  if (name === 'ENOENT' || name === 'ECONNREFUSED' || name === 'EACCES') {
    return 'the user’s message bus does not answer: log in to a session of your own (ssh, machinectl shell), not by su or sudo';
  }
  if (name === 'EXDEV' || name === 'EREMOTEIO') {
    return 'systemd gave no scope: `journalctl --user -n 20` may say why; `systemd-run --user --scope -p Delegate=yes true` tries the same';
  }
  return '`systemd-run --user --scope -p Delegate=yes true` tries the same by hand';
}
