import { basename } from 'node:path';
import type { StoredImage } from '../../../image/maintain.ts';
import { allRecords, folderOf, type ImageRecord } from '../../../image/records.ts';
import type { Run } from '../../command.ts';
import { hostFacts } from '../../environment.ts';
import { writeOutput } from '../../output.ts';
import { readableBytes } from '../../../text/sizes.ts';
import { formOf } from './form.ts';
import { selectImage } from './select.ts';
import { safe, safeJson } from '../../../text/safe.ts';

/** A record, and where its layers lie. */
interface Import {
  readonly record: ImageRecord;
  readonly owners: string;
  readonly folders: readonly string[];
}

function importsOf(store: string, image: StoredImage): readonly Import[] {
  return allRecords(store)
    .filter(({ record }) => record.digest === image.digest)
    .map(({ path, record }) => {
      const owners = basename(path, '.json');
      return { record, owners, folders: record.layers.map((layer) => folderOf(store, layer, owners)) };
    });
}

function asJson({ digest, names, size }: StoredImage, imports: readonly Import[]): object {
  return {
    digest,
    names,
    size,
    defaults: imports[0]?.record.defaults ?? {},
    imports: imports.map(({ record, owners, folders }) => ({
      owners,
      form: formOf(record),
      source: record.source,
      ...(record.platform === undefined ? {} : { platform: record.platform }),
      ...(record.manifest === undefined ? {} : { manifest: record.manifest }),
      created: new Date(record.created).toISOString(),
      entries: record.entries,
      bytes: record.bytes,
      squashed: record.squashed,
      skipped: record.skipped,
      shell: record.shell,
      layers: record.layers.map(({ digest: layer, inPlace }, index) => ({
        digest: layer,
        folder: folders[index],
        ...(inPlace === undefined ? {} : { archive: inPlace.path }),
      })),
    })),
  };
}

/** As a file would say it: what comes from an archive may hold anything. */
const words = (list: readonly string[]): string => `[${list.map((word) => safeJson(word)).join(', ')}]`;

function defaultsOf({ defaults }: ImageRecord): readonly (readonly [string, string])[] {
  const { entrypoint, command, environment, workingDir, user, stopSignal } = defaults;
  return [
    ...(entrypoint === undefined ? [] : [['entrypoint', words(entrypoint)] as const]),
    ...(command === undefined ? [] : [['command', words(command)] as const]),
    ...Object.entries(environment ?? {}).map(([key, value]) => ['environment', words([`${key}=${value}`])] as const),
    ...(workingDir === undefined ? [] : [['working_dir', safeJson(workingDir)] as const]),
    ...(user === undefined ? [] : [['user', safeJson(user)] as const]),
    ...(stopSignal === undefined ? [] : [['stop_signal', safeJson(stopSignal)] as const]),
  ];
}

function asText({ digest, names, size }: StoredImage, imports: readonly Import[]): string {
  const rows: (readonly [string, string])[] = [
    ['digest', digest],
    ['names', names.length === 0 ? '-' : names.join(', ')],
    ['size', readableBytes(size)],
  ];
  const [first] = imports;
  if (first !== undefined) rows.push(...defaultsOf(first.record));
  for (const { record, owners, folders } of imports) {
    rows.push(['', ''], ['imported', `${new Date(record.created).toISOString()} from ${record.source}`]);
    if (record.platform !== undefined) rows.push(['platform', record.platform]);
    if (record.manifest !== undefined) rows.push(['manifest', `sha256:${record.manifest}`]);
    rows.push(['owners', owners === 'plain' ? 'as in the archive' : owners], ['form', formOf(record)]);
    rows.push(['entries', String(record.entries)], ['bytes', String(record.bytes)]);
    rows.push(['squashed', `${record.squashed} (files that belong to root because their owner could not be had)`]);
    rows.push(['skipped', `${record.skipped} (devices and attributes that could not be had)`]);
    rows.push(['shell', record.shell === '' ? '-' : record.shell]);
    for (const [index, { inPlace }] of record.layers.entries()) {
      rows.push(['layer', folders[index] ?? '']);
      if (inPlace !== undefined) rows.push(['archive', inPlace.path]);
    }
  }
  const width = Math.max(...rows.map(([key]) => key.length));
  return rows.map(([key, value]) => `${key.padEnd(width)}  ${safe(value)}`.trimEnd()).join('\n');
}

export const imageInspect: Run = (invocation) => {
  const host = hostFacts(invocation);
  const image = selectImage(invocation.args.positionals[0] ?? '', host);
  const imports = importsOf(host.dirs.store, image);
  const isJson = invocation.args.flag('json');
  writeOutput(`${isJson ? safeJson(asJson(image, imports), 2) : asText(image, imports)}\n`);
  return 0;
};
