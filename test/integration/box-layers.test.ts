/** The image of a template: mounted once for all that is started from it. */
import { appendFileSync, copyFileSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { openTemplate } from '../../src/container/template.ts';
import { dismissLauncher } from '../../src/native.ts';
import { loadSpec } from '../../src/spec/load.ts';
import { hasBusybox } from '../support/busybox.ts';
import { self, specFolder } from '../support/container.ts';
import { busyboxRootfs } from '../support/rootfs.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot } from '../support/user.ts';

const env = { PATH: process.env['PATH'], BOXCTL_STORE: self.store, HOME: '/root' };

const open = (spec: Readonly<Record<string, unknown>>) =>
  openTemplate(loadSpec(join(specFolder(spec), 'container.yaml'), { env, home: '/root' }), { env });

/** What this process has open. */
const descriptors = (): readonly string[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`];
    } catch {
      return [];
    }
  });

/** The same once nothing is closed any more: streams close what they have a moment after their end. */
async function settled(): Promise<readonly string[]> {
  for (let before = descriptors(); ;) {
    await sleep(100);
    const now = descriptors();
    if (now.join() === before.join()) return now;
    before = now;
  }
}

describe.skipIf(!hasBusybox || !isRoot)('the image of a template (needs busybox-static, root)', () => {
  afterAll(() => dismissLauncher());

  test('is mounted once for all its boxes, which read it and write to layers of their own', async () => {
    // This process opens more for the first of all boxes.
    using first = await open({ command: ['true'] });
    await (
      await first.start()
    ).ended;
    const before = await settled();
    const many = await open({ command: ['true'] });
    const calls = many.plan.steps.filter(({ id }) => /^layer\b/u.test(id)).map(({ call }) => call.name);
    const { erofs } = many.host;
    // Where the kernel mounts no archive, or makes no copies of such a mount, each box mounts the image by itself.
    if (erofs.usable && !erofs.loop && !calls.includes('fsopen')) {
      expect(calls).toContain('open_tree');
      expect(descriptors()).toHaveLength(before.length + 2);
    }
    const outputs = await Promise.all(
      Array.from({ length: 8 }, async (_, index) => {
        const box = await many.start({ args: ['sh', '-c', `echo ${index} > /mark; cat /mark; ls -n /bin/busybox`] });
        const output = box.stdout === null ? '' : await text(box.stdout);
        expect(await box.ended).toMatchObject({ status: 0 });
        return output;
      }),
    );
    for (const [index, output] of outputs.entries())
      expect(output).toMatch(new RegExp(`^${index}\n-\\S+ +1 0 +0 `, 'u'));
    many.close();
    await expect.poll(() => descriptors().filter((one) => !before.includes(one))).toEqual([]);
  });

  test('is in use by a box after the template was closed, also by one that was asked for just before', async () => {
    const many = await open({ command: ['sh', '-c', 'sleep 0.2; /bin/busybox echo read'] });
    const starting = Array.from({ length: 4 }, () => many.start());
    many.close();
    for (const box of await Promise.all(starting)) {
      expect(box.stdout === null ? '' : await text(box.stdout)).toBe('read\n');
      expect(await box.ended).toMatchObject({ status: 0 });
    }
  });

  test('is not used any more once its archive has changed', async () => {
    const image = join(tempFolder({ open: true }), 'rootfs.tar');
    copyFileSync(busyboxRootfs(), image);
    using many = await open({ image, command: ['true'] });
    expect(await (await many.start()).ended).toMatchObject({ status: 0 });
    appendFileSync(image, Buffer.alloc(512));
    await expect(many.start()).rejects.toThrow(/^the step layer\.identity failed: /u);
  });

  test('may come with contents of secrets beside it', async () => {
    using many = await open({
      command: ['sh', '-c', 'cat /run/secrets/word >/dev/null && /bin/busybox echo both'],
      secrets: { word: { file: './container.yaml' } },
    });
    for (const box of await Promise.all([many.start(), many.start()])) {
      expect(box.stdout === null ? '' : await text(box.stdout)).toBe('both\n');
      expect(await box.ended).toMatchObject({ status: 0 });
    }
  });
});
