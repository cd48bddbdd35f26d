/** What of the host a container could leave behind. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function cgroupsOf(name: string): readonly string[] {
  return list('/sys/fs/cgroup').flatMap((top) =>
    list(join('/sys/fs/cgroup', top))
      .filter((entry) => entry.startsWith(`boxctl-${name}-`))
      .map((entry) => join(top, entry)),
  );
}

function launchers(): readonly string[] {
  return list('/proc').filter((pid) => {
    if (!/^\d+$/u.test(pid)) return false;
    try {
      return readlinkSync(`/proc/${pid}/exe`).includes('boxctl-launcher');
    } catch {
      return false;
    }
  });
}

/** Mounts, cgroups, records, launchers, and interfaces, in a form that can be compared. */
export function hostState(options: { readonly name: string; readonly stateFolder: string }): object {
  return {
    mounts: readFileSync('/proc/self/mountinfo', 'utf8'),
    cgroups: cgroupsOf(options.name),
    records: list(options.stateFolder),
    launchers: launchers(),
    interfaces: list('/sys/class/net'),
  };
}
