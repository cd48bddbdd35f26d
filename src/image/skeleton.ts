/** What every root file system has, whatever programs are in it. */
import { lstatSync } from 'node:fs';
import type { FileList } from './filelist.ts';

const FOLDERS: readonly (readonly [string, number])[] = [
  ['/dev', 0o755],
  ['/etc', 0o755],
  ['/home', 0o755],
  ['/mnt', 0o755],
  ['/proc', 0o755],
  ['/root', 0o700],
  ['/run', 0o755],
  ['/sys', 0o755],
  ['/tmp', 0o1777],
  ['/usr', 0o755],
  ['/usr/bin', 0o755],
  ['/usr/lib', 0o755],
  ['/usr/local', 0o755],
  ['/usr/local/bin', 0o755],
  ['/usr/sbin', 0o755],
  ['/var', 0o755],
  ['/var/tmp', 0o1777],
];

/** Either folders, or links into /usr: as the host has them, because its programs rely on it. */
const MERGED = ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];

const TEXTS: Readonly<Record<string, string>> = {
  '/etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n',
  '/etc/group': 'root:x:0:\ntty:x:5:\nnogroup:x:65534:\n',
  '/etc/hosts': '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n',
  '/etc/nsswitch.conf': 'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n',
};

export function addSkeleton(list: FileList): void {
  for (const path of MERGED) {
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) list.add(path);
  }
  for (const [path, mode] of FOLDERS) {
    if (list.items.get(path)?.type !== 'symlink') list.directory(path, mode);
  }
  for (const [path, text] of Object.entries(TEXTS)) list.text(path, text);
}
