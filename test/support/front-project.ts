/** A container file for starts by the program `boxctl`, with a store of its own. */
import { chmodSync, chownSync, copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Ended, RunOptions } from './boxctl.ts';
import { busyboxRootfs } from './rootfs.ts';
import { tempFolder } from './temp.ts';
import { testUser, type TestUser } from './user.ts';

export interface Project {
  readonly folder: string;
  readonly options: RunOptions;
}

/** A file in a folder of its own, with a store and a configuration of its own beside it. */
export function project(spec: Readonly<Record<string, unknown>>, user?: TestUser): Project {
  const around = tempFolder({ open: true });
  const folder = join(around, 'project');
  for (const name of ['project', 'config', 'config/boxctl', 'run', 'home'])
    mkdirSync(join(around, name), { mode: 0o755 });
  chmodSync(join(around, 'run'), 0o700);
  copyFileSync(busyboxRootfs(), join(folder, 'rootfs.tar'));
  writeFileSync(join(folder, 'container.yaml'), stringify({ image: './rootfs.tar', command: ['true'], ...spec }));
  if (user !== undefined) {
    for (const path of [around, ...readdirSync(around).map((name) => join(around, name))])
      chownSync(path, user.uid, user.gid);
    for (const name of readdirSync(folder)) chownSync(join(folder, name), user.uid, user.gid);
    chownSync(join(around, 'config/boxctl'), user.uid, user.gid);
  }
  const env = {
    BOXCTL_STORE: join(around, 'store'),
    XDG_CONFIG_HOME: join(around, 'config'),
    XDG_RUNTIME_DIR: join(around, 'run'),
    HOME: join(around, 'home'),
  };
  return { folder, options: { cwd: folder, env, ...(user === undefined ? {} : { user }) } };
}

export const shell = (script: string): Readonly<Record<string, unknown>> => ({
  command: ['sh', '-c', script.replaceAll('$', '$$$$')],
});

export const plain = ({ status, stdout, stderr }: Ended): unknown => ({ status, stdout, stderr });

export const withEnvironment = ({ options }: Project, env: Readonly<Record<string, string>>): RunOptions => ({
  ...options,
  env: { ...options.env, ...env },
});

export const callers = [undefined, ...(testUser === undefined ? [] : [testUser])].map(
  (user) => [user?.name ?? 'the caller', user] as const,
);
