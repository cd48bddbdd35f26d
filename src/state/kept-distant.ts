/** Inputs of a plan that another host or a program may change without their times here telling so at once. */
import { statfsSync } from 'node:fs';
import { isIdentity, type Input } from '../inputs/record.ts';

/**
 * Magic numbers (statfs(2)) of file systems of networks, of hosts of virtual machines, and of programs (FUSE). stat(2) gives what was
 * known of a file some seconds ago, and only open(2) asks again.
 */
const DISTANT: ReadonlySet<number> = new Set([
  0x6969, // NFS
  0x517b, // SMB
  0xff53_4d42, // CIFS
  0xfe53_4d42, // SMB 2
  0x0102_1997, // 9P
  0x6573_5546, // FUSE, virtiofs
  0x00c3_6400, // Ceph
  0x5346_414f, // AFS
  0x6b41_4653, // AFS of the kernel
  0x7375_7245, // Coda
  0x0bd0_0bd0, // Lustre
  0x4750_4653, // GPFS
  0x0116_1970, // GFS2
  0x7461_636f, // OCFS2
  0x786f_4256, // VirtualBox
  0xbacb_acbc, // VMware
]);

const typeAt = (path: string): number => statfsSync(path).type;

/** The first path whose identity was taken on such a file system. `typeOf` is for tests. */
export function distantInput(inputs: readonly Input[], typeOf = typeAt): string | undefined {
  const looked = new Set<bigint>();
  for (const input of inputs) {
    if (input.kind !== 'path' || !isIdentity(input.found) || looked.has(input.found.dev)) continue;
    looked.add(input.found.dev);
    // Some of the numbers have their highest bit set.
    if (DISTANT.has(typeOf(input.path) >>> 0)) return input.path;
  }
  return undefined;
}
