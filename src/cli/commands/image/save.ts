import { closeSync, constants, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { BoxctlError } from '../../../errors.ts';
import { unfinishedName } from '../../../files/atomic-write.ts';
import type { HostFacts } from '../../../host/facts.ts';
import { reportImport } from '../../../container/import-image.ts';
import { findReference } from '../../../image/names.ts';
import { saveImages, type SavedImage, type SaveFormat } from '../../../image/save.ts';
import { reasonOf } from '../../../kernel/errno.ts';
import type { Arguments, Run } from '../../command.ts';
import { hostFacts } from '../../environment.ts';
import { importView } from '../../import-view.ts';
import { isTerminal, wantsColor } from '../../output.ts';
import { jsonMessages, textMessages } from '../../messages.ts';
import { packingOf } from './packing.ts';
import { selectImage } from './select.ts';

const STDOUT = 1;

function formatOf(args: Arguments): SaveFormat {
  const format = args.value('format') ?? 'docker';
  if (format === 'docker' || format === 'oci') return format;
  throw new BoxctlError('E_USAGE', `--format ${format} is not known`, { hint: 'docker, or oci' });
}

/** An image that is named by its digest has no name in the archive either. */
function savedImage(text: string, host: HostFacts): SavedImage {
  const { digest } = selectImage(text, host);
  const name = findReference(host.dirs.store, text)?.name;
  return { digest, name: text, tags: name === undefined || name.includes('@') ? [] : [name] };
}

/** Where the archive goes. A file takes its place when it is complete. */
interface Output {
  readonly fd: number;
  readonly name: string;
  done(): void;
  giveUp(): void;
}

const nothing = (): void => undefined;

function openOutput(file: string | undefined, cwd: string): Output {
  if (file === undefined || file === '-') {
    if (isTerminal(STDOUT)) {
      throw new BoxctlError('E_USAGE', 'an archive is not written to a terminal', {
        hint: 'name a file with -o FILE, or send standard output to another program',
      });
    }
    return { fd: STDOUT, name: 'standard output', done: nothing, giveUp: nothing };
  }
  const path = resolve(cwd, file);
  const found = statSync(path, { throwIfNoEntry: false });
  // A pipe or a device is written to as it is.
  const isFile = found === undefined || found.isFile();
  const target = isFile ? unfinishedName(path) : path;
  try {
    const fd = openSync(target, isFile ? 'wx' : constants.O_WRONLY, 0o666);
    const done = (): void => {
      closeSync(fd);
      if (isFile) renameSync(target, path);
    };
    const giveUp = (): void => {
      closeSync(fd);
      if (isFile) rmSync(target, { force: true });
    };
    return { fd, name: file, done, giveUp };
  } catch (cause) {
    throw new BoxctlError('E_IMAGE_UNWRITABLE', `The image cannot be written to ${file}: ${reasonOf(cause)}`, {
      cause,
    });
  }
}

export const imageSave: Run = async (invocation) => {
  const { args, cwd, env } = invocation;
  const format = formatOf(args);
  const packing = packingOf(args, format === 'docker' ? 'none' : 'gzip');
  const mode = args.flag('json') ? 'json' : args.flag('quiet') ? 'quiet' : 'auto';
  const messages = mode === 'json' ? jsonMessages : textMessages(wantsColor(2, env), mode === 'quiet');
  try {
    const host = hostFacts(invocation);
    const images = args.positionals.map((text) => savedImage(text, host));
    const output = openOutput(args.value('output'), cwd);
    const title = `saving ${images.map(({ name }) => name).join(', ')}`;
    const reporter = { ...messages, importing: (name: string) => importView(name, mode, env) };
    const gaveUp = (signal: string): string =>
      `the save was given up (${signal}); ${output.fd === STDOUT ? 'the archive is not complete' : `${basename(output.name)} is as it was`}`;
    try {
      await reportImport({ title, reporter, takesSignals: true, gaveUp }, ({ onProgress, signal }) =>
        saveImages(images, output, { format, packing, epoch: env['SOURCE_DATE_EPOCH'], onProgress, signal }, host),
      );
    } catch (error) {
      output.giveUp();
      throw error;
    }
    output.done();
    return 0;
  } catch (error) {
    return messages.failure(error);
  }
};
