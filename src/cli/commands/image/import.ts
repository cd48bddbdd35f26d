import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { BoxctlError } from '../../../errors.ts';
import type { ImageFacts } from '../../../model/image.ts';
import { checkName } from '../../../image/names.ts';
import { readRecordFile } from '../../../image/records.ts';
import { reportImport, titleOf } from '../../../container/import-image.ts';
import { ensureImage, type ResolveOptions, type TarSource } from '../../../image/resolve.ts';
import { importStream } from '../../../image/stream.ts';
import { imageOwnership } from '../../../model/compile.ts';
import { isImageName } from '../../../spec/image-name.ts';
import { realPath } from '../../../files/read.ts';
import { loadSpecText } from '../../../spec/load.ts';
import { parseSize } from '../../../text/units.ts';
import type { Arguments, Run } from '../../command.ts';
import { hostFacts } from '../../environment.ts';
import { homeOf } from '../../home.ts';
import { importView } from '../../import-view.ts';
import { wantsColor, writeOutput } from '../../output.ts';
import { jsonMessages, textMessages } from '../../messages.ts';
import { checkNamesAreFree, nameImage } from './name-image.ts';

const STDIN = 0;
const usage = (message: string, hint: string): BoxctlError => new BoxctlError('E_USAGE', message, { hint });

/** What the options say of the archive. */
function wishes(args: Arguments): Omit<TarSource, 'kind' | 'path'> {
  const [wanted, sha256, size, entries] = [
    args.value('image'),
    args
      .value('sha256')
      ?.toLowerCase()
      .replace(/^sha256:/u, ''),
    args.value('max-size'),
    args.value('max-entries'),
  ];
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/u.test(sha256)) {
    throw usage(`--sha256 ${sha256} is no digest`, '64 hexadecimal digits, as sha256sum prints them');
  }
  const maxSize = size === undefined ? undefined : parseSize(size);
  if (size !== undefined && maxSize === undefined) {
    throw usage(`--max-size ${size} is no size`, 'units are b, k, m, g and t, 1024-based: 2g');
  }
  const maxEntries = entries === undefined ? undefined : Number(entries);
  if (maxEntries !== undefined && !(Number.isSafeInteger(maxEntries) && maxEntries > 0)) {
    throw usage(`--max-entries ${String(entries)} is no number`, '--max-entries 100000');
  }
  return {
    ...(wanted === undefined ? {} : { wanted }),
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(maxSize === undefined ? {} : { maxSize }),
    ...(maxEntries === undefined ? {} : { maxEntries }),
  };
}

/** A folder that is a root file system is refused: it has no digest, so a change of it could not be noticed. */
function checkFolder(path: string, given: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return;
  if (existsSync(`${path}/oci-layout`) && existsSync(`${path}/index.json`)) return;
  throw new BoxctlError('E_IMAGE_UNREADABLE', `${given} is a folder, and no OCI image layout`, {
    hint: `use it as it is with \`image: {folder: ${given}}\`, or import it as an archive:\ntar -C ${given} --numeric-owner --xattrs -c . | boxctl image import - NAME`,
  });
}

/** The name that an archive has for its image may be no valid name. In a layout it is often a tag alone. */
const isName = (text: string): boolean => isImageName(text) && /[:/]/u.test(text);

export const imageImport: Run = async (invocation) => {
  const { args, cwd, env } = invocation;
  const [file = '', ...given] = args.positionals;
  const names = given.map(checkName);
  const source = wishes(args);
  const path = resolve(cwd, file);
  if (file !== '-') checkFolder(path, file);
  const mode = args.flag('json') ? 'json' : args.flag('quiet') ? 'quiet' : 'auto';
  const messages = mode === 'json' ? jsonMessages : textMessages(wantsColor(2, env), mode === 'quiet');
  try {
    const host = hostFacts(invocation);
    // The ids of a file that says nothing about them; for others, an image that is unpacked is unpacked anew.
    const plain = loadSpecText('image: {host_tools: [sh]}\n', 'import', { env: {}, home: homeOf(env), folder: '/' });
    const ownership = imageOwnership(plain, host);
    const tar: TarSource = { kind: 'tar', path: realPath(path), ...source };
    const title = file === '-' ? 'standard input' : titleOf(tar);
    const take = (options: ResolveOptions): Promise<ImageFacts> =>
      file === '-'
        ? importStream(STDIN, { name: 'standard input', ...source }, ownership, host, options)
        : ensureImage(tar, ownership, host, { ...options, copy: true });
    const reporter = { ...messages, importing: (name: string) => importView(name, mode, env) };
    const image = await reportImport({ title, reporter, takesSignals: true }, take);
    const own = readRecordFile(image.record)?.archiveNames ?? [];
    const all = names.length > 0 ? names : own.filter(isName).map(checkName);
    if (names.length === 0 && !args.flag('replace')) checkNamesAreFree(host.dirs.store, image.digest, all, file);
    nameImage(host.dirs.store, image.digest, all, messages);
    writeOutput(`${[image.digest, ...all].join(' ')}\n`);
    return 0;
  } catch (error) {
    return messages.failure(error);
  }
};
