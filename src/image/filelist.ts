/**
 * A list of host files at the places where the host has them, with every directory and symbolic link that leads there,
 * so that each path that worked on the host works in the image.
 */
import { lstatSync, readlinkSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { BoxctlError } from '../errors.ts';
import { readableByEveryone } from '../files/read.ts';
import { identityOf } from './identity.ts';
import type { Identity, Seen } from './identity.ts';

export type Item =
  | { readonly type: 'directory'; readonly mode: number }
  | { readonly type: 'symlink'; readonly target: string }
  /** A file of the host; `size` in bytes, `mtime` in seconds. */
  | { readonly type: 'copy'; readonly size: number; readonly mode: number; readonly mtime: number }
  | { readonly type: 'text'; readonly text: string };

const MAX_LINKS = 40;

export class FileList {
  /** By absolute path. */
  readonly items = new Map<string, Item>();
  readonly #files: Record<string, Identity> = {};
  readonly #links: Record<string, Identity> = {};

  get seen(): Seen {
    return { files: this.#files, links: this.#links };
  }

  note(path: string, identity: Identity): void {
    this.#files[path] = identity;
  }

  directory(path: string, mode = 0o755): void {
    this.items.set(path, { type: 'directory', mode });
  }

  text(path: string, text: string): void {
    this.items.set(path, { type: 'text', text });
  }

  link(path: string, target: string): void {
    this.items.set(path, { type: 'symlink', target });
  }

  /**
   * Adds a path of the host, whatever it is, and all that leads to it. Returns where it really lies. Throws
   * `E_TOOL_UNREADABLE`: also for a file that nobody `asked` for by its name and that not every user may read, because the
   * container's commands will read it.
   */
  add(path: string, { asked = false } = {}): string {
    const pending = split(path);
    let at = '';
    for (let links = 0; ;) {
      const name = pending.shift();
      if (name === undefined) return at === '' ? '/' : at;
      if (name === '..') {
        at = at.slice(0, Math.max(0, at.lastIndexOf('/')));
        continue;
      }
      const next = `${at}/${name}`;
      const stat = lstat(next);
      if (stat.isSymbolicLink()) {
        if (++links > MAX_LINKS) throw new BoxctlError('E_TOOL_UNREADABLE', `${path} leads through too many links`);
        const target = readlinkSync(next);
        this.link(next, target);
        this.#links[next] = identityOf(stat);
        if (target.startsWith('/')) at = '';
        pending.unshift(...split(target));
      } else if (stat.isDirectory()) {
        if (!this.items.has(next)) this.directory(next);
        at = next;
      } else {
        this.#copy(next, stat);
        if (!asked && !readableByEveryone(next)) {
          throw new BoxctlError('E_TOOL_UNREADABLE', `${next} is needed, and not every user of this host may read it`, {
            hint: 'name it in `host_tools` if the container may have it',
          });
        }
        at = next;
      }
    }
  }

  #copy(path: string, stat: BigIntStats): void {
    if (!stat.isFile()) throw new BoxctlError('E_TOOL_UNREADABLE', `${path} is not a regular file`);
    this.#files[path] = identityOf(stat);
    // Without set-id bits: the owner in the image is another one than here.
    const mode = (Number(stat.mode) & 0o755) | 0o444;
    this.items.set(path, { type: 'copy', size: Number(stat.size), mode, mtime: Number(stat.mtimeNs / 1_000_000_000n) });
  }
}

const split = (path: string): string[] => path.split('/').filter((name) => name !== '' && name !== '.');

function lstat(path: string): BigIntStats {
  try {
    return lstatSync(path, { bigint: true });
  } catch (cause) {
    throw new BoxctlError('E_TOOL_UNREADABLE', `${path} cannot be read`, { cause });
  }
}
