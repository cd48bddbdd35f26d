/** The index of an archive, mounted by the kernel, against what GNU tar and the unpacker make of the same archive. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bothTrees, GNU_TAR, kernelComplaints } from '../support/erofs.ts';
import { debianRootfs } from '../support/rootfs.ts';

let base = '';
let complaints: string[] = [];
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'boxctl-erofs-'));
  complaints = kernelComplaints();
});
afterEach(() => {
  rmSync(base, { recursive: true });
  expect(kernelComplaints()).toEqual(complaints);
});

describe.skipIf(process.geteuid?.() !== 0)('as root (skipped without: it mounts)', () => {
  test('a Debian userland is what GNU tar makes of it', { timeout: 120_000 }, () => {
    const { report, mounted, unpacked } = bothTrees(debianRootfs(), base, GNU_TAR);
    expect(report).toMatchObject({ ok: true, skipped: 0, implied: [] });
    expect(mounted).toEqual(unpacked);
    expect(mounted.length).toBeGreaterThan(5000);
  });
});
