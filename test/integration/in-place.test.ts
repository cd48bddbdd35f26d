/** Archives that are mounted where they lie: nobody changes them under a container, and in the end they have a digest. */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, closeSync, copyFileSync, openSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { hasBusybox } from '../support/busybox.ts';
import { self, sh, state, type UpOptions } from '../support/container.ts';
import { ownLaunchers, records } from '../support/host-state.ts';
import { roads } from '../support/image-host.ts';
import { busyboxRootfs } from '../support/rootfs.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot } from '../support/user.ts';

const canMount = isRoot && roads.includes('mounted');

/** An archive of the test's own, with a store of its own, and a container from it. */
function setUp() {
  const folder = tempFolder();
  const archive = join(folder, 'image.tar');
  copyFileSync(busyboxRootfs(), archive);
  const store = join(folder, 'store');
  const run = (script: string, options: UpOptions = {}) =>
    sh(script, { image: archive }, self, { ...options, args: ['up', '--allow', 'all'], env: { BOXCTL_STORE: store } });
  const images = () => readdirSync(join(store, 'images'));
  return { archive, store, run, images };
}

describe.skipIf(!canMount || !hasBusybox)('in place (needs root, Linux 6.12 and busybox-static)', () => {
  test('a program that opens the archive for writing waits until boxctl has ended the container', async () => {
    const { archive, run } = setUp();
    const before = state(self);
    let writer: ReturnType<typeof spawn> | undefined;
    const { status, stdout, stderr } = await run('echo ready; sleep 60; echo never', {
      once: 'it changes the archive',
      onStart: (child) => child.stdout?.once('data', () => (writer = spawn('sh', ['-c', 'echo more >>"$0"', archive]))),
    });
    expect({ status, stdout }).toEqual({ status: 125, stdout: 'ready\n' });
    expect(stderr).toMatch(/container\.yaml:\d+:\d+: error: somebody opened the archive of the image for writing/u);
    await new Promise((resolve) => (writer?.exitCode === null ? writer.once('close', resolve) : resolve(undefined)));
    expect(readFileSync(archive).subarray(-5).toString()).toBe('more\n');
    expect(state(self)).toEqual(before);
  });

  test('another file that takes the archive’s name does not disturb the container', async () => {
    const { archive, run } = setUp();
    const { status, stdout } = await run('echo ready; sleep 1; cat /etc/group >/dev/null && echo fine', {
      onStart: (child) =>
        child.stdout?.once('data', () => {
          copyFileSync(busyboxRootfs(), `${archive}.new`);
          renameSync(`${archive}.new`, archive);
        }),
    });
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'ready\nfine\n' });
  });

  test('an archive that somebody has open for writing is copied', async () => {
    const { archive, run, images } = setUp();
    const fd = openSync(archive, 'r+');
    try {
      expect((await run('echo fine')).stdout).toBe('fine\n');
      expect(images()).toEqual([createHash('sha256').update(readFileSync(archive)).digest('hex')]);
    } finally {
      closeSync(fd);
    }
  });

  test('a start that finds the archive open for writing fails, and says so', async () => {
    const { archive, run } = setUp();
    await run('true');
    const fd = openSync(archive, 'r+');
    try {
      const { status, stderr } = await run('true');
      expect(status).toBe(125);
      expect(stderr).toMatch(/F_SETLEASE.*EAGAIN/u);
      expect(stderr).toContain('somebody has the archive open for writing');
    } finally {
      closeSync(fd);
    }
  });

  test('a change of the archive between two containers is noticed', async () => {
    const { archive, run } = setUp();
    await run('true');
    const extra = tempFolder();
    execFileSync('sh', ['-c', 'echo new >"$0/new"', extra]);
    execFileSync('tar', ['-C', extra, '-rf', archive, './new']);
    expect((await run('cat /new')).stdout).toBe('new\n');
    appendFileSync(archive, Buffer.alloc(512));
    expect((await run('cat /new')).stdout).toBe('new\n');
  });

  test('while a container runs, the digest of its archive is computed, and the image gets it', async () => {
    const { archive, run, images } = setUp();
    await run('true');
    expect(images()).toEqual([expect.stringMatching(/^seen-/u)]);
    expect((await run('sleep 3; echo fine')).stdout).toBe('fine\n');
    expect(images()).toEqual([createHash('sha256').update(readFileSync(archive)).digest('hex')]);
    expect((await run('echo again')).stdout).toBe('again\n');
  });
});

test.skipIf(!isRoot || !hasBusybox)(
  'what a container wrote is swept when even its launcher was killed (needs root)',
  async () => {
    const { store, run } = setUp();
    const killed = await run('echo ready; echo x >/file; sleep 100', {
      onStart: (child) =>
        child.stdout?.once('data', () => {
          for (const pid of ownLaunchers()) process.kill(pid, 'SIGKILL');
          child.kill('SIGKILL');
        }),
    });
    expect(killed.stdout).toBe('ready\n');
    expect(readdirSync(join(store, 'upper'))).toHaveLength(1);
    // The record is locked until the kernel has ended the launcher.
    const sweep = async (): Promise<readonly string[]> => {
      await run('true');
      return readdirSync(join(store, 'upper'));
    };
    await expect.poll(sweep, { timeout: 20_000, interval: 100 }).toEqual([]);
    expect(records(self)).toEqual([]);
  },
);
