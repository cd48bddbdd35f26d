/** A signal that comes when the launcher is just being executed, and cannot read it yet. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { PROGRAM, runOnce, type Ended } from '../support/boxctl.ts';
import { hasBusybox } from '../support/busybox.ts';
import { FRONT, warm } from '../support/front.ts';
import { busyboxRootfs } from '../support/rootfs.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot } from '../support/user.ts';

const UP = ['up', '--quiet', '--allow', 'all'];
/** The launcher's first call is fstat. */
const DELAYED = [
  'strace',
  '-f',
  '-o',
  '/dev/null',
  '-e',
  'trace=fstat',
  '-e',
  'inject=fstat:delay_enter=500000:when=1',
];

function children(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text
    .split(' ')
    .filter((word) => word !== '')
    .map(Number);
}

/** boxctl below this tracer, and its launcher, which is executed just now. */
async function job(tracer: number): Promise<readonly number[]> {
  for (;;) {
    await sleep(2);
    try {
      for (const boxctl of children(tracer)) {
        const own = readlinkSync(`/proc/${boxctl}/exe`);
        const launcher = children(boxctl).find((pid) => readlinkSync(`/proc/${pid}/exe`) !== own);
        if (launcher !== undefined) return [boxctl, launcher];
      }
    } catch {
      // One of them has just ended.
    }
  }
}

describe.skipIf(!isRoot || !hasBusybox || !existsSync('/usr/bin/strace'))(
  'the end of a whole job while its launcher begins (needs root, busybox-static and strace)',
  () => {
    test.each([
      ['a kept plan', [FRONT], 'SIGINT', 130],
      ['a kept plan', [FRONT], 'SIGTERM', 143],
      ['Node', [process.execPath, PROGRAM], 'SIGINT', 130],
    ] as const)('is the end that was asked for: by %s', async (_title, program, signal, status) => {
      const around = tempFolder({ open: true });
      const folder = join(around, 'project');
      for (const path of [folder, join(around, 'run')]) mkdirSync(path, { mode: 0o700 });
      copyFileSync(busyboxRootfs(), join(folder, 'rootfs.tar'));
      writeFileSync(join(folder, 'container.yaml'), 'image: ./rootfs.tar\ncommand: [echo, ran]\n');
      const env = { BOXCTL_STORE: join(around, 'store'), XDG_RUNTIME_DIR: join(around, 'run'), HOME: around };
      const options = { cwd: folder, env };
      expect(await warm(UP, options)).toMatchObject({ status: 0 });

      let sent: Promise<void> | undefined;
      const ended: Ended = await runOnce([...DELAYED, ...program, ...UP], {
        ...options,
        onStart: ({ pid = 0 }) => {
          sent = job(pid).then((all) => all.forEach((one) => process.kill(one, signal)));
        },
      });
      await sent;
      expect(ended).toMatchObject({ status, stdout: '', stderr: expect.stringContaining(`ended by ${signal}`) });
    });
  },
);
