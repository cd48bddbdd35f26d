/**
 * Writes a tar archive that depends on nothing but the entries: ustar, with a pax header for what ustar cannot hold
 * (POSIX.1-2001, "pax Interchange Format").
 */

export interface TarEntry {
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink';
  readonly mode: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  /** Bytes of a file. */
  readonly size: number;
  /** Where a symbolic link leads. */
  readonly link: string;
}

const BLOCK = 512;
const TYPE = { file: '0', symlink: '2', directory: '5' } as const;
/** The largest size that 11 octal digits hold. */
const MAX_OCTAL = 0o77777777777;

export const padding = (size: number): Buffer => Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);

/** Two empty blocks. */
export const endOfArchive = (): Buffer => Buffer.alloc(2 * BLOCK);

/** The blocks before the entry's data. Everything belongs to 0:0. */
export function header(entry: TarEntry): Buffer {
  const path = entry.type === 'directory' ? `${entry.path}/` : entry.path;
  const records: [string, string][] = [];
  const split = splitPath(path);
  if (split === undefined) records.push(['path', path]);
  if (Buffer.byteLength(entry.link) > 100) records.push(['linkpath', entry.link]);
  if (entry.size > MAX_OCTAL) records.push(['size', String(entry.size)]);
  const mtime = Math.trunc(entry.mtime);
  if (mtime < 0 || mtime > MAX_OCTAL) records.push(['mtime', String(mtime)]);
  const block = ustar(split ?? ['', 'pax'], TYPE[entry.type], entry.mode, entry.size, mtime, entry.link);
  if (records.length === 0) return block;
  const data = Buffer.from(records.map(([key, value]) => paxRecord(key, value)).join(''));
  return Buffer.concat([ustar(['', 'pax'], 'x', 0o644, data.length, 0, ''), data, padding(data.length), block]);
}

/** A path in ustar's two fields, divided at a slash; undefined when it does not fit. */
function splitPath(path: string): readonly [string, string] | undefined {
  if (Buffer.byteLength(path) <= 100) return ['', path];
  for (let at = path.indexOf('/'); at !== -1 && at < path.length - 1; at = path.indexOf('/', at + 1)) {
    const [prefix, name] = [path.slice(0, at), path.slice(at + 1)];
    if (prefix !== '' && Buffer.byteLength(prefix) <= 155 && Buffer.byteLength(name) <= 100) return [prefix, name];
  }
  return undefined;
}

/** "LENGTH KEY=VALUE\n", where LENGTH counts its own digits. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const size = Buffer.byteLength(rest);
  let length = size + String(size).length;
  if (String(length).length !== String(size).length) length = size + String(length).length;
  return `${length}${rest}`;
}

function ustar(
  [prefix, name]: readonly [string, string],
  type: string,
  mode: number,
  size: number,
  mtime: number,
  link: string,
): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, length: number): void => {
    const bounded = value < 0 || value > MAX_OCTAL ? 0 : value;
    block.write(bounded.toString(8).padStart(length - 1, '0'), at);
  };
  block.write(name, 0, 100);
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(mtime, 136, 12);
  block.write(' '.repeat(8), 148);
  block.write(type, 156);
  block.write(link, 157, 100);
  block.write('ustar\x0000', 257, 'latin1');
  octal(0, 329, 8);
  octal(0, 337, 8);
  block.write(prefix, 345, 155);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
