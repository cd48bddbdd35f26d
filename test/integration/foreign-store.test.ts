/** A store, and a policy, that somebody else has prepared: root, by `sudo -E`, say, does not use them. */
import { execFileSync } from 'node:child_process';
import {
  chownSync,
  copyFileSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { boxctl, type Ended } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { specFolder } from '../support/container.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot, testUser } from '../support/user.ts';

const SECRET = 'only root may read this';

/** A store of root's with the image of a container in it, and how to start that. */
async function usedStore(): Promise<{ readonly store: string; readonly up: () => Promise<Ended> }> {
  const store = join(tempFolder({ open: true }), 'store');
  const cwd = specFolder({ command: ['echo', 'started'] });
  const up = (): Promise<Ended> => boxctl(['up'], { cwd, env: { BOXCTL_STORE: store } });
  expect(await up()).toMatchObject({ status: 0, stdout: 'started\n' });
  return { store, up };
}

const only = (folder: string): string => join(folder, readdirSync(folder)[0] ?? '');

describe.skipIf(!isRoot || !hasBusybox || testUser === undefined)('for root (needs root, busybox-static)', () => {
  const { uid = 0, gid = 0 } = testUser ?? {};

  test('a store that belongs to somebody else is refused', async () => {
    const { store, up } = await usedStore();
    execFileSync('chown', ['-R', `${uid}:${gid}`, store]);
    const { status, stdout, stderr } = await up();
    expect({ status, stdout }).toEqual({ status: 125, stdout: '' });
    expect(stderr).toContain(`${store} belongs to the user ${uid}`);
  });

  test('a store in a folder of somebody else’s is refused, since he could exchange it', async () => {
    const { store, up } = await usedStore();
    chownSync(join(store, '..'), uid, gid);
    expect(await up()).toMatchObject({ status: 125, stdout: '' });
  });

  test('a link to a store is followed where root has made it, and only there', async () => {
    const { store, up } = await usedStore();
    renameSync(store, `${store}.real`);
    symlinkSync(`${store}.real`, store);
    expect(await up()).toMatchObject({ status: 0, stdout: 'started\n' });
    lchownSync(store, uid, gid);
    expect(await up()).toMatchObject({ status: 125, stdout: '' });
  });

  test.each([
    ['a record', (store: string) => only(only(join(store, 'images')))],
    ['what is known of an archive', (store: string) => only(join(store, 'ids'))],
    ['a layer', (store: string) => only(join(store, 'layers'))],
    ['a folder of the store', (store: string) => join(store, 'layers')],
  ])('%s that is a link, or another’s, is refused with its path', async (_, find) => {
    const { store, up } = await usedStore();
    const path = find(store);
    renameSync(path, `${path}.real`);
    symlinkSync(`${path}.real`, path);
    const linked = await up();
    expect(linked).toMatchObject({ status: 125, stdout: '' });
    expect(linked.stderr).toContain('link');
    rmSync(path);
    renameSync(`${path}.real`, path);
    expect(await up()).toMatchObject({ status: 0 });
    chownSync(path, uid, gid);
    const foreign = await up();
    expect(foreign).toMatchObject({ status: 125, stdout: '' });
    expect(foreign.stderr).toContain(path);
  });

  test('a link in a foreign store does not show a file of root’s', async () => {
    const { store, up } = await usedStore();
    const secret = join(tempFolder(), 'secret');
    writeFileSync(secret, SECRET, { mode: 0o600 });
    const record = only(only(join(store, 'images')));
    rmSync(record);
    symlinkSync(secret, record);
    lchownSync(record, uid, gid);
    const { status, stdout, stderr } = await up();
    expect(status).toBe(125);
    expect(stdout + stderr).not.toContain(SECRET);
  });

  test('a policy that another user could exchange is not used, though it is root’s own file', async () => {
    const outside = tempFolder({ open: true });
    const home = tempFolder({ open: true });
    const cwd = specFolder({ volumes: [`${outside}:/o:ro`], command: ['echo', 'started'] });
    const policy = join(tempFolder({ open: true }), 'all.yaml');
    writeFileSync(policy, 'allow: [all]\n');
    mkdirSync(join(home, '.config/boxctl'), { recursive: true });
    const file = join(home, '.config/boxctl/policy.yaml');
    const up = (): Promise<Ended> => boxctl(['up'], { cwd, env: { HOME: home } });
    symlinkSync(policy, file);
    expect(await up()).toMatchObject({ status: 0, stdout: 'started\n' });
    lchownSync(file, uid, gid);
    expect(await up()).toMatchObject({ status: 125, stdout: '' });
    rmSync(file);
    copyFileSync(policy, file);
    chownSync(join(home, '.config'), uid, gid);
    const foreign = await up();
    expect(foreign).toMatchObject({ status: 125, stdout: '' });
    expect(foreign.stderr).toContain('is not used');
  });
});

test('a relative BOXCTL_STORE is an error', async () => {
  const { status, stderr } = await boxctl(['image', 'ls'], { cwd: tempFolder(), env: { BOXCTL_STORE: 'store' } });
  expect(status).toBe(125);
  expect(stderr).toContain('BOXCTL_STORE is not an absolute path');
});
