/** Hooks without the launcher: the same unpacker, remover, locks and file access, in a process that is not confined. */
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageHooks, UnpackReport } from '../../../src/image/hooks.ts';
import { parseReport } from '../../../src/image/report.ts';
import { readInRoot, tryLock } from '../../../src/run/native.ts';
import { unpackMain } from './worker.ts';

export interface CountingHooks extends ImageHooks {
  /** How often something was unpacked. */
  readonly unpacks: () => number;
}

export function plainHooks(): CountingHooks {
  let unpacks = 0;
  return {
    unpacks: () => unpacks,
    unpack(target) {
      unpacks++;
      const child = spawn(unpackMain(), ['unpack', target], { stdio: ['pipe', 'ignore', 'pipe'] });
      const done = new Promise<UnpackReport>((resolve, reject) => {
        let text = '';
        child.stderr.on('data', (part: Buffer) => (text += part.toString()));
        child.on('close', () => {
          const report = parseReport(text);
          if (report === undefined) reject(new Error(`no report: ${text}`));
          else resolve(report);
        });
      });
      return { input: child.stdin, done };
    },
    async remove(folder, name) {
      rmSync(join(folder, name), { recursive: true });
    },
    tryLock: (fd) => tryLock(fd, true),
    readText: (rootfs, path, maxBytes) => readInRoot(rootfs, path, maxBytes)?.toString('utf8') ?? '',
  };
}
