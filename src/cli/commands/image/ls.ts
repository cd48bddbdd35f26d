import { listImages, type StoredImage } from '../../../image/maintain.ts';
import type { Run } from '../../command.ts';
import { hostFacts } from '../../environment.ts';
import { writeOutput } from '../../output.ts';
import { readableBytes, readableSeconds } from '../../../text/sizes.ts';
import { formOf } from './form.ts';
import { shortDigest } from './select.ts';
import { columns } from '../../../text/columns.ts';
import { safeJson } from '../../../text/safe.ts';

const HEAD = ['NAME', 'DIGEST', 'SIZE', 'LAYERS', 'AGE', 'FORM', 'FROM'];

/** One row for each name, as people look for them. */
function rowsOf({ digest, names, records, size }: StoredImage, now: number): readonly (readonly string[])[] {
  const [record] = records;
  if (record === undefined) return [];
  const forms = [...new Set(records.map(formOf))].join(', ');
  const age = readableSeconds(Math.max(0, (now - record.created) / 1000));
  const rest = [shortDigest(digest), readableBytes(size), String(record.layers.length), age, forms, record.source];
  return (names.length === 0 ? ['-'] : names).map((name) => [name, ...rest]);
}

export const imageLs: Run = (invocation) => {
  const images = listImages(hostFacts(invocation));
  if (invocation.args.flag('names')) {
    writeOutput(images.flatMap(({ names }) => names.map((name) => `${name}\n`)).join(''));
    return 0;
  }
  if (invocation.args.flag('json')) {
    const objects = images.map(({ digest, names, size, records }) => ({
      digest,
      names,
      size,
      layers: records[0]?.layers.length ?? 0,
      created: new Date(records[0]?.created ?? 0).toISOString(),
      forms: [...new Set(records.map(formOf))],
      source: records[0]?.source ?? '',
    }));
    writeOutput(`${safeJson(objects, 2)}\n`);
    return 0;
  }
  const now = Date.now();
  writeOutput(columns([HEAD, ...images.flatMap((image) => rowsOf(image, now))]));
  return 0;
};
