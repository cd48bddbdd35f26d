/** `--compression` and `--level`, as `image save` and `image push` take them. */
import { BoxctlError } from '../../../errors.ts';
import { MAX_LEVEL, type Packing } from '../../../image/layer-blobs.ts';
import type { Compression } from '../../../worker/work.ts';
import type { Arguments } from '../../command.ts';

const isCompression = (text: string): text is Compression => Object.hasOwn(MAX_LEVEL, text);

/** `usual`: what is taken where nothing is said. Throws `E_USAGE`. */
export function packingOf(args: Arguments, usual: Compression): Packing {
  const compression = args.value('compression') ?? usual;
  if (!isCompression(compression)) {
    throw new BoxctlError('E_USAGE', `--compression ${compression} is not known`, {
      hint: 'gzip, zstd, or none',
    });
  }
  const level = args.value('level');
  if (level === undefined) return { compression, level: 0 };
  const most = MAX_LEVEL[compression];
  if (!/^\d{1,2}$/u.test(level) || Number(level) < 1 || Number(level) > most) {
    throw new BoxctlError('E_USAGE', `--level ${level} is no level of ${compression}`, {
      hint: most === 0 ? 'say --compression gzip or zstd, too' : `${compression} has levels from 1 to ${most}`,
    });
  }
  return { compression, level: Number(level) };
}
