/** The one line of JSON that the unpacker ends with (native/image/unpack.h). */
import type { UnpackReport } from './hooks.ts';
import { isRecord } from './json.ts';

/** The last line of what the unpacker wrote, if it is a report. */
export function parseReport(text: string): UnpackReport | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text.trimEnd().split('\n').at(-1) ?? '');
  } catch {
    return undefined;
  }
  if (!isRecord(value)) return undefined;
  const { entries, bytes, squashed, skipped, error, entry, errno } = value;
  if (typeof error === 'string' && typeof entry === 'string' && typeof errno === 'number') {
    return { ok: false, error, entry, errno };
  }
  if (typeof entries !== 'number' || typeof bytes !== 'number') return undefined;
  if (typeof squashed !== 'number' || typeof skipped !== 'number') return undefined;
  return { ok: true, entries, bytes, squashed, skipped };
}
