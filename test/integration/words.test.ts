/** What boxctl says when something is amiss: true, and of use as it stands. */
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { boxctl, PROGRAM, run } from '../support/boxctl.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot, testUser } from '../support/user.ts';
import { archive } from '../unit/image/archive-fixture.ts';

const NODE = process.execPath;

it('the file that is proposed where there is none works as it stands', async () => {
  const cwd = tempFolder();
  const env = { BOXCTL_STORE: join(cwd, 'store') };
  const { stderr } = await boxctl(['up'], { cwd, env });
  const proposed = /container\.yaml:\n\s*\n([^]*)$/u.exec(stderr)?.[1] ?? '';
  writeFileSync(join(cwd, 'container.yaml'), proposed.replaceAll(/^ {2}/gmu, ''));
  const ended = await boxctl(['up'], { cwd, env });
  expect(ended).toMatchObject({ status: 0, stderr: '' });
  expect(ended.stdout).toMatch(/^hello from boxctl-test-\S+\nbin\n/u);
});

it('without container.yaml, a Compose file in the folder is proposed, and used when it is named', async () => {
  const cwd = tempFolder();
  const env = { BOXCTL_STORE: join(cwd, 'store') };
  const service = 'image: {host_tools: [sh]}\n    network_mode: none\n    command: [sh, -c, "echo $$HOSTNAME"]\n';
  writeFileSync(join(cwd, 'compose.yaml'), `services:\n  web:\n    ${service}`);
  const { stderr, status } = await boxctl(['up'], { cwd, env });
  expect({ stderr, status }).toEqual({
    status: 125,
    stderr:
      'boxctl: error: this folder has no container.yaml, and a compose.yaml\n  a Compose file with one service is taken when it is named: boxctl up compose.yaml\n',
  });
  expect(await boxctl(['up', 'compose.yaml'], { cwd, env })).toMatchObject({ status: 0, stdout: 'web\n', stderr: '' });
});

describe('the error for an image that is not an archive says what the file is', () => {
  it.each([
    ['it is a text file', 'just a note\n'],
    ['it is a text file', 'x'.repeat(3000)],
    ['it is empty', ''],
    ['it is a pointer of Git LFS', 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n'],
    ['it is a page in HTML or XML', '<!DOCTYPE html>\n<title>404</title>\n'],
    ['it is JSON', '{"schemaVersion": 2}\n'],
    ['it is a script', '#!/bin/sh\n'],
  ])('%s: %j', async (expected, content) => {
    const cwd = tempFolder();
    writeFileSync(join(cwd, 'image.tar'), content);
    writeFileSync(join(cwd, 'container.yaml'), 'image: ./image.tar\ncommand: [sh]\n');
    const { status, stderr } = await boxctl(['up'], { cwd, env: { BOXCTL_STORE: join(cwd, 'store') } });
    expect(status).toBe(125);
    expect(stderr).toContain(`error: The image ${join(cwd, 'image.tar')} is not an archive: ${expected}`);
  });

  it('a binary file is read as an archive', async () => {
    const cwd = tempFolder();
    writeFileSync(join(cwd, 'image.tar'), archive({ name: 'file', data: 'text' }).subarray(0, 600));
    const { stderr } = await boxctl(['image', 'import', 'image.tar', 'a:1'], {
      cwd,
      env: { BOXCTL_STORE: join(cwd, 's') },
    });
    expect(stderr).toContain('cannot be read: the archive is cut short');
  });
});

describe.skipIf(!isRoot)('a full store is not reported as a bad archive (needs root)', () => {
  it.each(['import image.tar a:1', 'import - a:1 <image.tar'])('image %s', async (words) => {
    const cwd = tempFolder();
    // As if from a random source, so that nothing of it is a hole.
    const data = Buffer.alloc(2 << 20, 'what is written\n');
    writeFileSync(join(cwd, 'image.tar'), archive({ name: 'file', data }, { name: 'odd', data: 'x' }));
    mkdirSync(join(cwd, 'disk'));
    const script = `mount -t tmpfs -o size=1m store disk && exec ${NODE} ${PROGRAM} image ${words}`;
    const options = { cwd, env: { BOXCTL_STORE: join(cwd, 'disk/store'), TMPDIR: cwd } };
    const { status, stderr } = await run(['unshare', '-m', 'sh', '-c', script], options);
    expect({ status, stderr }).toMatchObject({
      status: 125,
      stderr: expect.stringMatching(
        /error: The image store cannot take [^]*: it is full \(ENOSPC\)\n {2}make room there/u,
      ),
    });
  });
});

describe.skipIf(testUser === undefined)(
  'a file that the caller may not read (needs root and the user boxctl-test)',
  () => {
    it('is told by its own name, and not by a descriptor of boxctl’s', async () => {
      const cwd = tempFolder({ open: true });
      writeFileSync(join(cwd, 'image.tar'), 'secret');
      chmodSync(join(cwd, 'image.tar'), 0o600);
      symlinkSync('image.tar', join(cwd, 'link.tar'));
      writeFileSync(join(cwd, 'container.yaml'), 'image: ./link.tar\ncommand: [sh]\n');
      const { stderr } = await boxctl(['up', 'container.yaml'], { cwd, ...(testUser && { user: testUser }) });
      expect(stderr).toContain(`The image ${join(cwd, 'image.tar')} cannot be read: permission denied (EACCES)`);
      expect(stderr).not.toContain('/proc/self');
    });
  },
);

it.skipIf(!isRoot)('a missing /proc is named in the error (needs root)', async () => {
  const cwd = tempFolder();
  writeFileSync(join(cwd, 'container.yaml'), 'image: {host_tools: [sh]}\ncommand: [sh]\n');
  const script = `umount -R -l /proc && exec ${NODE} ${PROGRAM} up`;
  const { status, stderr } = await run(['unshare', '-m', 'sh', '-c', script], { cwd });
  expect({ status, stderr }).toEqual({
    status: 125,
    stderr:
      'boxctl: error: there is no /proc here, from which boxctl reads who it is and what this host can do\n  mount it: mount -t proc proc /proc\n',
  });
});
