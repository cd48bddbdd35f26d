/** A container's model in the words of the OCI runtime specification, for other runtimes and for comparisons. */
import type { OciConfig, OciDevice, OciMount } from '../oci/config.ts';
import type { DeviceNode } from './device.ts';
import type { Model } from './model.ts';
import type { Mount } from './mount.ts';

/** The whole configuration. What the OCI has no word for is left out. */
export function ociConfig({ config, mounts, devices }: Model): OciConfig {
  return {
    ...config,
    mounts: mounts.map(ociMount),
    linux: { ...config.linux, ...(devices.length > 0 ? { devices: devices.map(ociDevice) } : {}) },
  };
}

export function ociMount(mount: Mount): OciMount {
  const { target: destination } = mount;
  const options = ociOptions(mount);
  if (mount.kind === 'new') return { destination, type: mount.type, source: mount.source, options };
  if (mount.kind !== 'bind') return { destination, type: 'bind', source: mount.source, options };
  return { destination, type: 'bind', source: mount.source, options, ...mount.maps };
}

/** Options of a mount. Those of a bind begin with `bind` or `rbind`; an `r` before a word is for the mounts below, too. */
export function ociOptions(mount: Mount): string[] {
  if (mount.kind === 'new') return [...mount.options];
  if (mount.kind !== 'bind') return ['bind', ...mount.options];
  const r = mount.recursive ? 'r' : '';
  return [`${r}bind`, ...mount.options, ...(mount.maps === undefined ? [] : [`${r}idmap`])];
}

function ociDevice({ type, path, major, minor, mode }: DeviceNode): OciDevice {
  return { type, path, major, minor, fileMode: mode, uid: 0, gid: 0 };
}
