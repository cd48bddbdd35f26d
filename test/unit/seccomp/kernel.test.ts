/** The default filter, loaded into this kernel. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { defaultSeccomp } from '../../../src/model/seccomp-default.ts';
import { compileSeccomp } from '../../../src/plan/seccomp/compile.ts';

const arch = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
const EPERM = 1;
const ENOSYS = 38;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'boxctl-seccomp-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('the kernel loads the default filter, and it answers each call as the profile says', () => {
  const program = join(folder, 'try-calls');
  execFileSync('cc', ['-o', program, join(import.meta.dirname, 'try-calls.c')]);
  const filter = join(folder, 'filter');
  writeFileSync(filter, compileSeccomp(defaultSeccomp(arch), arch));
  const { status, stdout, stderr } = spawnSync(program, [filter], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const errors = Object.fromEntries(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' '))
      .map(([name, error]) => [name ?? '', Number(error)]),
  );
  const EBADF = 9;
  const EINVAL = 22;
  expect(errors).toEqual({
    tiocsti: EPERM,
    tiocsti_high: EPERM,
    tioclinux: EPERM,
    tcgets: EBADF,
    tcsets: EBADF,
    vsock: EPERM,
    vsock_high: EPERM,
    unix: EINVAL,
    clone_newuser: EPERM,
    clone3: ENOSYS,
    unshare: EPERM,
    bpf: EPERM,
    keyctl: EPERM,
    io_uring_setup: EPERM,
    fsopen: EPERM,
    newest: ENOSYS,
  });
});
