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
    writable: (path) => host.writable?.includes(path) ?? false,
    exists: (path) => path in host.files || (host.writable?.includes(path) ?? false),
    folder: (path) => host.folders?.[path],
    entry: () => undefined,
    fileSystem: () => 0xef53,
  };
}
