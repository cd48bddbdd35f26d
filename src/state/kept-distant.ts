/** Inputs of a plan that may change without their times here telling so at once. */
import { statfsSync } from 'node:fs';
import { hasWholeSeconds, isIdentity, mediumPaths, type Input } from '../inputs/record.ts';

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

/** Magic numbers of file systems that are mounted as they were made elsewhere. */
const IMAGES: ReadonlySet<number> = new Set([
  0x7371_7368, // squashfs
  0xe0f5_e1e2, // EROFS
  0x9660, // ISO 9660
  0x1501_3346, // UDF
  0x28cd_3d45, // cramfs
  0x7275, // romfs
]);

const typeAt = (path: string): number => statfsSync(path).type;

/** The first path whose identity was taken on such a file system. `typeOf` is for tests. */
export function distantInput(inputs: readonly Input[], typeOf = typeAt): string | undefined {
  const looked = new Map<bigint, number>();
  const media = new Set(
    inputs.flatMap((input) => (input.kind === 'text' && input.text !== undefined ? [input.path] : [])),
  );
  for (const input of inputs) {
    if (input.kind !== 'path' || !isIdentity(input.found)) continue;
    const { found, isWhole, path } = input;
    // Some of the numbers have their highest bit set.
    const type = looked.get(found.dev) ?? typeOf(path) >>> 0;
    looked.set(found.dev, type);
    if (DISTANT.has(type)) return path;
    const isTold = mediumPaths(found.dev)?.some((medium) => media.has(medium)) === true;
    if (IMAGES.has(type) && isWhole && hasWholeSeconds(found) && !isTold) return path;
  }
  return undefined;
}
