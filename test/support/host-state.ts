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

/** Every cgroup that boxctl made, however deep its own lies. */
function cgroups(): readonly string[] {
  return readdirSync('/sys/fs/cgroup', { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name.startsWith('boxctl-'))
    .map((entry) => join(entry.parentPath, entry.name));
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
export function hostState(options: { readonly stateFolder: string; readonly store?: string }): object {
  return {
    mounts: readFileSync('/proc/self/mountinfo', 'utf8'),
    cgroups: cgroups(),
    records: list(options.stateFolder),
    launchers: launchers(),
    stage: options.store === undefined ? [] : list(join(options.store, 'mnt')),
    interfaces: list('/sys/class/net'),
  };
}
