/** What lies with the host is not told as a mistake of boxctl's. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PROGRAM, run } from '../../support/boxctl.ts';
import { tempFolder } from '../../support/temp.ts';
import { isRoot } from '../../support/user.ts';

const NODE = process.execPath;

test('a working directory that is gone is named in the error', async () => {
  const cwd = tempFolder();
  const script = `mkdir gone && cd gone && rmdir ../gone && ${NODE} ${PROGRAM} validate`;
  const { stdout, stderr, status } = await run(['sh', '-c', script], { cwd });
  expect({ stdout, status }).toEqual({ stdout: '', status: 125 });
  expect(stderr).toBe(
    'boxctl: error: the folder that boxctl was started in is not there any more\n  go to another one\n',
  );
});

test('a home that cannot be written is named in the error', async () => {
  const cwd = tempFolder();
  writeFileSync(join(cwd, 'container.yaml'), 'image: {host_tools: [sh]}\ncommand: [sh]\n');
  const options = { cwd, env: { HOME: '/proc/1', BOXCTL_STORE: '/proc/1/store' } };
  const { stderr, status } = await run([NODE, PROGRAM, 'up'], options);
  expect(status).toBe(125);
  const why = 'The image store /proc/1/store cannot be used: no such file or directory (ENOENT)';
  expect(stderr.startsWith(`boxctl: error: ${why}`), stderr).toBe(true);
  expect(stderr).toMatch(/\n {2}set BOXCTL_STORE to a folder /u);
});

test.skipIf(!isRoot)('a full disk is named in the error (needs root)', async () => {
  const cwd = tempFolder();
  writeFileSync(join(cwd, 'container.yaml'), 'image: {host_tools: [sh]}\nuid_map: auto\ncommand: [sh]\n');
  const fill = 'mkdir store && mount -t tmpfs -o size=64k store store && ! cat /dev/zero >store/all';
  const script = `{ ${fill}; } 2>/dev/null && ${NODE} ${PROGRAM} up; echo $?; ${NODE} ${PROGRAM} up --json`;
  const options = { cwd, env: { BOXCTL_STORE: join(cwd, 'store') } };
  const { stdout, stderr } = await run(['unshare', '-m', 'sh', '-c', script], options);
  expect(stdout).toBe('125\n');
  const [error, hint, json = ''] = stderr.split('\n');
  expect(error).toBe('boxctl: error: this host cannot go on: no room, or a limit of the kernel was reached (ENOSPC)');
  expect(hint).toMatch(/^ {2}make room there/u);
  expect(JSON.parse(json)).toMatchObject({ event: 'error', code: 'E_HOST' });
});

test.skipIf(!isRoot)('a store that cannot be written is named in the error (needs root)', async () => {
  const cwd = tempFolder();
  writeFileSync(join(cwd, 'container.yaml'), 'image: {host_tools: [sh]}\ncommand: [sh, -c, "true"]\n');
  const up = `${NODE} ${PROGRAM} up`;
  const script = `mkdir store && mount -t tmpfs store store && ${up} && mount -o remount,ro store && ${up}`;
  const options = { cwd, env: { BOXCTL_STORE: join(cwd, 'store') } };
  const { stderr, status } = await run(['unshare', '-m', 'sh', '-c', script], options);
  expect(status).toBe(125);
  expect(stderr).toMatch(/upper.*EROFS.*\n.*\n.*`writable: tmpfs`/u);
});
