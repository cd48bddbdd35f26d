/** The records of runs as they are read (src/plan/record.ts says what is written). */
import { readSync } from 'node:fs';
import type { Ownership } from '../model/image.ts';
import { isRecord, isTextList, parseJson } from '../text/json.ts';
import { parseOwnership } from '../worker/owner.ts';

const MAX_RECORD = 64 * 1024;

/** What a record says. */
export interface RecordText {
  readonly rmdir: readonly string[];
  readonly rmtree: readonly string[];
  /** It is of a container in the background. */
  readonly isKept: boolean;
  readonly ownership: Ownership | undefined;
  /** Files and folders that were made in the user's own folders. */
  readonly made: readonly string[];
  /** Programs beside the container that may have outlived the launcher. */
  readonly helpers: readonly Process[];
  /**
   * The process that the launcher has made, and the mount namespace that its others are found by where they have no namespace of
   * their own. `forks`: the container's first process is its child.
   */
  readonly child: (Process & { readonly mounts: string | undefined; readonly forks: boolean }) | undefined;
}

/** `birth` tells it from every other process that has had or will have its number. */
interface Process {
  readonly pid: number;
  readonly birth: string;
}

const NOTHING: RecordText = {
  rmdir: [],
  rmtree: [],
  isKept: false,
  ownership: undefined,
  made: [],
  helpers: [],
  child: undefined,
};

/** `key` is what the line calls the process's number. */
function parseProcess(value: unknown, key: 'pid' | 'helper'): Process | undefined {
  if (!isRecord(value)) return undefined;
  const { [key]: pid, birth } = value;
  if (typeof pid !== 'number' || !Number.isInteger(pid) || pid <= 1 || typeof birth !== 'string') return undefined;
  return { pid, birth };
}

function parseChild(value: unknown): RecordText['child'] {
  const process = parseProcess(value, 'pid');
  if (process === undefined || !isRecord(value)) return undefined;
  const { mounts, forks } = value;
  return { ...process, mounts: typeof mounts === 'string' ? mounts : undefined, forks: forks === true };
}

/** What a record says, as far as it can be read. */
export function readRecord(fd: number): RecordText {
  const bytes = Buffer.alloc(MAX_RECORD);
  const size = readSync(fd, bytes, 0, MAX_RECORD, 0);
  const [first = '', ...rest] = bytes.toString('utf8', 0, size).split('\n');
  // The launcher was killed before it wrote the record. It had made nothing yet.
  const value = parseJson(first);
  if (!isRecord(value)) return NOTHING;
  const { rmdir, rmtree, ownership } = value;
  const lines = rest.map(parseJson);
  return {
    rmdir: isTextList(rmdir) ? rmdir : [],
    rmtree: isTextList(rmtree) ? rmtree : [],
    isKept: value['kept'] === true,
    ownership: parseOwnership(ownership),
    made: lines.flatMap((line) => (isRecord(line) && typeof line['made'] === 'string' ? [line['made']] : [])),
    helpers: lines.map((line) => parseProcess(line, 'helper')).filter((helper) => helper !== undefined),
    child: lines.map(parseChild).find((child) => child !== undefined),
  };
}
