/** Whether the image has the command. Checked before anything is started, so that the error has the line of the file. */
import { posix } from 'node:path';
import type { ErrorCode } from '../error-codes.ts';
import { BoxctlError } from '../errors.ts';
import type { ImageFacts } from '../model/image.ts';
import type { Model } from '../model/model.ts';
import { DEFAULT_PATH } from '../model/defaults.ts';
import { redactor } from '../text/borrowed.ts';
import { inspect } from '../worker/work.ts';
import type { HostFacts } from '../host/facts.ts';

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const ANY_EXECUTE = 0o111;

/** Paths that are not the image's, because something is mounted there. */
function isCovered(model: Model, path: string): boolean {
  return model.mounts.some(({ target }) => path === target || path.startsWith(`${target}/`));
}

function candidatesOf(model: Model): readonly string[] {
  const { args, cwd, env } = model.config.process;
  const program = args[0] ?? '';
  if (program.includes('/')) return [posix.resolve(cwd, program)];
  const path = env.find((entry) => entry.startsWith('PATH='))?.slice('PATH='.length) ?? DEFAULT_PATH;
  return path.split(':').map((folder) => posix.resolve(cwd, folder, program));
}

/** Throws E_COMMAND_NOT_FOUND or E_COMMAND_NOT_EXECUTABLE where that is sure. */
export async function checkCommand(model: Model, image: ImageFacts, host: HostFacts): Promise<void> {
  const candidates = candidatesOf(model);
  if (candidates.some((path) => isCovered(model, path))) return;
  const { paths } = await inspect(image, host, [], candidates);
  const found = candidates.flatMap((path, index) => {
    const status = paths[index] ?? '';
    return status === '' ? [] : [{ path, mode: Number.parseInt(status, 8) }];
  });
  const command = model.config.process.args[0] ?? '';
  const because = model.because('process.args.0');
  const key = because.kind === 'spec' ? because.path : 'command';
  const at = because.kind === 'spec' && because.at !== undefined ? { at: because.at } : {};
  const redact = redactor(model.borrowed);
  const diagnose = (code: ErrorCode, text: string, advice: string): BoxctlError => {
    const message = redact(text, key);
    const hint = redact(redact(advice, key), 'environment');
    const located = { code, severity: 'error', message, path: key, at: at.at, hint } as const;
    return new BoxctlError(code, message, {
      ...at,
      hint,
      ...(at.at === undefined ? {} : { diagnostics: [located] }),
    });
  };
  if (found.length === 0) {
    const places = command.includes('/') ? '' : `; searched: ${candidates.join(', ')}`;
    const message = `the image has no command "${command}"`;
    throw diagnose(
      'E_COMMAND_NOT_FOUND',
      message,
      `add it to the image (to \`host_tools\`, where the file has them), or correct the name${places}`,
    );
  }
  const usable = found.some(({ mode }) => (mode & S_IFMT) !== S_IFDIR && (mode & ANY_EXECUTE) !== 0);
  if (!usable) {
    const message = `${found[0]?.path ?? command} is no program: it is a folder, or has no x permission`;
    throw diagnose('E_COMMAND_NOT_EXECUTABLE', message, 'chmod +x it in the image, or name another');
  }
}
