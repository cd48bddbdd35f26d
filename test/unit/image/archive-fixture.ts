/** Makes archives that no honest program would write. */

export interface Fixture {
  readonly name: string;
  readonly type?: string;
  readonly data?: string | Buffer;
  readonly link?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  /** The size in the header, where it is not that of the data. */
  readonly size?: number;
  readonly major?: number;
  readonly minor?: number;
  /** Records of a pax header before the entry. */
  readonly pax?: Readonly<Record<string, string | Buffer>>;
  /** Bytes to put into the finished header, by offset; the checksum is right again afterwards. */
  readonly patch?: Readonly<Record<number, Buffer>>;
}

const padded = (data: Buffer): Buffer => Buffer.concat([data, Buffer.alloc((512 - (data.length % 512)) % 512)]);

const octal = (value: number, length: number): string => value.toString(8).padStart(length - 1, '0');

export function paxRecords(records: Readonly<Record<string, string | Buffer>>): Buffer {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = Buffer.concat([
      Buffer.from(` ${key}=`),
      typeof value === 'string' ? Buffer.from(value) : value,
      Buffer.from('\n'),
    ]);
    let length = rest.length;
    while (String(length).length + rest.length !== length) length++;
    return Buffer.concat([Buffer.from(String(length)), rest]);
  });
  return Buffer.concat(lines);
}

export function entry(fixture: Fixture): Buffer {
  const data = Buffer.from(fixture.data ?? '');
  const header = Buffer.alloc(512);
  header.write(fixture.name, 0, 100);
  header.write(octal(fixture.mode ?? 0o644, 8), 100);
  header.write(octal(fixture.uid ?? 0, 8), 108);
  header.write(octal(fixture.gid ?? 0, 8), 116);
  header.write(octal(fixture.size ?? data.length, 12), 124);
  header.write(octal(fixture.mtime ?? 0, 12), 136);
  header.write(fixture.type ?? '0', 156);
  header.write(fixture.link ?? '', 157, 100);
  header.write('ustar\x0000', 257, 'latin1');
  header.write(octal(fixture.major ?? 0, 8), 329);
  header.write(octal(fixture.minor ?? 0, 8), 337);
  for (const [at, bytes] of Object.entries(fixture.patch ?? {})) bytes.copy(header, Number(at));
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${octal(sum, 7)}\0 `, 148, 'latin1');
  const before = fixture.pax === undefined ? [] : [entry({ name: 'pax', type: 'x', data: paxRecords(fixture.pax) })];
  return Buffer.concat([...before, header, padded(data)]);
}

export const archive = (...fixtures: readonly Fixture[]): Buffer =>
  Buffer.concat([...fixtures.map(entry), Buffer.alloc(1024)]);
