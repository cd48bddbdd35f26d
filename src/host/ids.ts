/** Who the caller is, and which ids are his (subuid(5), user_namespaces(7)). */
import type { IdRange } from './facts.ts';

/** `name:start:count` lines that belong to the user, named or numbered; a line that is no such thing is passed over. */
export function subordinateRanges(text: string | undefined, names: ReadonlySet<string>): readonly IdRange[] {
  return allRanges(text)
    .filter(({ owner }) => names.has(owner))
    .map(({ range }) => range);
}

export function allRanges(text: string | undefined): readonly { readonly owner: string; readonly range: IdRange }[] {
  return (text ?? '').split('\n').flatMap((line) => {
    const match = /^([^:#]+):(\d+):(\d+)$/u.exec(line.trim());
    if (match === null) return [];
    const [, owner = '', start, size] = match;
    return Number(size) > 0 ? [{ owner, range: { start: Number(start), size: Number(size) } }] : [];
  });
}

/** The ids that exist in boxctl's own user namespace: the first column of /proc/self/uid_map and its sizes. */
export function ownRanges(text: string | undefined): readonly IdRange[] {
  return (text ?? '').split('\n').flatMap((line) => {
    const [start, , size] = line.trim().split(/\s+/u).map(Number);
    return start !== undefined && size !== undefined && line.trim() !== '' ? [{ start, size }] : [];
  });
}

const WHOLE = 4_294_967_295;

/** Those that are there: subordinate ranges are the machine's, and a user namespace has only some of its ids. */
export function within(own: readonly IdRange[], ranges: readonly IdRange[]): readonly IdRange[] {
  return ranges.filter(({ start, size }) =>
    own.some((range) => start >= range.start && start + size <= range.start + range.size),
  );
}

/** The initial user namespace maps everything to itself. */
export function isInitialUserNamespace(uidMap: string | undefined): boolean {
  const fields = (uidMap ?? '').trim().split(/\s+/u).map(Number);
  return fields.length === 3 && fields[0] === 0 && fields[1] === 0 && fields[2] === WHOLE;
}

export function userName(passwd: string | undefined, uid: number): string | undefined {
  for (const line of (passwd ?? '').split('\n')) {
    const [name, , id] = line.split(':');
    if (name !== undefined && id === String(uid)) return name;
  }
  return undefined;
}

export interface ProcessStatus {
  readonly euid: number;
  readonly egid: number;
  readonly groups: readonly number[];
  readonly capabilities: bigint;
  /** Set-user-id programs give it nothing (PR_SET_NO_NEW_PRIVS). */
  readonly noNewPrivileges: boolean;
}

/** What is read of /proc/self/status. */
export const STATUS_LINES = ['Uid:', 'Gid:', 'Groups:', 'CapEff:', 'NoNewPrivs:'];

/** /proc/self/status (proc_pid_status(5)). */
export function parseStatus(text: string | undefined): ProcessStatus {
  const field = (name: string): string => new RegExp(`^${name}:[ \\t]*(.*)$`, 'mu').exec(text ?? '')?.[1] ?? '';
  const ids = (name: string): readonly number[] => field(name).trim().split(/\s+/u).filter(Boolean).map(Number);
  return {
    euid: ids('Uid')[1] ?? 0,
    egid: ids('Gid')[1] ?? 0,
    groups: ids('Groups'),
    capabilities: BigInt(`0x${field('CapEff').trim() || '0'}`),
    noNewPrivileges: field('NoNewPrivs').trim() === '1',
  };
}

const CAP_SETGID = 1n << 6n;
const CAP_SETUID = 1n << 7n;
const CAP_SETPCAP = 1n << 8n;
const CAP_SYS_ADMIN = 1n << 21n;
const CAP_SETFCAP = 1n << 31n;

function hasAll(capabilities: bigint, needed: bigint): boolean {
  return (capabilities & needed) === needed;
}

/** With these, in the initial user namespace, boxctl makes maps and mounts of the host itself. */
export function hasHostPrivileges(capabilities: bigint): boolean {
  return hasAll(capabilities, CAP_SETGID | CAP_SETUID | CAP_SYS_ADMIN);
}

/** With these the kernel takes any map of ids that the own user namespace has; the last one is for its root (Linux 5.12). */
export function hasMappingRights(capabilities: bigint): boolean {
  return hasAll(capabilities, CAP_SETGID | CAP_SETUID | CAP_SETFCAP);
}

/** With this it may say what a change of ids does to its capabilities (capabilities(7), "The securebits flags"). */
export function maySetSecurebits(capabilities: bigint): boolean {
  return hasAll(capabilities, CAP_SETPCAP);
}
