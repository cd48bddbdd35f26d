/** container.json of a container's folder: what it is, as lists show it. */
import { isRecord, isTextList, isTexts } from '../text/json.ts';

const VERSION = 1;
/** What the folder of a container is called. */
export const ID = /^[0-9a-f]{12}$/u;

/** A published port, as far as it is known before the start. */
export interface KeptPort {
  /** Of the host; undefined: all. */
  readonly address?: string;
  /** Of the host; 0: the kernel chooses one at the start. */
  readonly host_port: number;
  /** Of the container. */
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
}

export interface KeptMount {
  readonly type: string;
  /** A path of the host, or the name of a volume; undefined: none. */
  readonly source?: string;
  readonly target: string;
  readonly read_only: boolean;
}

export interface KeptNetwork {
  readonly name: string;
  readonly ipv4?: string;
  readonly ipv6?: string;
}

/** container.json (specs/state.schema.json). No value that the file has from the environment or another file is in it. */
export interface KeptRecord {
  readonly id: string;
  readonly name: string;
  /** The container file, absolute. */
  readonly file: string;
  /** Milliseconds since 1970. */
  readonly created: number;
  /** /proc/sys/kernel/random/boot_id when it was started. */
  readonly boot: string;
  readonly command: readonly string[];
  /** What a person calls its image. */
  readonly image: string | undefined;
  readonly ports?: readonly KeptPort[];
  /** Those that the file asks for. */
  readonly mounts?: readonly KeptMount[];
  readonly networks?: readonly KeptNetwork[];
  readonly labels?: Readonly<Record<string, string>>;
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isOptionalText = (value: unknown): value is string | undefined => value === undefined || isText(value);
const isPort = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 0xffff;

function listOf<T>(value: unknown, isItem: (item: Readonly<Record<string, unknown>>) => boolean): readonly T[] {
  return Array.isArray(value) && value.every((item) => isRecord(item) && isItem(item)) ? (value as readonly T[]) : [];
}

const portsOf = (value: unknown): readonly KeptPort[] =>
  listOf<KeptPort>(
    value,
    ({ address, host_port, port, protocol }) =>
      isOptionalText(address) && isPort(host_port) && isPort(port) && (protocol === 'tcp' || protocol === 'udp'),
  );
const mountsOf = (value: unknown): readonly KeptMount[] =>
  listOf<KeptMount>(
    value,
    ({ type, source, target, read_only }) =>
      isText(type) && isOptionalText(source) && isText(target) && typeof read_only === 'boolean',
  );
const networksOf = (value: unknown): readonly KeptNetwork[] =>
  listOf<KeptNetwork>(value, ({ name, ipv4, ipv6 }) => isText(name) && isOptionalText(ipv4) && isOptionalText(ipv6));

export function parseRecord(value: unknown): KeptRecord | undefined {
  if (!isRecord(value) || value['version'] !== VERSION) return undefined;
  const { id, name, file, created, boot, command, image, ports, mounts, networks, labels } = value;
  const isWhole =
    isText(id) &&
    ID.test(id) &&
    isText(name) &&
    isText(file) &&
    Number.isFinite(created) &&
    isText(boot) &&
    isTextList(command) &&
    isOptionalText(image);
  return isWhole
    ? {
        id,
        name,
        file,
        created: Number(created),
        boot,
        command,
        image,
        ports: portsOf(ports),
        mounts: mountsOf(mounts),
        networks: networksOf(networks),
        labels: isTexts(labels) ? labels : {},
      }
    : undefined;
}

/** The text of container.json. */
export const recordText = (record: KeptRecord): string => `${JSON.stringify({ version: VERSION, ...record })}\n`;

/** Why container.json gives nothing. */
export function problemOf(value: unknown): string {
  if (!isRecord(value)) return 'its container.json is damaged';
  const { version } = value;
  if (version === VERSION || typeof version !== 'number') return 'its container.json is damaged';
  return `its container.json was written by another version of boxctl (format ${version})`;
}
