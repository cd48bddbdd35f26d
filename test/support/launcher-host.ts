/** A host for tests that hand plans to the launcher: this one, with a store, a state folder and a root of the test's own. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HostFacts } from '../../src/host/facts.ts';
import { gatherHostFacts } from '../../src/host/gather.ts';
import { makeBusyboxTree } from './busybox.ts';

export interface LauncherHost {
  /** Its folder `rootfs` has busybox. */
  readonly folder: string;
  readonly host: HostFacts;
  remove(): void;
}

/** To be removed after the tests. */
export function makeLauncherHost(name: string): LauncherHost {
  const folder = mkdtempSync(join(tmpdir(), `boxctl-${name}-`));
  mkdirSync(join(folder, 'store/mnt'), { recursive: true });
  mkdirSync(join(folder, 'state'));
  makeBusyboxTree(join(folder, 'rootfs'));
  const dirs = { store: join(folder, 'store'), state: join(folder, 'state') };
  return {
    folder,
    host: { ...gatherHostFacts(process.env), dirs },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
