/** A host made of texts. */
import type { HostReader } from '../../../src/host/read.ts';

export interface FakeHost {
  readonly files: Readonly<Record<string, string>>;
  readonly writable?: readonly string[];
  readonly folders?: Readonly<Record<string, { uid: number; mode: number }>>;
}

export function fakeReader(host: FakeHost): HostReader {
  return {
    text: (path) => host.files[path],
    mounts: () => host.files['/proc/self/mountinfo'],
    table: (path) => host.files[path],
    setting: (path, lock) => {
      const now = host.files[path]?.trim();
      if (now === undefined) return undefined;
      return { now, before: host.files[lock]?.trim() || now, isLocked: lock in host.files };
    },
    writable: (path) => host.writable?.includes(path) ?? false,
    exists: (path) => path in host.files || (host.writable?.includes(path) ?? false),
    folder: (path) => host.folders?.[path],
    entry: () => undefined,
    networkNamespace: () => undefined,
    fileSystem: (path) => (path.startsWith('/sys/fs/cgroup') ? 0x63677270 : 0xef53),
  };
}
