/** The record of an image that was brought into the store. */
import { UNKNOWN_IMAGE, type ImageFacts, type Layer } from '../model/image.ts';
import { inspect, type Contents } from '../worker/work.ts';
import type { Job } from './import-job.ts';
import type { ImageRecord, RecordedLayer } from './records.ts';
import { SHELLS } from './shells.ts';

const FILES = ['/etc/passwd', '/etc/group'];

interface Description {
  readonly digest: string;
  /** Where the layers are now. */
  readonly layers: readonly Layer[];
  readonly recorded: readonly RecordedLayer[];
  readonly contents: Pick<Contents, 'entries' | 'bytes' | 'squashed' | 'skipped'>;
  readonly source: string;
  readonly defaults?: ImageFacts['defaults'];
  readonly names?: readonly string[];
}

/** Reads what the planner needs to know of the image, in the image itself. Throws if the image cannot be mounted. */
export async function describeImage(description: Description, { host, options }: Job): Promise<ImageRecord> {
  const { digest, layers, recorded, contents, source, defaults = {}, names = [] } = description;
  const { entries, bytes, squashed, skipped } = contents;
  const image = { ...UNKNOWN_IMAGE, digest, layers, ownership: options.ownership, defaults };
  const { files, paths } = await inspect(image, host, FILES, SHELLS);
  const [passwd = '', group = ''] = files;
  const shell = SHELLS.find((_, index) => (paths[index] ?? '') !== '') ?? '';
  const counts = { entries, bytes, squashed, skipped };
  const created = Date.now();
  return { digest, layers: recorded, passwd, group, shell, defaults, ...counts, source, created, archiveNames: names };
}
