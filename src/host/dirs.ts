/** Where boxctl keeps images and records. */
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from './facts.ts';
import type { HostReader } from './read.ts';

type Environment = Readonly<Record<string, string | undefined>>;

function absolute(path: string | undefined): string | undefined {
  return path?.startsWith('/') === true ? path.replace(/\/+$/u, '') : undefined;
}

/** XDG Base Directory; relative values are ignored, as that specification asks. */
export function storeFolder(env: Environment, euid: number): string {
  const chosen = absolute(env['BOXCTL_STORE']);
  if (chosen !== undefined) return chosen === '' ? '/' : chosen;
  if (euid === 0) return '/var/lib/boxctl';
  const home = absolute(env['HOME']);
  const data = absolute(env['XDG_DATA_HOME']) ?? (home === undefined ? undefined : `${home}/.local/share`);
  if (data === undefined) {
    throw new BoxctlError('E_NO_HOME', 'neither HOME nor XDG_DATA_HOME names an absolute folder for the image store', {
      hint: 'set HOME, or BOXCTL_STORE to the folder that the store should be in',
    });
  }
  return `${data}/boxctl`;
}

/** A folder that others can write to would let them make us remove cgroups of their choice. */
export function stateFolder(read: HostReader, env: Environment, euid: number): string {
  if (euid === 0) return '/run/boxctl';
  const runtime = absolute(env['XDG_RUNTIME_DIR']);
  const folder = runtime !== undefined && read.writable(runtime) ? `${runtime}/boxctl` : `/tmp/boxctl-${euid}`;
  const found = read.folder(folder);
  if (found === null || (found !== undefined && (found.uid !== euid || (found.mode & 0o022) !== 0))) {
    throw new BoxctlError(
      'E_STATE_UNSAFE',
      `${folder} is no folder, belongs to somebody else, or can be written to by others`,
      {
        hint: `remove it, or set XDG_RUNTIME_DIR to a folder that is yours alone (mode 0700)`,
      },
    );
  }
  return folder;
}

export function gatherFolders(read: HostReader, env: Environment, euid: number): HostFacts['dirs'] {
  return { store: storeFolder(env, euid), state: stateFolder(read, env, euid) };
}
