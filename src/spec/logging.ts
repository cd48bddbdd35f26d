/** `logging`. */
import type { ContainerFile } from '../generated/container.ts';
import { parseSize } from '../text/units.ts';
import { addProblem, clip, type Context } from './context.ts';
import type { Logging, Spec } from './spec.ts';

/** The least that a file may be limited to, bytes. */
const LEAST_SIZE = 1024;
const MOST_FILES = 10_000;

/** As Docker's `local` driver has them: a log never fills the disk. */
export const DEFAULT_LOGGING: Logging = { driver: 'json-file', maxSize: 20 * 2 ** 20, maxFiles: 5 };

export function normaliseLogging(context: Context, raw: ContainerFile['logging']): Pick<Spec, 'logging'> {
  if (raw?.driver === undefined && raw?.options === undefined) return {};
  const driver = raw.driver ?? DEFAULT_LOGGING.driver;
  const { 'max-size': size, 'max-file': files } = raw.options ?? {};
  if (driver !== 'json-file' && (size !== undefined || files !== undefined)) {
    const path = `logging.options.${size === undefined ? 'max-file' : 'max-size'}`;
    addProblem(
      context,
      path,
      'E_SPEC_CONFLICT',
      `\`${path}\` is an option of \`driver: json-file\`, not of ${driver}`,
      {
        hint: driver === 'none' ? 'nothing is kept: leave the options out' : 'journald.conf(5) limits what is kept',
      },
    );
  }
  return {
    logging: {
      driver,
      maxSize: size === undefined ? DEFAULT_LOGGING.maxSize : sizeOf(context, size),
      maxFiles: files === undefined ? DEFAULT_LOGGING.maxFiles : countOf(context, files),
    },
  };
}

/** -1 is no limit, as Docker has it. */
function sizeOf(context: Context, value: string | number): number {
  const text = String(value).trim();
  if (text === '-1') return 0;
  const path = 'logging.options.max-size';
  const bytes = parseSize(text);
  if (bytes === undefined || bytes < LEAST_SIZE) {
    const hint = bytes === undefined ? 'with a unit: 10m' : 'the least is 1k; -1 is no limit';
    addProblem(context, path, 'E_SPEC_SIZE', `\`${path}\` must be the size of a file; found "${clip(text)}"`, { hint });
    return DEFAULT_LOGGING.maxSize;
  }
  return bytes;
}

function countOf(context: Context, value: string | number): number {
  const text = String(value).trim();
  const count = /^\d{1,5}$/u.test(text) ? Number(text) : 0;
  if (count < 1 || count > MOST_FILES) {
    const path = 'logging.options.max-file';
    const message = `\`${path}\` must be a number of files, 1 to ${MOST_FILES}; found "${clip(text)}"`;
    addProblem(context, path, 'E_SPEC_RANGE', message);
    return DEFAULT_LOGGING.maxFiles;
  }
  return count;
}
